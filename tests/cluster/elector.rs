//! The elector on a real database and a real Redis: one leader at a time, quick hand-over, take-over after a crash,
//! and no change of leader when Redis loses its data.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt;
use redis::Client;
use sarban::clock::Clock;
use sarban::cluster::dedicated_connection::DedicatedConnection;
use sarban::cluster::elector::Elector;
use sarban::cluster::identity::Identity;
use sarban::cluster::leadership::{Leadership, Role};
use sarban::cluster::redis::scheduler_key;
use sarban::cluster::redis_lock::RedisLock;
use sarban::cluster::redis_status::{RedisMonitor, RedisStatus};
use sarban::cluster::round_trips::RoundTrips;
use sarban::cluster::self_report::SelfReport;
use sarban::cluster::standing::Standing;
use sarban::cluster::wakeup::Wakeup;
use sarban::cluster::wakeup_relay;
use sarban::domain::ids::Epoch;
use sarban::domain::lease::LeaseTiming;
use sarban::domain::moment::SECOND;
use sarban::store::cluster::lease_connection::LeaseDb;
use sarban::store::{Db, OpenOptions, Tx};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::cluster::redis_lock::panel_redis;
use crate::support;
use crate::support::database::{TestDatabase, execute, number, on_both_engines};

on_both_engines!(
    drained_leader_hands_over_at_once,
    lease_is_released_although_the_database_is_slow,
    crashed_leader_is_replaced_after_its_lease,
    stuck_loop_releases_the_lease,
    members_without_redis_have_one_leader,
    redis_that_loses_its_data_changes_no_leader,
    leader_whose_lease_is_taken_stops,
    leader_that_steps_down_pauses_before_it_claims_again,
    lease_left_over_by_a_lost_release_is_released_again,
    leader_keeps_its_lease_during_bulk_writes,
    superseded_leader_hands_over_and_does_not_claim
);

/// Log of the leaders of a test: the epoch, and `true` for its begin or `false` for its end.
type LeaderLog = Arc<Mutex<Vec<(Epoch, bool)>>>;

/// Time limit of a claim: twice the TTL of 2 s.
const SOON: Duration = Duration::from_secs(15);

pub struct Member {
    pub instance: Uuid,
    step_down: Arc<Notify>,
    pub standing: Standing,
    pub role: watch::Receiver<Role>,
    pub drain: CancellationToken,
    pub task: JoinHandle<()>,
}

pub struct Cluster {
    test: TestDatabase,
    name: String,
    redis: bool,
    log: LeaderLog,
    /// `false`: a leader's loop does not beat its heartbeat.
    beating: bool,
}

impl Cluster {
    pub fn new(test: TestDatabase, redis: bool) -> Self {
        let name = format!("test-{}", Uuid::new_v4().simple());
        Self { test, name, redis, log: LeaderLog::default(), beating: true }
    }

