//! The pool of connections for ordinary Redis commands: shared counters and publishing wake-ups.
//!
//! It is a deadpool pool, configured with deadpool-redis's types, around this project's connector (`redis.rs`) in place
//! of the three managers of deadpool-redis, because these
//! - check a connection with PING only, which a server answers that has become a read-only replica (and PING on a Redis
//!   Cluster asks every primary, so one dead shard would discard every connection);
//! - take no time limits for Sentinel and Redis Cluster: one silent Sentinel or node costs a second, longer than a
//!   request may wait.
//!
//! Connections are made and driven by the workers' runtime. The lease's thread has connections of its own and never
//! waits for this pool.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use deadpool::managed::{Manager, Pool, PoolError, RecycleError, RecycleResult};
use deadpool_redis::{Metrics, PoolConfig, Runtime, Status, TimeoutType, Timeouts};
use redis::{Cmd, ErrorKind, FromRedisValue, RedisError, RedisResult, ScriptInvocation};
use tokio::time::timeout;

use super::redis::{RedisConnection, RedisServers, within};
use crate::clock::Clock;
use crate::domain::moment::SECOND;

/// Time after a failure in which calls fail at once, microseconds. Then one call tries again.
const RETRY_AFTER: i64 = SECOND;
/// The value of `retry_at` while Redis answers.
const HEALTHY: i64 = i64::MIN;

/// The pool. Cheap to clone; clones share the connections.
#[derive(Clone)]
pub struct RedisPool {
    pool: Pool<Connector>,
    /// Time limit of a call, including the wait for a connection.
    timeout: Duration,
    clock: Clock,
    /// CLOCK_BOOTTIME of the next attempt after a failure, microseconds; `HEALTHY` if the last call succeeded.
    retry_at: Arc<AtomicI64>,
}

/// Reason why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum RedisPoolError {
    /// Redis failed within the last second.
    #[error("redis failed less than a second ago; not asked again yet")]
    Suspended,
    /// Every connection was in use.
    #[error("all connections to redis are in use; raise REDIS_POOL_SIZE")]
    Exhausted,
    /// No answer in time.
    #[error("redis did not answer within REDIS_TIMEOUT_SECONDS")]
    TimedOut,
    /// Redis refused the command, or the connection failed.
    #[error("a redis command failed")]
    Redis(#[source] RedisError),
}

impl RedisPool {
    /// A pool of at most `size` connections, opened when needed. `timeout` bounds each call.
    pub fn new(servers: RedisServers, size: usize, timeout: Duration, clock: Clock) -> RedisResult<Self> {
        let connector = Connector { servers, timeout, generation: AtomicU64::new(0) };
        let mut config = PoolConfig::new(size);
        // Half of the time is left for the command. The connector itself bounds recycling.
        config.timeouts = Timeouts { wait: Some(timeout / 2), create: Some(timeout), recycle: None };
        let pool = Pool::builder(connector).config(config).runtime(Runtime::Tokio1).build();
        let invalid = |error: deadpool_redis::BuildError| {
            RedisError::from((ErrorKind::InvalidClientConfig, "invalid pool", error.to_string()))
        };
        Ok(Self { pool: pool.map_err(invalid)?, timeout, clock, retry_at: Arc::new(AtomicI64::new(HEALTHY)) })
    }

    /// Sends a command.
    pub async fn query<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, RedisPoolError> {
        self.call(async |mut connection| command.query_async(&mut connection).await).await
    }

    /// Runs a script.
    pub async fn invoke<T: FromRedisValue>(&self, script: &ScriptInvocation<'_>) -> Result<T, RedisPoolError> {
        self.call(async |mut connection| script.invoke_async(&mut connection).await).await
    }

    /// Number of connections (at most, open, idle) and of callers that wait for one.
    pub fn status(&self) -> Status {
        self.pool.status()
    }

