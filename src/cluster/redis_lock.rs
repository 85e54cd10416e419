//! The Redis lock: while Redis answers, only its holder claims the lease. It keeps candidates from crowding at the
//! database; it does not make anyone leader, only the lease row in the database does.

use std::time::Duration;

use redis::{RedisResult, Script};
use uuid::Uuid;

use super::dedicated_connection::DedicatedConnection;
use super::redis::scheduler_key;

/// The lock as one instance uses it.
pub struct RedisLock {
    connection: DedicatedConnection,
    key: String,
    /// Channel of the wake-ups.
    wakeup: String,
    instance: String,
    ttl_ms: i64,
}

/// Result of a request for the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acquired {
    /// This instance holds the lock.
    Mine,
    /// Another instance holds it, for this long unless renewed.
    Busy(Duration),
}

// Absent: set. Mine: extend. Other: the remaining TTL in ms (at least 1), so that 0 can mean success.
const ACQUIRE: &str = "
local holder = redis.call('GET', KEYS[1])
if not holder or holder == ARGV[1] then
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
  return 0
end
return math.max(redis.call('PTTL', KEYS[1]), 1)";

// Mine: extend. Absent (expired, or Redis lost it): set again. Other: 0.
const RENEW: &str = "
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1";

// Mine: delete, and wake the other candidates. Other: 0.
const RELEASE: &str = "
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[1])
redis.call('PUBLISH', KEYS[2], ARGV[1])
return 1";

impl RedisLock {
    /// The lock of a cluster of panels, for one instance. Connects when first used.
    pub fn new(connection: DedicatedConnection, cluster: &str, instance: Uuid, ttl: Duration) -> Self {
        Self {
            connection,
            key: scheduler_key(cluster, "leader"),
            wakeup: scheduler_key(cluster, "wakeup"),
            instance: instance.to_string(),
            ttl_ms: i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX),
        }
    }

    /// Takes the lock if it is free, and extends it if this instance holds it.
    pub async fn acquire(&mut self) -> RedisResult<Acquired> {
        let remaining = self.invoke(ACQUIRE).await?;
        Ok(match u64::try_from(remaining) {
            Ok(0) | Err(_) => Acquired::Mine,
            Ok(remaining) => Acquired::Busy(Duration::from_millis(remaining)),
        })
    }

    /// Extends the lock, or takes it again if Redis lost it. False: another instance holds it.
    pub async fn renew(&mut self) -> RedisResult<bool> {
        Ok(self.invoke(RENEW).await? == 1)
    }

    /// Releases the lock and wakes the other candidates. False: this instance did not hold it.
    pub async fn release(&mut self) -> RedisResult<bool> {
        Ok(self.invoke(RELEASE).await? == 1)
    }

    async fn invoke(&mut self, script: &'static str) -> RedisResult<i64> {
        let script = Script::new(script);
        let mut call = script.key(&self.key);
        call.key(&self.wakeup).arg(&self.instance).arg(self.ttl_ms);
        self.connection.invoke(&call).await
    }
}
