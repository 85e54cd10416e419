//! The elector on a real database and a real Redis: one leader at a time, quick hand-over, take-over after a death,
//! and no change of leader when Redis loses everything.

use std::sync::atomic::{AtomicBool, Ordering};
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
use sarban::cluster::wakeup::Wakeup;
use sarban::cluster::wakeup_relay;
use sarban::domain::ids::Epoch;
use sarban::domain::lease::LeaseTiming;
use sarban::domain::moment::SECOND;
use sarban::store::{Db, Tx};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::cluster::redis_lock::panel_redis;
use crate::support;
use crate::support::database::{TestDatabase, execute, number, on_both_engines};

on_both_engines!(
    a_drained_leader_hands_over_at_once,
    a_lease_is_given_back_when_the_database_is_slow,
    a_dead_leader_is_replaced_after_its_lease,
    a_stuck_loop_gives_up_the_lease,
    without_redis_there_is_one_leader_all_the_same,
    a_redis_that_loses_everything_changes_nothing,
    a_leader_whose_lease_is_taken_stops,
    whoever_steps_down_lets_another_one_lead,
    a_lease_that_was_claimed_and_forgotten_is_given_back,
    bulk_writing_elsewhere_costs_no_lease,
    whoever_yields_to_a_newer_version_hands_over_and_waits
);

/// What the leaders of a test do is written down here: epoch, and whether it began or ended.
type Diary = Arc<Mutex<Vec<(Epoch, bool)>>>;

/// Long enough on any machine, where the time itself is no promise.
const SOON: Duration = Duration::from_secs(20);

struct Member {
    step_down: Arc<Notify>,
    superseded: Arc<AtomicBool>,
    role: watch::Receiver<Role>,
    drain: CancellationToken,
    task: JoinHandle<()>,
}

struct Cluster {
    test: TestDatabase,
    name: String,
    redis: bool,
    diary: Diary,
    /// Whether a leader's loop beats its heartbeat.
    beating: bool,
}

impl Cluster {
    fn new(test: TestDatabase, redis: bool) -> Self {
        let name = format!("test-{}", Uuid::new_v4().simple());
        Self { test, name, redis, diary: Diary::default(), beating: true }
    }

    /// Waits until the leaders' diary begins with these entries and has no others in their place.
    async fn diary_becomes(&self, entries: &[(Epoch, bool)]) {
        let limit = Instant::now() + Duration::from_secs(10);
        while self.diary.lock().unwrap().len() < entries.len() {
            assert!(Instant::now() < limit, "{:?}", self.diary.lock().unwrap());
            sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(self.diary.lock().unwrap()[..entries.len()], *entries);
    }

    async fn join(&self) -> Member {
        let db = Db::open(&self.test.options).await.expect("connections");
        self.join_on(db)
    }

    fn join_on(&self, db: Db) -> Member {
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
            tokio::spawn(wakeup_relay::listen(wakeup.clone(), redis, instance, drain.clone()));
        }
        let (role, seen) = watch::channel(Role::None);
        let superseded = Arc::new(AtomicBool::new(false));
        let (diary, beating) = (self.diary.clone(), self.beating);
        let elector = Elector {
            identity,
            timing,
            db,
            clock: Clock::real(),
            redis_lock,
            wakeup,
            lead: Arc::new(move |leadership| lead(diary.clone(), leadership, beating).boxed()),
            role,
            step_down: step_down.clone(),
            superseded: superseded.clone(),
            drain: drain.clone(),
        };
        Member { step_down, superseded, role: seen, drain, task: tokio::spawn(elector.run()) }
    }
}

async fn lead(diary: Diary, leadership: Leadership, beating: bool) {
    let epoch = leadership.term.epoch();
    diary.lock().unwrap().push((epoch, true));
    while !leadership.stop.is_cancelled() {
        if beating {
            leadership.heartbeat.beat(Clock::real().boot());
        }
        let _ = timeout(Duration::from_millis(50), leadership.stop.cancelled()).await;
    }
    diary.lock().unwrap().push((epoch, false));
}

impl Member {
    async fn leads_within(&mut self, limit: Duration) -> Duration {
        let start = Instant::now();
        let leads = self.role.wait_for(|role| *role == Role::Leader);
        timeout(limit, leads).await.expect("it leads in time").expect("it lives");
        start.elapsed()
    }
}

fn leads(member: &Member) -> bool {
    *member.role.borrow() == Role::Leader
}

