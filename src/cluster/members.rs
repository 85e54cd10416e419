//! Who is there: each process says so every two seconds, to Redis and to the database, and hears of the others. Redis's
//! list is the one that counts while it answers; the database's is the fallback.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use redis::{RedisResult, Script};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::redis::{RedisConnection, RedisServers, within};
use super::redis_lock::{RedisWatch, key};
use crate::domain::schedule::{Schedule, Task};
use crate::store::clock;
use crate::store::cluster::members;
use crate::store::cluster::members::{GONE, Member};
use crate::store::{Db, StoreError};

/// Between two signs of life.
const BEAT: Duration = Duration::from_secs(2);
/// For one of them.
const LIMIT: Duration = Duration::from_secs(1);

/// The members as they were heard of last, oldest first; at most two seconds old, unless nobody can be asked.
pub type Seen = watch::Receiver<Arc<Vec<Member>>>;

/// Says that this process is there.
pub struct Members {
    /// This process.
    pub me: Member,
    /// Connections of the lease's thread.
    pub db: Db,
    /// Where Redis is and the cluster's name there; `None`: the database alone.
    pub redis: Option<(RedisServers, String)>,
    /// Whether Redis answers: whoever follows a leader has no other business with it for a long time.
    pub state: RedisWatch,
    /// Where the members are published.
    pub seen: watch::Sender<Arc<Vec<Member>>>,
    /// Set while a newer version is there that knows tasks which this one does not: it should lead, and not this one.
    pub yields: Arc<AtomicBool>,
}

/// The list in Redis.
struct Roll<'a> {
    servers: &'a RedisServers,
    connection: Option<RedisConnection>,
    state: &'a RedisWatch,
    seen: String,
    about: String,
}