    /// Waits until the log has as many entries, and checks that it begins with them.
    pub async fn leader_log_begins_with(&self, entries: &[(Epoch, bool)]) {
        let limit = Instant::now() + Duration::from_secs(10);
        while self.log.lock().unwrap().len() < entries.len() {
            assert!(Instant::now() < limit, "{:?}", self.log.lock().unwrap());
            sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(self.log.lock().unwrap()[..entries.len()], *entries);
    }

    /// Number of terms that have begun.
    pub fn terms(&self) -> usize {
        self.log.lock().unwrap().iter().filter(|(_, begun)| *begun).count()
    }

    pub async fn join(&self) -> Member {
        let db = Db::open(&self.test.options).await.expect("connections");
        self.join_on(&db, &self.test.options)
    }

    fn join_on(&self, db: &Db, options: &OpenOptions) -> Member {
        let identity = Identity::new("test".to_owned());
        let (instance, step_down) = (identity.instance, Arc::new(Notify::new()));
        let timing = LeaseTiming::new(2 * SECOND, None).expect("a good timing");
        let wakeup = Wakeup::default();
        let drain = CancellationToken::new();
        let redis = self.redis.then(|| panel_redis(&support::redis_url(), &self.name));
        let redis_lock = redis.as_ref().map(|redis| {
            let (limit, monitor) = (Duration::from_millis(160), RedisMonitor::new(RedisStatus::Ok));
            let connection = DedicatedConnection::new(redis.servers.clone(), limit, monitor);
            RedisLock::new(connection, &self.name, instance, Duration::from_secs(2))
        });
        if let Some(redis) = redis {
            tokio::spawn(wakeup_relay::publish(wakeup.clone(), redis.clone(), instance, drain.clone()));
            tokio::spawn(wakeup_relay::listen(
                wakeup.clone(),
                redis,
                instance,
                RedisMonitor::new(RedisStatus::Ok),
                drain.clone(),
            ));
        }
        let (role, seen) = watch::channel(Role::None);
        let standing = Standing::default();
        let (log, beating) = (self.log.clone(), self.beating);
        let elector = Elector {
            identity,
            timing,
            db: LeaseDb::new(db, options, Duration::from_micros(timing.connecting().unsigned_abs()))
                .expect("an address"),
            clock: Clock::real(),
            redis_lock,
            round_trips: RoundTrips::new(timing),
            own: SelfReport::default(),
            wakeup,
            lead: Arc::new(move |leadership| lead(log.clone(), leadership, beating).boxed()),
            role,
            step_down: step_down.clone(),
            standing: standing.clone(),
            drain: drain.clone(),
        };
        Member { instance, step_down, standing, role: seen, drain, task: tokio::spawn(elector.run()) }
    }
}

async fn lead(log: LeaderLog, leadership: Leadership, beating: bool) {
    let epoch = leadership.term.epoch();
    log.lock().unwrap().push((epoch, true));
    while !leadership.stop.is_cancelled() {
        if beating {
            leadership.heartbeat.beat(Clock::real().boot());
        }
        let _ = timeout(Duration::from_millis(50), leadership.stop.cancelled()).await;
    }
    log.lock().unwrap().push((epoch, false));
}

impl Member {
    pub async fn leads_within(&mut self, limit: Duration) -> Duration {
        let start = Instant::now();
        let leads = self.role.wait_for(|role| *role == Role::Leader);
        timeout(limit, leads).await.expect("it leads in time").expect("it lives");
        start.elapsed()
    }
}

pub fn leads(member: &Member) -> bool {
    *member.role.borrow() == Role::Leader
}

/// Waits until one member leads, at most until `limit`, then checks for two seconds that it leads and no other does.
/// Returns its index.
async fn only_leader(members: &[Member], limit: Duration) -> usize {
    let leading = || (0..members.len()).filter(|index| leads(&members[*index])).collect::<Vec<_>>();
    let start = Instant::now();
    while leading().is_empty() {
        assert!(start.elapsed() < limit, "no member leads");
        sleep(Duration::from_millis(10)).await;
    }
    let leaders = leading();
    let since = Instant::now();
    while since.elapsed() < Duration::from_secs(2) {
        assert_eq!(leaders.len(), 1, "{leaders:?} lead");
        assert_eq!(leading(), leaders, "the leader changed");
        sleep(Duration::from_millis(10)).await;
    }
    leaders[0]
}

async fn drained_leader_hands_over_at_once(test: TestDatabase) {
    let cluster = Cluster::new(test, true);
    let mut leader = cluster.join().await;
    leader.leads_within(SOON).await;
    let mut fastest = SOON;
    for _ in 0..3 {
        let mut next = cluster.join().await;
        sleep(Duration::from_millis(500)).await;
        assert!(!leads(&next));
        leader.drain.cancel();
        let took = next.leads_within(SOON).await;
        println!("hand-over took {took:?}");
        fastest = fastest.min(took);
        leader.task.await.expect("it ends without a panic");
        leader = next;
    }
    // The wake-up makes it fast: without it, each next member would sleep until the lock expires. A busy machine may delay some.
    assert!(fastest < Duration::from_secs(1), "{fastest:?}");
    let ended = (1..=3).flat_map(|epoch| [(Epoch(epoch), true), (Epoch(epoch), false)]);
    let expected: Vec<_> = ended.chain([(Epoch(4), true)]).collect();
    cluster.leader_log_begins_with(&expected).await;
    assert_eq!(cluster.log.lock().unwrap().len(), expected.len(), "there was another term");
    leader.drain.cancel();
    leader.task.await.expect("the last one ends without a panic");
}

async fn lease_is_released_although_the_database_is_slow(test: TestDatabase) {
    let cluster = Cluster::new(test, false);
    let mut first = cluster.join().await;
    first.leads_within(SOON).await;
    let mut tx = cluster.test.db.begin().await.expect("a transaction");
    hold_lease_row(&mut tx).await;
    first.drain.cancel();
    // Longer than the limit of one operation (0.08 TTL, on SQLite 0.2), and well before the lease expires.
    sleep(Duration::from_millis(500)).await;
    tx.rollback().await.expect("the row is free");
    first.task.await.expect("it ends without a panic");
    let released = "SELECT COUNT(*) FROM scheduler_lease WHERE released = TRUE";
    assert_eq!(number(&cluster.test.db, released).await, 1, "the lease is not released");
}

async fn hold_lease_row(tx: &mut Tx) {
    const HOLD: &str = "UPDATE scheduler_lease SET host = host WHERE id = 1";
    match tx {
        Tx::Pg(tx) => sqlx::query(HOLD).execute(tx.connection().expect("a connection")).await.map(drop),
        Tx::Lite { tx, .. } => sqlx::query(HOLD).execute(&mut **tx).await.map(drop),
    }
    .expect("the row is held");
}

async fn crashed_leader_is_replaced_after_its_lease(test: TestDatabase) {
    let cluster = Cluster::new(test, true);
    let mut first = cluster.join().await;
    first.leads_within(SOON).await;
    let mut second = cluster.join().await;
    sleep(Duration::from_millis(500)).await;
    first.task.abort();
    // Twice TTL + 1 s: test machines are slow.
    let took = second.leads_within(Duration::from_secs(6)).await;
    println!("take-over took {took:?}");
    second.drain.cancel();
    second.task.await.expect("the second one ends without a panic");
}

async fn stuck_loop_releases_the_lease(test: TestDatabase) {
    let stuck = Cluster { beating: false, ..Cluster::new(test, true) };
    let mut first = stuck.join().await;
    first.leads_within(SOON).await;
    let over = first.role.wait_for(|role| *role != Role::Leader);
    timeout(SOON, over).await.expect("0.3 TTL without a heartbeat ends the term").expect("it lives");
    first.drain.cancel();
    first.task.await.expect("it ends without a panic");
}

async fn members_without_redis_have_one_leader(test: TestDatabase) {
    let cluster = Cluster::new(test, false);
    let mut members = Vec::new();
    for _ in 0..3 {
        members.push(cluster.join().await);
    }
    let leader = only_leader(&members, SOON).await;
    members.remove(leader).task.abort();
    // Twice the TTL of 2 s and the longest wait between two looks, 2 s: without Redis no wake-up shortens it.
    only_leader(&members, Duration::from_secs(8)).await;
}

async fn redis_that_loses_its_data_changes_no_leader(test: TestDatabase) {
    let cluster = Cluster::new(test, true);
    let mut first = cluster.join().await;
    first.leads_within(SOON).await;
    let second = cluster.join().await;
    let client = Client::open(support::redis_url()).expect("an address");
    let mut connection = client.get_multiplexed_async_connection().await.expect("a connection");
    for _ in 0..20 {
        // Only this test's keys: other tests use the same Redis.
        let _: i64 = redis::cmd("DEL")
            .arg(scheduler_key(&cluster.name, "leader"))
            .query_async(&mut connection)
            .await
            .expect("deleted");
        sleep(Duration::from_millis(150)).await;
    }
    assert!(leads(&first) && !leads(&second));
    assert_eq!(*cluster.log.lock().unwrap(), [(Epoch(1), true)], "there was more than one term");
}

async fn leader_whose_lease_is_taken_stops(test: TestDatabase) {
    let cluster = Cluster::new(test, false);
    let mut first = cluster.join().await;
    first.leads_within(SOON).await;
    execute(&cluster.test.db, "UPDATE scheduler_lease SET epoch = 9").await;
    execute(&cluster.test.db, "UPDATE scheduler_epoch SET epoch = 9").await;
    let over = first.role.wait_for(|role| *role != Role::Leader);
    timeout(SOON, over).await.expect("the next renewal fails and ends the term").expect("it lives");
    cluster.leader_log_begins_with(&[(Epoch(1), true), (Epoch(1), false)]).await;
}

async fn leader_that_steps_down_pauses_before_it_claims_again(test: TestDatabase) {
    let cluster = Cluster::new(test, false);
    let mut first = cluster.join().await;
    first.leads_within(SOON).await;
    // After stepping down, a member does not claim for TTL/4. Without another candidate it leads again afterwards.
    let asked = Instant::now();
    first.step_down.notify_one();
    let over = first.role.wait_for(|role| *role != Role::Leader);
    timeout(SOON, over).await.expect("it steps down").expect("it lives");
    first.leads_within(SOON).await;
    let took = asked.elapsed();
    assert!(took >= Duration::from_millis(500), "it came back after {took:?}");
}

async fn superseded_leader_hands_over_and_does_not_claim(test: TestDatabase) {
    let cluster = Cluster::new(test, false);
    let mut older = cluster.join().await;
    older.leads_within(SOON).await;
    older.standing.set_superseded(true);
    let over = older.role.wait_for(|role| *role != Role::Leader);
    timeout(SOON, over).await.expect("it hands over").expect("it lives");
    sleep(Duration::from_secs(3)).await;
    assert!(!leads(&older), "a superseded member claimed the lease again");
    let mut newer = cluster.join().await;
    newer.leads_within(SOON).await;
    newer.drain.cancel();
    newer.task.await.expect("the newer one ends without a panic");
    older.standing.set_superseded(false);
    older.leads_within(SOON).await;
}

async fn lease_left_over_by_a_lost_release_is_released_again(test: TestDatabase) {
    let cluster = Cluster::new(test, false);
    let mut first = cluster.join().await;
    first.leads_within(SOON).await;
    // As after a release whose commit was lost: the term is over, and the row says that the lease is live.
    first.step_down.notify_one();
    let over = first.role.wait_for(|role| *role != Role::Leader);
    timeout(SOON, over).await.expect("it steps down").expect("it lives");
    sleep(Duration::from_millis(100)).await;
    execute(
        &cluster.test.db,
        "UPDATE scheduler_lease SET released = FALSE, ttl = 30000000, lease_until = lease_until + 28000000",
    )
    .await;
    first.leads_within(SOON).await;
    assert_eq!(number(&cluster.test.db, "SELECT epoch FROM scheduler_lease").await, 2);
}

/// On SQLite this is the highest load that the panel allows: transactions of 250 ms in another process, 50 ms apart,
/// and writers without pauses in this process.
async fn leader_keeps_its_lease_during_bulk_writes(test: TestDatabase) {
    let cluster = Cluster::new(test, false);
    let here = cluster.test.db.clone();
    execute(&here, "CREATE TABLE bulk (id BIGINT PRIMARY KEY, n BIGINT)").await;
    execute(&here, "INSERT INTO bulk VALUES (1, 0), (2, 0), (3, 0), (4, 0), (5, 0)").await;
    let lease_db = here.open_sibling(&cluster.test.options).await.expect("connections");
    let mut member = cluster.join_on(&lease_db, &cluster.test.options);
    member.leads_within(SOON).await;

    let elsewhere = Db::open(&cluster.test.options).await.expect("separate pools and a separate write lock");
    let over = CancellationToken::new();
    let bulk = tokio::spawn(over.clone().run_until_cancelled_owned(async move {
        loop {
            let tx = elsewhere.begin().await.expect("a transaction");
            sleep(Duration::from_millis(250)).await;
            tx.commit().await.expect("committed");
            sleep(Duration::from_millis(50)).await;
        }
    }));
    let mut writers = Vec::new();
    for _ in 0..4 {
        let (here, over) = (here.clone(), over.clone());
        writers.push(tokio::spawn(async move {
            let mut written = 0;
            while !over.is_cancelled() {
                execute(&here, "UPDATE bulk SET n = n + 1 WHERE id = 1").await;
                written += 1;
            }
            written
        }));
    }
    sleep(Duration::from_secs(15)).await;
    assert!(leads(&member));
    assert_eq!(*cluster.log.lock().unwrap(), [(Epoch(1), true)], "there was more than one term");
    over.cancel();
    for writer in writers {
        let written = writer.await.expect("it writes");
        println!("an ordinary writer wrote {written} times");
        assert!(written > 3, "a writer starved");
    }
    let _ = bulk.await;
    member.drain.cancel();
    member.task.await.expect("it ends without a panic");
}
