//! This process's knowledge of its cluster, for the API.

use std::sync::Arc;

use tokio::sync::watch;

use super::identity::Identity;
use super::members::LiveMembers;
use super::redis_status::RedisStatus;
use crate::domain::schedule::Schedule;
use crate::store::Engine;

/// Cheap to clone.
#[derive(Clone, Debug)]
pub struct ClusterView {
    /// `CLUSTER_NAME`.
    pub name: String,
    /// This process.
    pub identity: Identity,
    /// Tasks that this process runs when it leads.
    pub schedules: Vec<Schedule>,
    /// Longest round trip to the database with which the lease is held, microseconds; none on SQLite.
    pub supported_round_trip: Option<i64>,
    /// Where scheduled back-ups go; none are made without it.
    pub back_up_to: Option<String>,
    /// Status of Redis.
    pub redis: watch::Receiver<RedisStatus>,
    /// The live members.
    pub members: LiveMembers,
}

impl ClusterView {
    /// The view of a process without Redis and without a member list.
    pub fn alone(name: String, identity: Identity, schedules: Vec<Schedule>) -> Self {
        let redis = watch::channel(RedisStatus::Off).1;
        Self {
            name,
            identity,
            schedules,
            supported_round_trip: None,
            back_up_to: None,
            redis,
            members: watch::channel(Arc::default()).1,
        }
    }

    /// Id of the boot that the lease's times are relative to: this host's on SQLite, empty on PostgreSQL.
    pub fn boot_id(&self, engine: Engine) -> &str {
        self.identity.boot_id(engine)
    }
}
