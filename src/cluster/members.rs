//! The list of live processes: each process reports every two seconds, to Redis and to the database, and reads the list
//! back. Redis's list counts while Redis answers; otherwise the database's.
//!
//! Runs on the lease's thread with connections of its own: a process whose workers are blocked is still a member, and the
//! elector needs to know in time that a newer version should lead.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use redis::{RedisResult, Script};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::dedicated_connection::DedicatedConnection;
use super::judge::{Judge, Own};
use super::leadership::Role;
use super::panel_redis::PanelRedis;
use super::redis_status::RedisMonitor;
use super::round_trips::RoundTrips;
use super::self_report::{NodeFindings, SelfReport};
use super::standing::Standing;
use crate::domain::moment::Moment;
use crate::domain::schedule::{Schedule, Task};
use crate::store::clock;
use crate::store::cluster::members;
use crate::store::cluster::members::{GONE, Member, Report};
use crate::store::{Db, StoreError};

/// Time between two beats.
const BEAT: Duration = Duration::from_secs(2);
/// Time limit of a beat in Redis.
const LIMIT: Duration = Duration::from_secs(1);
/// Time limit of a beat in the database, which takes several round trips. With the pause it is well below [`GONE`].
const DATABASE_LIMIT: Duration = Duration::from_secs(4);

/// The live members, oldest first. At most two seconds old while Redis or the database answers.
pub type LiveMembers = watch::Receiver<Arc<Vec<Member>>>;

/// Reports this process as a member, and reads who the other members are.
pub struct Membership {
    /// Description of this process.
    pub me: Member,
    /// Database connections of the lease's thread.
    pub db: Db,
    /// Redis; `None`: the database alone.
    pub redis: Option<PanelRedis>,
    /// Learns whether Redis answers: a follower uses Redis for nothing else for a long time.
    pub monitor: RedisMonitor,
    /// Receives the live members.
    pub members: watch::Sender<Arc<Vec<Member>>>,
    /// The round trip to the database, which the elector measures.
    pub round_trips: RoundTrips,
    /// Findings of this process about itself.
    pub own: SelfReport,
    /// Role of this process.
    pub role: watch::Receiver<Role>,
    /// Learns how this process compares with the other members.
    pub standing: Standing,
}

/// The list in Redis.
struct MemberRegistry {
    connection: DedicatedConnection,
    /// Sorted set: instance, by time of its last beat.
    beats: String,
    /// Hash: instance to description.
    descriptions: String,
}

// Uses Redis's clock, so that the clocks of the hosts do not matter. Returns the live members: time of the last beat (ms)
// and description, alternating.
const REGISTRY_BEAT: &str = "
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

const REGISTRY_LEAVE: &str = "
redis.call('ZREM', KEYS[1], ARGV[1])
return redis.call('HDEL', KEYS[2], ARGV[1])";

/// JSON for `Member::tasks`: every task that this version knows, with its period here (null: not scheduled).
pub fn tasks_json(schedules: &[Schedule]) -> String {
    let period = |task| schedules.iter().find(|schedule| schedule.task == task).map(|schedule| schedule.period);
    let tasks: serde_json::Map<String, serde_json::Value> =
        Task::ALL.into_iter().map(|task| (task.name().to_owned(), period(task).into())).collect();
    serde_json::Value::Object(tasks).to_string()
}

