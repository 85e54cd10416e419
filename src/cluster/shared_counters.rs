//! Counters that all hosts share, in Redis. Each counts for a while from its first event on and is then gone. While
//! Redis is away there are none, and whoever asks goes by what it has counted itself.

use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use redis::{RedisResult, Script};

use super::redis::{RedisConnection, RedisServers, within};
use crate::clock::Clock;
use crate::domain::moment::{BootTime, SECOND};
use crate::foundation::{lock, with_sources};

/// For connecting, and for every answer: a request waits for it.
const TIMEOUT: Duration = Duration::from_millis(250);
/// After a failure Redis is left alone for so long.
const PAUSE: i64 = SECOND;

// Nothing is counted if one of the counters is full; then the longest wait in ms (at least 1). Else 0.
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

// A counter that is gone stays gone.
const TAKE_BACK: &str = "
for _, key in ipairs(KEYS) do
  if tonumber(redis.call('GET', key) or 0) > 0 then redis.call('DECR', key) end
end
return 0";

/// The counters of a cluster.
pub struct SharedCounters {
    servers: RedisServers,
    clock: Clock,
    /// What all keys begin with: one hash tag, so that Redis Cluster takes several in one script.
    prefix: String,
    count: Script,
    take_back: Script,
    link: Mutex<Link>,
}

#[derive(Default)]
struct Link {
    connection: Option<RedisConnection>,
    /// No attempt to connect before; `None`: at once.
    rests_until: Option<BootTime>,
}

/// What came of counting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// Each counter was below its limit, and is one higher now.
    Yes,
    /// One was not, and none has changed: try again after so long.
    Full(Duration),
}

impl SharedCounters {
    /// The counters of that cluster; connects when first used.
    pub fn new(servers: RedisServers, cluster: &str, clock: Clock) -> Self {
        Self {
            servers,
            clock,
            prefix: format!("{{{cluster}:limits}}"),
            count: Script::new(COUNT),
            take_back: Script::new(TAKE_BACK),
            link: Mutex::default(),
        }
    }

    /// Counts one event for each name, unless one of them has had `limit` in its `window`. `None`: Redis is away.
    pub async fn count(&self, names: &[String], limit: u32, window: Duration) -> Option<Counted> {
        let mut call = self.count.prepare_invoke();
        call.arg(limit).arg(u64::try_from(window.as_millis()).unwrap_or(u64::MAX));
        for name in names {
            call.key(self.key(name));
        }
        let wait: u64 = self.ask(async |mut connection| call.invoke_async(&mut connection).await).await?;
        Some(if wait == 0 { Counted::Yes } else { Counted::Full(Duration::from_millis(wait)) })
    }

    /// Takes one event back from each name. What Redis misses while it is away is forgotten with the window.
    pub async fn take_back(&self, names: &[String]) {
        let mut call = self.take_back.prepare_invoke();
        for name in names {
            call.key(self.key(name));
        }
        self.ask(async |mut connection| call.invoke_async::<u64>(&mut connection).await).await;
    }

    async fn ask<T>(&self, question: impl AsyncFnOnce(RedisConnection) -> RedisResult<T>) -> Option<T> {
        let connection = self.connection().await?;
        match within(TIMEOUT, question(connection)).await {
            Ok(answer) => Some(answer),
            Err(error) => {
                self.rest(&error);
                None
            }
        }
    }

    /// One of the callers connects; the others do without until it has.
    async fn connection(&self) -> Option<RedisConnection> {
        {
            let mut link = self.link();
            if let Some(connection) = &link.connection {
                return Some(connection.clone());
            }
            let now = self.clock.boot();
            if link.rests_until.is_some_and(|until| now.micros() < until.micros()) {
                return None;
            }
            link.rests_until = Some(BootTime::from_micros(now.micros() + PAUSE));
        }
        match self.servers.connect(TIMEOUT).await {
            Ok(connection) => {
                self.link().connection = Some(connection.clone());
                Some(connection)
            }
            Err(error) => {
                self.rest(&error);
                None
            }
        }
    }

    fn rest(&self, error: &redis::RedisError) {
        tracing::debug!(error = with_sources(error), "attempts are counted by this process alone");
        let until = BootTime::from_micros(self.clock.boot().micros() + PAUSE);
        *self.link() = Link { connection: None, rests_until: Some(until) };
    }

    fn key(&self, name: &str) -> String {
        format!("{}:{name}", self.prefix)
    }

    fn link(&self) -> MutexGuard<'_, Link> {
        lock(&self.link)
    }
}

impl std::fmt::Debug for SharedCounters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "counters {} on {:?}", self.prefix, self.servers)
    }
}
