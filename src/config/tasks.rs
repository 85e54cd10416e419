//! Settings of the scheduled tasks.

use std::time::Duration;

use serde::Deserialize;

use super::values::{flag, seconds, whole};

/// How often each task runs, and what it keeps.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct TaskSettings {
    /// Between two collections of usage.
    #[serde(rename = "tasks_record_user_usages_interval", deserialize_with = "seconds::<_, 1, 86_400>")]
    pub record_user_usages: Duration,
    /// Between two reviews of the users.
    #[serde(rename = "tasks_review_users_interval", deserialize_with = "seconds::<_, 1, 86_400>")]
    pub review_users: Duration,
    /// Between two searches for users about to expire.
    #[serde(rename = "tasks_expire_days_reached_interval", deserialize_with = "seconds::<_, 1, 86_400>")]
    pub expire_days_reached: Duration,
    /// Between two resets of periodic limits.
    #[serde(rename = "tasks_reset_user_data_usage", deserialize_with = "seconds::<_, 1, 86_400>")]
    pub reset_user_data_usage: Duration,
    /// Leave the nodes' hourly usage out.
    #[serde(rename = "disable_recording_node_usage", deserialize_with = "flag")]
    pub without_node_usage: bool,
    /// Days to keep hourly usage; 0: for ever.
    #[serde(deserialize_with = "whole::<_, _, 0, 36_500>")]
    pub usage_hourly_retention_days: u32,
}