/// Waits for a leader, then watches for two seconds that nobody else leads as well. Returns its place.
async fn only_leader(members: &[Member]) -> usize {
    let limit = Instant::now() + Duration::from_secs(20);
    let mut led_since = None;
    loop {
        let leaders: Vec<usize> = (0..members.len()).filter(|place| leads(&members[*place])).collect();
        assert!(leaders.len() <= 1, "{leaders:?} lead");
        match (leaders.first(), led_since) {
            (Some(leader), Some(since)) if Instant::now() >= since + Duration::from_secs(2) => return *leader,
            (Some(_), None) => led_since = Some(Instant::now()),
            _ => assert!(Instant::now() < limit, "nobody leads"),
        }
        sleep(Duration::from_millis(10)).await;
    }
}

async fn a_drained_leader_hands_over_at_once(test: TestDatabase) {
    let cluster = Cluster::new(test, true);
    let mut first = cluster.join().await;
    first.leads_within(SOON).await;
    let mut second = cluster.join().await;
    sleep(Duration::from_millis(500)).await;
    assert!(!leads(&second));
    first.drain.cancel();
    // By the wakeup: without it the second one would sleep for what is left of the lock.
    let took = second.leads_within(Duration::from_secs(1)).await;
    println!("hand-over took {took:?}");
    first.task.await.expect("the first one ends in good order");
    cluster.diary_becomes(&[(Epoch(1), true), (Epoch(1), false), (Epoch(2), true)]).await;
    second.drain.cancel();
    second.task.await.expect("and so does the second");
}

async fn a_lease_is_given_back_when_the_database_is_slow(test: TestDatabase) {
    let cluster = Cluster::new(test, false);
    let mut first = cluster.join().await;
    first.leads_within(SOON).await;
    let mut tx = cluster.test.db.begin().await.expect("a transaction");
    hold_lease_row(&mut tx).await;
    first.drain.cancel();
    // Longer than one operation may take (0.08 TTL, on SQLite 0.2), and nowhere near the lease's end.
    sleep(Duration::from_millis(500)).await;
    tx.rollback().await.expect("the row is free");
    first.task.await.expect("it ends in good order");
    let released = "SELECT COUNT(*) FROM scheduler_lease WHERE released = TRUE";
    assert_eq!(number(&cluster.test.db, released).await, 1, "nobody need wait for its end");
}

async fn hold_lease_row(tx: &mut Tx) {
    const HOLD: &str = "UPDATE scheduler_lease SET host = host WHERE id = 1";
    match tx {
        Tx::Pg(tx) => sqlx::query(HOLD).execute(&mut **tx).await.map(drop),
        Tx::Lite { tx, .. } => sqlx::query(HOLD).execute(&mut **tx).await.map(drop),
    }
    .expect("the row is held");
}

async fn a_dead_leader_is_replaced_after_its_lease(test: TestDatabase) {
    let cluster = Cluster::new(test, true);
    let mut first = cluster.join().await;
    first.leads_within(SOON).await;
    let mut second = cluster.join().await;
    sleep(Duration::from_millis(500)).await;
    first.task.abort();
    // TTL 2 s, twice the promised second on top: test machines are slow.
    let took = second.leads_within(Duration::from_secs(4)).await;
    println!("take-over took {took:?}");
    second.drain.cancel();
    second.task.await.expect("the second one ends in good order");
}

async fn a_stuck_loop_gives_up_the_lease(test: TestDatabase) {
    let stuck = Cluster { beating: false, ..Cluster::new(test, true) };
    let mut first = stuck.join().await;
    first.leads_within(SOON).await;
    let over = first.role.wait_for(|role| *role != Role::Leader);
    timeout(Duration::from_secs(2), over).await.expect("0.3 TTL of silence is enough").expect("it lives");
    first.drain.cancel();
    first.task.await.expect("it ends in good order");
}

async fn without_redis_there_is_one_leader_all_the_same(test: TestDatabase) {
    let cluster = Cluster::new(test, false);
    let mut members = Vec::new();
    for _ in 0..3 {
        members.push(cluster.join().await);
    }
    let leader = only_leader(&members).await;
    members.remove(leader).task.abort();
    // After its death another one.
    only_leader(&members).await;
}

async fn a_redis_that_loses_everything_changes_nothing(test: TestDatabase) {
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
    assert_eq!(*cluster.diary.lock().unwrap(), [(Epoch(1), true)], "one term throughout");
}

