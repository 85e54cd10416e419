//! A connection to Redis with one owner on the lease's thread: the Redis lock, or the member list.
//!
//! Not from the pool: the pool's connections are driven by the workers' runtime, and blocked workers must cost neither
//! the lease nor this process's place in the member list.

use std::time::Duration;

use redis::{FromRedisValue, RedisResult, ScriptInvocation};

use super::redis::{RedisConnection, RedisServers, within};
use super::redis_status::RedisMonitor;

/// Connects when first used, and again after any error.
pub struct DedicatedConnection {
    servers: RedisServers,
    connection: Option<RedisConnection>,
    timeout: Duration,
    monitor: RedisMonitor,
}

impl DedicatedConnection {
    /// A connection whose every call takes at most `timeout`, including one that has to connect first.
    pub fn new(servers: RedisServers, timeout: Duration, monitor: RedisMonitor) -> Self {
        Self { servers, connection: None, timeout, monitor }
    }

    /// Runs a script, and records in the status of Redis whether that succeeded.
    pub(super) async fn invoke<T: FromRedisValue>(&mut self, script: &ScriptInvocation<'_>) -> RedisResult<T> {
        let answer = within(self.timeout, async {
            let connection = match &mut self.connection {
                Some(connection) => connection,
                None => self.connection.insert(self.servers.connect(self.timeout).await?),
            };
            script.invoke_async(connection).await
        })
        .await;
        match &answer {
            Ok(_) => self.monitor.succeeded(),
            Err(error) => {
                // Whatever the error is (READONLY after a fail-over, a broken pipe): the next call finds the master.
                self.connection = None;
                self.monitor.failed(error);
            }
        }
        answer
    }
}
