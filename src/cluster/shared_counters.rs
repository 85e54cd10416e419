//! Counters in Redis that all panels of a cluster share. A counter lives for one window from its first event. While Redis
//! is away there are none, and callers use the counts of their own process.

use std::time::Duration;

use redis::{FromRedisValue, Script, ScriptInvocation};

use super::redis_pool::RedisPool;

// If a counter is full, counts nothing and returns the longest wait in ms (at least 1). Otherwise returns 0.
const COUNT: &str = "
local wait = 0
for _, key in ipairs(KEYS) do
  if tonumber(redis.call('GET', key) or 0) >= tonumber(ARGV[1]) then
    wait = math.max(wait, redis.call('PTTL', key), 1)
  end
end
if wait > 0 then return wait end
for _, key in ipairs(KEYS) do
  if redis.call('INCR', key) == 1 then redis.call('PEXPIRE', key, ARGV[2]) end
end
return 0";

// Leaves expired counters alone.
const TAKE_BACK: &str = "
for _, key in ipairs(KEYS) do
  if tonumber(redis.call('GET', key) or 0) > 0 then redis.call('DECR', key) end
end
return 0";

/// The counters of a cluster.
#[derive(Debug)]
pub struct SharedCounters {
    pool: RedisPool,
    /// The prefix of all keys: one hash tag, so that a Redis Cluster accepts several keys in one script.
    prefix: String,
    count: Script,
    take_back: Script,
}

/// Result of counting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// Each counter was below its limit, and has been incremented.
    Yes,
    /// At least one counter was at its limit, and none has been incremented: try again after this time.
    Full(Duration),
}

impl SharedCounters {
    /// The counters of a cluster of panels.
    pub fn new(pool: RedisPool, cluster: &str) -> Self {
        Self {
            pool,
            prefix: format!("{{{cluster}:limits}}"),
            count: Script::new(COUNT),
            take_back: Script::new(TAKE_BACK),
        }
    }

    /// Counts one event for each name, unless one of them has reached `limit` in its `window`. `None`: Redis is away.
    pub async fn count(&self, names: &[String], limit: u32, window: Duration) -> Option<Counted> {
        let mut call = self.count.prepare_invoke();
        call.arg(limit).arg(u64::try_from(window.as_millis()).unwrap_or(u64::MAX));
        let wait: u64 = self.invoke(call, names).await?;
        Some(if wait == 0 { Counted::Yes } else { Counted::Full(Duration::from_millis(wait)) })
    }

    /// Subtracts one event from each name. While Redis is away nothing is subtracted, until the window ends.
    pub async fn take_back(&self, names: &[String]) {
        let _: Option<u64> = self.invoke(self.take_back.prepare_invoke(), names).await;
    }

    async fn invoke<T: FromRedisValue>(&self, mut call: ScriptInvocation<'_>, names: &[String]) -> Option<T> {
        for name in names {
            call.key(format!("{}:{name}", self.prefix));
        }
        // The pool counts and logs its failures.
        self.pool.invoke(&call).await.ok()
    }
}