async fn a_leader_whose_lease_is_taken_stops(test: TestDatabase) {
    let cluster = Cluster::new(test, false);
    let mut first = cluster.join().await;
    first.leads_within(SOON).await;
    execute(&cluster.test.db, "UPDATE scheduler_lease SET epoch = 9").await;
    execute(&cluster.test.db, "UPDATE scheduler_epoch SET epoch = 9").await;
    let over = first.role.wait_for(|role| *role != Role::Leader);
    timeout(Duration::from_secs(2), over).await.expect("the next renewal tells").expect("it lives");
    cluster.diary_becomes(&[(Epoch(1), true), (Epoch(1), false)]).await;
}

async fn whoever_steps_down_lets_another_one_lead(test: TestDatabase) {
    let cluster = Cluster::new(test, false);
    let mut first = cluster.join().await;
    first.leads_within(SOON).await;
    // Another one would have to look within the rest that the first one takes, TTL/4; alone it comes back after it.
    first.step_down.notify_one();
    let over = first.role.wait_for(|role| *role != Role::Leader);
    timeout(Duration::from_secs(1), over).await.expect("it steps down").expect("it lives");
    let took = first.leads_within(SOON).await;
    assert!(took > Duration::from_millis(400), "it came back after {took:?}");
}

async fn whoever_yields_to_a_newer_version_hands_over_and_waits(test: TestDatabase) {
    let cluster = Cluster::new(test, false);
    let mut older = cluster.join().await;
    older.leads_within(SOON).await;
    older.superseded.store(true, Ordering::Relaxed);
    let over = older.role.wait_for(|role| *role != Role::Leader);
    timeout(SOON, over).await.expect("it hands over").expect("it lives");
    sleep(Duration::from_secs(3)).await;
    assert!(!leads(&older), "although nobody else came");
    let mut newer = cluster.join().await;
    newer.leads_within(SOON).await;
    newer.drain.cancel();
    newer.task.await.expect("the newer one ends in good order");
    older.superseded.store(false, Ordering::Relaxed);
    older.leads_within(SOON).await;
}

async fn a_lease_that_was_claimed_and_forgotten_is_given_back(test: TestDatabase) {
    let cluster = Cluster::new(test, false);
    let mut first = cluster.join().await;
    first.leads_within(SOON).await;
    // As after a release whose commit came to nothing: the term is over and the row says that it is not.
    first.step_down.notify_one();
    let over = first.role.wait_for(|role| *role != Role::Leader);
    timeout(Duration::from_secs(1), over).await.expect("it steps down").expect("it lives");
    sleep(Duration::from_millis(100)).await;
    execute(
        &cluster.test.db,
        "UPDATE scheduler_lease SET released = FALSE, ttl = 30000000, lease_until = lease_until + 28000000",
    )
    .await;
    first.leads_within(SOON).await;
    assert_eq!(number(&cluster.test.db, "SELECT epoch FROM scheduler_lease").await, 2);
}

/// On SQLite the worst neighbour that the house allows: another process whose transactions take 250 ms, 50 ms apart,
/// while this process's own writers never rest.
async fn bulk_writing_elsewhere_costs_no_lease(test: TestDatabase) {
    let cluster = Cluster::new(test, false);
    let here = cluster.test.db.clone();
    execute(&here, "CREATE TABLE bulk (id BIGINT PRIMARY KEY, n BIGINT)").await;
    execute(&here, "INSERT INTO bulk VALUES (1, 0), (2, 0), (3, 0), (4, 0), (5, 0)").await;
    let lease_db = here.open_sibling(&cluster.test.options).await.expect("connections");
    let mut member = cluster.join_on(lease_db);
    member.leads_within(SOON).await;

    let elsewhere = Db::open(&cluster.test.options).await.expect("pools and a redis_lock of their own");
    let over = CancellationToken::new();
    let bulk = tokio::spawn(over.clone().run_until_cancelled_owned(async move {
        loop {
            let tx = elsewhere.begin().await.expect("its turn");
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
    assert_eq!(*cluster.diary.lock().unwrap(), [(Epoch(1), true)], "one term throughout");
    over.cancel();
    for writer in writers {
        let written = writer.await.expect("it writes");
        println!("an ordinary writer wrote {written} times");
        assert!(written > 3, "and nobody starves");
    }
    let _ = bulk.await;
    member.drain.cancel();
    member.task.await.expect("it ends in good order");
}