// Redis's own time, so that no host's clock matters. Returns who is there: moment (ms) and description, one after the
// other.
const ROLL_BEAT: &str = "
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
local gone = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', '(' .. (now - ARGV[3]))
for _, instance in ipairs(gone) do
  redis.call('ZREM', KEYS[1], instance)
  redis.call('HDEL', KEYS[2], instance)
end
local list = {}
local live = redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES')
for i = 1, #live, 2 do
  local about = redis.call('HGET', KEYS[2], live[i])
  if about then
    list[#list + 1] = live[i + 1]
    list[#list + 1] = about
  end
end
return list";

const ROLL_LEAVE: &str = "
redis.call('ZREM', KEYS[1], ARGV[1])
return redis.call('HDEL', KEYS[2], ARGV[1])";

/// What `Member::tasks` says of a program that knows all of ours and runs these.
pub fn tasks_of(schedules: &[Schedule]) -> String {
    let period = |task| schedules.iter().find(|schedule| schedule.task == task).map(|schedule| schedule.period);
    let tasks: serde_json::Map<String, serde_json::Value> =
        Task::ALL.into_iter().map(|task| (task.name().to_owned(), period(task).into())).collect();
    serde_json::Value::Object(tasks).to_string()
}

impl Members {
    /// Runs until `stop`, and then takes leave.
    pub async fn keep(self, stop: CancellationToken) {
        let mut roll = self.redis.as_ref().map(|(servers, cluster)| Roll {
            servers,
            connection: None,
            state: &self.state,
            seen: key(cluster, "members"),
            about: key(cluster, "member"),
        });
        let mut told = BTreeSet::new();
        while !stop.is_cancelled() {
            let from_database = timeout(LIMIT, self.beat_database()).await;
            let from_redis = match &mut roll {
                Some(roll) => roll.beat(&self.me).await.ok(),
                None => None,
            };
            // Neither answers: what was known is better than nothing.
            if let Some(list) = from_redis.or_else(|| from_database.ok()?.ok()) {
                self.publish(list, &mut told);
            }
            stop.run_until_cancelled(sleep(BEAT)).await;
        }
        if let Some(roll) = &mut roll {
            // Best effort: whoever says nothing is gone after ten seconds.
            let _ = roll.leave(self.me.instance).await;
        }
        let _ = timeout(LIMIT, self.leave_database()).await;
    }

    async fn beat_database(&self) -> Result<Vec<Member>, StoreError> {
        let now = clock::now(&self.db).await?;
        self.db.transaction("member heartbeat", async |tx| members::beat(tx, &self.me, now).await).await?;
        members::live(&self.db, now).await
    }

    async fn leave_database(&self) -> Result<(), StoreError> {
        self.db.transaction("remove member", async |tx| members::leave(tx, self.me.instance).await).await
    }

    fn publish(&self, list: Vec<Member>, told: &mut BTreeSet<Uuid>) {
        metrics::gauge!("cluster_members").set(list.len() as f64);
        let mine = self.me.periods();
        for member in &list {
            let differs = member.periods().iter().any(|(task, period)| mine.get(task).is_some_and(|own| own != period));
            if differs && told.insert(member.instance) {
                tracing::warn!(
                    host = member.host,
                    theirs = member.tasks,
                    ours = self.me.tasks,
                    "a member would run tasks at other intervals; the leader's count: give all hosts the same settings"
                );
            }
        }
        let newer = list.iter().find(|member| yields_to(&self.me, member));
        if self.yields.swap(newer.is_some(), Ordering::Relaxed) != newer.is_some() {
            match newer {
                Some(member) => tracing::warn!(
                    host = member.host,
                    version = member.version,
                    "a newer version is there and knows tasks that this one does not: it shall lead"
                ),
                None => tracing::info!("no newer version is there any more: this one may lead again"),
            }
        }
        self.seen.send_replace(Arc::new(list));
    }
}

/// Whether `other` should lead rather than `me`: it is newer and knows tasks that `me` does not.
fn yields_to(me: &Member, other: &Member) -> bool {
    let known = me.periods();
    other.version_numbers() > me.version_numbers() && other.periods().keys().any(|task| !known.contains_key(task))
}

impl Roll<'_> {
    async fn beat(&mut self, me: &Member) -> RedisResult<Vec<Member>> {
        let about = serde_json::to_string(me).unwrap_or_default();
        let script = Script::new(ROLL_BEAT);
        let mut call = script.prepare_invoke();
        call.key(&self.seen).key(&self.about).arg(me.instance.to_string()).arg(about).arg(GONE / 1_000);
        let list: Vec<(i64, String)> = self.call(&call).await?;
        let read = |(ms, about): (i64, String)| {
            // A version to come may describe itself in another way: it is a member all the same, but not for us.
            serde_json::from_str::<Member>(&about).ok().map(|member| Member { last_seen: ms * 1_000, ..member })
        };
        let mut list: Vec<Member> = list.into_iter().filter_map(read).collect();
        list.sort_by_key(|member| (member.started_at, member.instance));
        Ok(list)
    }

    async fn leave(&mut self, instance: Uuid) -> RedisResult<i64> {
        let script = Script::new(ROLL_LEAVE);
        let mut call = script.prepare_invoke();
        call.key(&self.seen).key(&self.about).arg(instance.to_string());
        self.call(&call).await
    }

    async fn call<T: redis::FromRedisValue>(&mut self, call: &redis::ScriptInvocation<'_>) -> RedisResult<T> {
        let answer = within(LIMIT, async {
            let connection = match &mut self.connection {
                Some(connection) => connection,
                None => self.connection.insert(self.servers.connect(LIMIT).await?),
            };
            call.invoke_async(connection).await
        })
        .await;
        match &answer {
            Ok(_) => self.state.answers(),
            Err(error) => {
                // Whatever it was: the next call connects anew.
                self.connection = None;
                self.state.fails(error);
            }
        }
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(version: &str, tasks: &str) -> Member {
        Member {
            instance: Uuid::nil(),
            host: String::new(),
            pid: 1,
            worker_threads: 1,
            cores: 1.0,
            version: version.to_owned(),
            started_at: 0,
            last_seen: 0,
            tasks: tasks.to_owned(),
        }
    }

    #[test]
    fn an_older_version_yields_to_a_newer_one_that_knows_more() {
        let me = member("0.1.9", r#"{"a": 1, "b": null}"#);
        assert!(yields_to(&me, &member("0.2.0", r#"{"a": 1, "b": 1, "c": 1}"#)));
        assert!(!yields_to(&me, &member("0.2.0", r#"{"a": 2}"#)), "it knows nothing more");
        assert!(!yields_to(&me, &member("0.1.9", r#"{"c": 1}"#)), "it is not newer");
        assert!(!yields_to(&me, &me));
    }
}