impl Membership {
    /// Reports until `stop`, then removes this process from the list.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut registry = self.redis.as_ref().map(|redis| MemberRegistry::new(redis, self.monitor.clone()));
        let mut warned = BTreeSet::new();
        let mut judge = Judge::new(self.standing.clone());
        while !stop.is_cancelled() {
            let nodes = self.own.nodes();
            self.me.report = serde_json::to_string(&self.report(nodes, &judge)).unwrap_or_default();
            let to_redis = async {
                match &mut registry {
                    Some(registry) => registry.beat(&self.me).await.ok(),
                    None => None,
                }
            };
            // At the same time, so that one that does not answer does not delay the other.
            let (from_database, from_redis) = tokio::join!(timeout(DATABASE_LIMIT, self.beat_database()), to_redis);
            let (now, from_database) = from_database.ok().and_then(Result::ok).unzip();
            // If neither answers, the last list stays.
            if let Some(list) = from_redis.or(from_database) {
                judge.compare(&self.me, &list, Own { leads: *self.role.borrow() == Role::Leader, nodes, now });
                self.publish(list, &mut warned);
            }
            stop.run_until_cancelled(sleep(BEAT)).await;
        }
        if let Some(registry) = &mut registry {
            // Best effort: a member without a beat is removed after ten seconds.
            let _ = registry.leave(self.me.instance).await;
        }
        let _ = timeout(LIMIT, self.leave_database()).await;
    }

    fn report(&self, nodes: NodeFindings, judge: &Judge) -> Report {
        let micros = |time: Duration| i64::try_from(time.as_micros()).unwrap_or(i64::MAX);
        Report {
            round_trip: self.round_trips.current().map(micros),
            can_work: self.own.can_work(),
            nodes: nodes.reach,
            few_nodes_at: judge.few_nodes_at(),
            spool: self.own.spool(),
            copy: self.own.copy(),
        }
    }

    /// Returns the time by the database, and the live members.
    async fn beat_database(&self) -> Result<(Moment, Vec<Member>), StoreError> {
        let now = clock::now(&self.db).await?;
        self.db.transaction("member heartbeat", async |tx| members::beat(tx, &self.me, now).await).await?;
        let (live, has_gone) = members::live_and_gone(&self.db, now).await?;
        if has_gone {
            self.db.transaction("forget members", async |tx| members::forget(tx, now).await).await?;
        }
        Ok((now, live))
    }

    async fn leave_database(&self) -> Result<(), StoreError> {
        self.db.transaction("remove member", async |tx| members::leave(tx, self.me.instance).await).await
    }

    fn publish(&self, list: Vec<Member>, warned: &mut BTreeSet<Uuid>) {
        metrics::gauge!("cluster_members").set(list.len() as f64);
        self.warn_of_other_intervals(&list, warned);
        self.members.send_replace(Arc::new(list));
    }

    /// Warns once of each member whose task intervals differ.
    fn warn_of_other_intervals(&self, list: &[Member], warned: &mut BTreeSet<Uuid>) {
        let ours = self.me.periods();
        for member in list {
            let differs = member.periods().iter().any(|(task, period)| ours.get(task).is_some_and(|own| own != period));
            if differs && warned.insert(member.instance) {
                tracing::warn!(
                    host = member.host,
                    theirs = member.tasks,
                    ours = self.me.tasks,
                    "task intervals differ between hosts; the leader's apply: set TASKS_… alike on all hosts"
                );
            }
        }
    }
}

impl MemberRegistry {
    fn new(redis: &PanelRedis, monitor: RedisMonitor) -> Self {
        Self {
            connection: DedicatedConnection::new(redis.servers.clone(), LIMIT, monitor),
            beats: redis.key("members"),
            descriptions: redis.key("member"),
        }
    }

    /// Records that `me` is alive; returns the live members.
    async fn beat(&mut self, me: &Member) -> RedisResult<Vec<Member>> {
        let description = serde_json::to_string(me).unwrap_or_default();
        let script = Script::new(REGISTRY_BEAT);
        let mut call = script.prepare_invoke();
        call.key(&self.beats).key(&self.descriptions);
        call.arg(me.instance.to_string()).arg(description).arg(GONE / 1_000);
        let list: Vec<(i64, String)> = self.connection.invoke(&call).await?;
        let read = |(ms, description): (i64, String)| {
            // A later version may use another format: such a member is left out of the list.
            serde_json::from_str::<Member>(&description).ok().map(|member| Member { last_seen: ms * 1_000, ..member })
        };
        let mut list: Vec<Member> = list.into_iter().filter_map(read).collect();
        list.sort_by_key(|member| (member.started_at, member.instance));
        Ok(list)
    }

    async fn leave(&mut self, instance: Uuid) -> RedisResult<i64> {
        let script = Script::new(REGISTRY_LEAVE);
        let mut call = script.prepare_invoke();
        call.key(&self.beats).key(&self.descriptions).arg(instance.to_string());
        self.connection.invoke(&call).await
    }
}
