//! Settings of this process among others: its name, its folder, its threads, its lease.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use serde::Deserialize;

use super::values::{fine_seconds, flag, parsed, seconds, some_fine_seconds, some_whole};
use super::wrong::SettingError;
use crate::domain::lease::LeaseTiming;
use crate::domain::workers::Workers;

/// Who this process is.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct InstanceSettings {
    /// The prefix of every key in Redis: the same on all hosts of a cluster.
    #[serde(rename = "cluster_name", deserialize_with = "parsed::<_, ClusterName>")]
    pub cluster: ClusterName,
    /// The label of this host.
    #[serde(rename = "instance_name", default)]
    pub name: String,
    /// The folder of the spool.
    pub data_dir: PathBuf,
    /// How long a graceful stop may take.
    #[serde(rename = "shutdown_grace_seconds", deserialize_with = "seconds::<_, 1, 3_600>")]
    pub shutdown_grace: Duration,
}

/// A name that is safe in a Redis key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterName(String);

impl ClusterName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ClusterName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // Braces would make a hash tag of their own.
        let right = text.len() <= 64 && text.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
        if right {
            Ok(Self(text.to_owned()))
        } else {
            Err("must be up to 64 letters, digits, '.', '_' or '-'".to_owned())
        }
    }
}

/// How many worker threads were asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct ThreadSettings {
    #[serde(rename = "uvicorn_workers", default, deserialize_with = "some_whole::<_, _, 1, 512>")]
    by_hand: Option<usize>,
    /// Look for a fault.
    #[serde(deserialize_with = "flag")]
    pub debug: bool,
}

impl ThreadSettings {
    /// The worker threads on so many cores.
    pub fn workers(self, cores: usize) -> Workers {
        Workers::plan(cores, self.by_hand, self.debug)
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