    async fn call<T>(&self, command: impl AsyncFnOnce(RedisConnection) -> RedisResult<T>) -> Result<T, RedisPoolError> {
        if !self.may_try() {
            return Err(RedisPoolError::Suspended);
        }
        let attempt = timeout(self.timeout, async {
            let pooled = self.pool.get().await.map_err(RedisPoolError::from)?;
            command(pooled.connection.clone()).await.map_err(RedisPoolError::Redis)
        });
        let answer = attempt.await.unwrap_or(Err(RedisPoolError::TimedOut));
        match &answer {
            Ok(_) => self.retry_at.store(HEALTHY, Ordering::Relaxed),
            Err(error) => self.failed(error),
        }
        answer
    }

    /// True while Redis answers; after a failure, for one caller a second.
    fn may_try(&self) -> bool {
        let retry_at = self.retry_at.load(Ordering::Relaxed);
        if retry_at == HEALTHY {
            return true;
        }
        let now = self.clock.boot().micros();
        let next = now.saturating_add(RETRY_AFTER);
        now >= retry_at && self.retry_at.compare_exchange(retry_at, next, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    fn failed(&self, error: &RedisPoolError) {
        metrics::counter!("redis_pool_failures_total", "reason" => error.reason()).increment(1);
        tracing::debug!(error = error as &dyn std::error::Error, "a command over the pool of redis connections failed");
        if !matches!(error, RedisPoolError::Exhausted) {
            self.pool.manager().discard_connections();
            self.retry_at.store(self.clock.boot().micros().saturating_add(RETRY_AFTER), Ordering::Relaxed);
        }
    }
}

impl std::fmt::Debug for RedisPool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "pool of {} connections to {:?}", self.status().max_size, self.pool.manager().servers)
    }
}

impl RedisPoolError {
    fn reason(&self) -> &'static str {
        match self {
            // Never counted, because no command was tried.
            Self::Suspended => "suspended",
            Self::Exhausted => "exhausted",
            Self::TimedOut => "timed_out",
            Self::Redis(_) => "error",
        }
    }
}

impl From<PoolError<RedisError>> for RedisPoolError {
    fn from(error: PoolError<RedisError>) -> Self {
        match error {
            PoolError::Timeout(TimeoutType::Wait) => Self::Exhausted,
            PoolError::Backend(error) => Self::Redis(error),
            _ => Self::TimedOut,
        }
    }
}

/// Makes and checks the connections of the pool.
struct Connector {
    servers: RedisServers,
    timeout: Duration,
    /// Changes with each failure. Connections of earlier generations are discarded.
    generation: AtomicU64,
}

struct Pooled {
    connection: RedisConnection,
    generation: u64,
}

impl Connector {
    /// Discards every connection that exists now, at the latest when it is recycled. After READONLY, MASTERDOWN or an
    /// I/O error of one connection the others lead to the same server.
    fn discard_connections(&self) {
        self.generation.fetch_add(1, Ordering::Relaxed);
    }
}

impl Manager for Connector {
    type Type = Pooled;
    type Error = RedisError;

    async fn create(&self) -> RedisResult<Pooled> {
        let generation = self.generation.load(Ordering::Relaxed);
        Ok(Pooled { connection: self.servers.connect(self.timeout).await?, generation })
    }

    async fn recycle(&self, pooled: &mut Pooled, _: &Metrics) -> RecycleResult<RedisError> {
        if pooled.generation != self.generation.load(Ordering::Relaxed) {
            return Err(RecycleError::message("this or another connection failed since it was made"));
        }
        match &mut pooled.connection {
            RedisConnection::Single(connection) => {
                let ping = within(self.timeout / 2, redis::cmd("PING").query_async::<()>(connection)).await;
                ping.inspect_err(|_| self.discard_connections()).map_err(RecycleError::Backend)
            }
            // The client of a Redis Cluster replaces the connections to its nodes itself.
            RedisConnection::Cluster(_) => Ok(()),
        }
    }
}
