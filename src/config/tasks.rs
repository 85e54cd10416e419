//! Settings for the scheduled tasks.

use std::time::Duration;

use serde::Deserialize;

use super::numbers::NEVER;
use super::values::{flag, seconds, whole};

/// Intervals of the tasks, and retention of usage.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct TaskSettings {
    /// Time between two collections of traffic from the nodes.
    #[serde(rename = "tasks_record_user_usages_interval", deserialize_with = "seconds::<_, 1, NEVER>")]
    pub record_user_usages: Duration,
    /// Time between two checks of the users.
    #[serde(rename = "tasks_review_users_interval", deserialize_with = "seconds::<_, 1, NEVER>")]
    pub review_users: Duration,
    /// Time between two searches for users who expire soon.
    #[serde(rename = "tasks_expire_days_reached_interval", deserialize_with = "seconds::<_, 1, NEVER>")]
    pub expire_days_reached: Duration,
    /// Time between two runs of the periodic resets of used traffic.
    #[serde(rename = "tasks_reset_user_data_usage", deserialize_with = "seconds::<_, 1, NEVER>")]
    pub reset_user_data_usage: Duration,
    /// Don't store the nodes' hourly traffic.
    #[serde(rename = "disable_recording_node_usage", deserialize_with = "flag")]
    pub without_node_usage: bool,
    /// Days until hourly traffic is summed up into daily traffic; 0: never.
    #[serde(deserialize_with = "whole::<_, _, 0, 36_500>")]
    pub usage_hourly_retention_days: u32,
    /// Days until entries of the audit log are deleted; 0: never.
    #[serde(deserialize_with = "whole::<_, _, 0, 36_500>")]
    pub audit_retention_days: u32,
    /// Enter reads of secrets into the audit log.
    #[serde(deserialize_with = "flag")]
    pub audit_reads: bool,
    /// Shortest time between two restarts of a node's engines because the node keeps refusing its users; 0: never.
    #[serde(rename = "node_healing_interval_seconds", deserialize_with = "seconds::<_, 0, 31_536_000>")]
    pub node_healing_interval: Duration,
}
