//! Settings of this process as a member of a cluster: names, data folder, worker threads, lease.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use serde::Deserialize;

use super::errors::SettingError;
use super::values::{fine_seconds, flag, parsed, seconds, some_fine_seconds, some_whole};
use crate::domain::lease::LeaseTiming;
use crate::domain::workers::Workers;

/// Names and data folder of this process.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct InstanceSettings {
    /// Prefix of all keys in Redis; the same for all panels of one database.
    #[serde(rename = "cluster_name", deserialize_with = "parsed::<_, ClusterName>")]
    pub cluster: ClusterName,
    /// Label of this process in logs and in `GET /api/cluster`.
    #[serde(rename = "instance_name", default)]
    pub name: String,
    /// Folder of the usage spool.
    pub data_dir: PathBuf,
    /// Time limit for a graceful stop.
    #[serde(rename = "shutdown_grace_seconds", deserialize_with = "seconds::<_, 1, 3_600>")]
    pub shutdown_grace: Duration,
}

/// A cluster's name that is safe in a Redis key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterName(String);

impl ClusterName {
    /// Returns the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ClusterName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // Redis Cluster reads text in braces as a hash tag.
        let right = text.len() <= 64 && text.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
        if right {
            Ok(Self(text.to_owned()))
        } else {
            Err("must have at most 64 characters, each a letter, a digit, '.', '_' or '-'".to_owned())
        }
    }
}

/// Worker threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct ThreadSettings {
    #[serde(rename = "uvicorn_workers", default, deserialize_with = "some_whole::<_, _, 1, 512>")]
    configured: Option<usize>,
    /// Run a single worker thread.
    #[serde(deserialize_with = "flag")]
    pub debug: bool,
}

impl ThreadSettings {
    /// Returns the number of worker threads on a machine with `cores` cores.
    pub fn workers(self, cores: usize) -> Workers {
        Workers::plan(cores, self.configured, self.debug)
    }
}

#[derive(Deserialize)]
pub(super) struct LeaseVariables {
    #[serde(deserialize_with = "fine_seconds")]
    lease_ttl_seconds: i64,
    #[serde(default, deserialize_with = "some_fine_seconds")]
    lease_renew_seconds: Option<i64>,
}

impl LeaseVariables {
    pub(super) fn check(self) -> Result<LeaseTiming, SettingError> {
        LeaseTiming::new(self.lease_ttl_seconds, self.lease_renew_seconds).map_err(SettingError::new)
    }
}
