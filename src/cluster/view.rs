//! What a process knows of its cluster, for the API.

use std::sync::Arc;

use tokio::sync::watch;

use super::identity::Identity;
use super::members::Seen;
use super::redis_lock::RedisState;
use crate::domain::schedule::Schedule;
use crate::store::Engine;

/// Cheap to clone.
#[derive(Clone, Debug)]
pub struct ClusterView {
    /// `CLUSTER_NAME`.
    pub name: String,
    /// This process.
    pub identity: Identity,
    /// What this process would run as leader.
    pub schedules: Vec<Schedule>,
    /// Whether Redis answers.
    pub redis: watch::Receiver<RedisState>,
    /// Who is there.
    pub members: Seen,
}

impl ClusterView {
    /// Of a process without Redis that has not heard of any member.
    pub fn alone(name: String, identity: Identity, schedules: Vec<Schedule>) -> Self {
        let redis = watch::channel(RedisState::Off).1;
        Self { name, identity, schedules, redis, members: watch::channel(Arc::default()).1 }
    }

    /// The boot that the lease's times belong to: of this host on SQLite, of none on PostgreSQL.
    pub fn boot_id(&self, engine: Engine) -> &str {
        match engine {
            Engine::Postgres => "",
            Engine::Sqlite => &self.identity.boot_id,
        }
    }
}
