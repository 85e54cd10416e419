//! Access to Redis for one panel: the servers, the pool of connections, and the name of the cluster of panels.

use redis::RedisResult;

use super::redis::{RedisServers, scheduler_key};
use super::redis_pool::RedisPool;
use crate::clock::Clock;
use crate::config::redis::RedisSettings;

/// Cheap to clone; clones share the pool.
#[derive(Clone, Debug)]
pub struct PanelRedis {
    /// For connections outside of the pool: pub/sub and those of the lease's thread.
    pub servers: RedisServers,
    /// For ordinary commands, on the workers' runtime.
    pub pool: RedisPool,
    /// `CLUSTER_NAME`: the prefix of all keys.
    pub cluster: String,
}

impl PanelRedis {
    /// Reads the settings. Opens no connection.
    pub fn new(settings: &RedisSettings, cluster: &str, clock: Clock) -> RedisResult<Self> {
        let servers = RedisServers::new(&settings.target, &settings.tls)?;
        let pool = RedisPool::new(servers.clone(), settings.pool_size, settings.timeout, clock)?;
        Ok(Self { servers, pool, cluster: cluster.to_owned() })
    }

    /// A Redis key of the scheduler.
    pub(super) fn key(&self, name: &str) -> String {
        scheduler_key(&self.cluster, name)
    }
}
