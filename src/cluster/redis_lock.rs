//! The Redis gate: while Redis answers, nobody claims the lease without this lock. It keeps the candidates from
//! crowding at the database, and decides nothing: the authority is the lease row.

use std::time::Duration;

use redis::{RedisError, RedisResult, Script};
use tokio::sync::watch;
use uuid::Uuid;

use super::redis::{RedisConnection, RedisServers, within};

/// The lock, on a connection of its own: never from a pool, never shared with pub/sub.
pub struct RedisLock {
    servers: RedisServers,
    connection: Option<RedisConnection>,
    limit: Duration,
    key: String,
    wakeup: String,
    instance: String,
    ttl_ms: i64,
    state: RedisWatch,
}

/// Whether Redis answers, as everybody who talks to it notes. Cheap to clone.
#[derive(Clone, Debug)]
pub struct RedisWatch(watch::Sender<RedisState>);

/// Whether Redis answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RedisState {
    /// It is not configured.
    Off,
    /// It does.
    Ok,
    /// It does not; the database alone decides.
    Down,
}

/// What came of asking for the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acquired {
    /// The lock is ours.
    Mine,
    /// Somebody else's, for this long.
    Busy(Duration),
}

/// Where the cluster's keys are: one hash tag, so that Redis Cluster keeps them together.
pub fn key(cluster: &str, name: &str) -> String {
    format!("{{{cluster}:scheduler}}:{name}")
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

// Mine: delete, and wake the candidates. Other: 0.
const RELEASE: &str = "
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[1])
redis.call('PUBLISH', KEYS[2], ARGV[1])
return 1";

impl RedisLock {
    /// A gate for one instance; connects when first used. `limit` bounds every call, also one that has to connect.
    pub fn new(
        servers: RedisServers,
        cluster: &str,
        instance: Uuid,
        ttl: Duration,
        limit: Duration,
        state: RedisWatch,
    ) -> Self {
        Self {
            servers,
            connection: None,
            limit,
            key: key(cluster, "leader"),
            wakeup: key(cluster, "wakeup"),
            instance: instance.to_string(),
            ttl_ms: i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX),
            state,
        }
    }

    /// Asks for the lock.
    pub async fn acquire(&mut self) -> RedisResult<Acquired> {
        let remaining = self.call(ACQUIRE).await?;
        Ok(match u64::try_from(remaining) {
            Ok(0) | Err(_) => Acquired::Mine,
            Ok(remaining) => Acquired::Busy(Duration::from_millis(remaining)),
        })
    }

    /// Extends the lock, or takes it back when Redis lost it. False: somebody else has it.
    pub async fn renew(&mut self) -> RedisResult<bool> {
        Ok(self.call(RENEW).await? == 1)
    }

    /// Gives the lock back and wakes the candidates. False: it was not ours.
    pub async fn release(&mut self) -> RedisResult<bool> {
        Ok(self.call(RELEASE).await? == 1)
    }

    async fn call(&mut self, script: &'static str) -> RedisResult<i64> {
        let answer = within(self.limit, self.try_call(script)).await;
        match &answer {
            Ok(_) => self.state.answers(),
            Err(error) => {
                // Whatever it was (READONLY after a fail-over, a broken pipe): the next call connects anew.
                self.connection = None;
                self.state.fails(error);
            }
        }
        answer
    }

    async fn try_call(&mut self, script: &'static str) -> RedisResult<i64> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            None => self.connection.insert(self.servers.connect(self.limit).await?),
        };
        let script = Script::new(script);
        let mut call = script.key(&self.key);
        call.key(&self.wakeup).arg(&self.instance).arg(self.ttl_ms);
        call.invoke_async(connection).await
    }
}

impl RedisWatch {
    /// In this state at first.
    pub fn new(state: RedisState) -> Self {
        Self(watch::Sender::new(state))
    }

    /// Follows it.
    pub fn seen(&self) -> watch::Receiver<RedisState> {
        self.0.subscribe()
    }

    /// It answered. One log line per change.
    pub(super) fn answers(&self) {
        if self.changes_to(RedisState::Ok) {
            tracing::info!("redis answers again");
        }
    }

    /// It did not.
    pub(super) fn fails(&self, error: &RedisError) {
        if self.changes_to(RedisState::Down) {
            tracing::warn!(%error, "redis does not answer; the database alone decides who leads");
        }
    }

    fn changes_to(&self, state: RedisState) -> bool {
        metrics::gauge!("redis_up").set(if state == RedisState::Ok { 1.0 } else { 0.0 });
        self.0.send_if_modified(|known| std::mem::replace(known, state) != state)
    }
}
