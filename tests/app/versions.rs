//! Two versions side by side, of which only the newer one knows a certain task. Each has the coordination of a panel
//! and its own list of tasks.

use std::sync::Arc;
use std::time::Duration;

use sarban::app::{Coordination, CoordinationParts};
use sarban::clock::Clock;
use sarban::cluster::identity::Identity;
use sarban::cluster::leadership::Role;
use sarban::cluster::wakeup::Wakeup;
use sarban::domain::lease::LeaseTiming;
use sarban::domain::moment::SECOND;
use sarban::domain::schedule::{Schedule, Task};
use sarban::notify::{Delivery, Timing};
use sarban::store::cluster::members::Member;
use sarban::store::cluster::requests;
use sarban::store::{Db, Engine};
use serde_json::json;
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

use crate::cluster::redis_lock::panel_redis;
use crate::scheduler::task::{deps, supervisor};
use crate::support;
use crate::support::database::{TestDatabase, execute, number, on_both_engines};

on_both_engines!(task_unknown_to_the_older_version_waits_for_the_newer_one);

/// A task that both versions know.
const OLD: Task = Task::ReviewUsers;
/// A task that only the newer version knows.
const NEW: Task = Task::Prune;

const NEW_DONE: &str = "SELECT COUNT(*) FROM task_run WHERE task = 'prune' AND trigger = 'schedule' AND state = 'done'";
const NEW_ROWS: &str = "SELECT COUNT(*) FROM task_run WHERE task = 'prune'";
const NEW_GAPS: &str = "SELECT CAST((MAX(slot) - MIN(slot)) / 1000000 + 1 - COUNT(*) AS BIGINT) FROM task_run
    WHERE task = 'prune' AND trigger = 'schedule'";
const REQUESTS: &str = "SELECT COUNT(*) FROM task_request";

struct Version {
    coordination: Coordination,
    _data: TempDir,
}

impl Version {
    /// Starts a process of `version` that knows these tasks, each once a second.
    async fn start(test: &TestDatabase, cluster: &str, version: &str, tasks: &[Task]) -> Self {
        let schedules: Vec<Schedule> = tasks.iter().map(|task| Schedule { task: *task, period: SECOND }).collect();
        let known = tasks.iter().map(|task| (task.name().to_owned(), json!(SECOND))).collect();
        let mut identity = Identity::new(version.to_owned());
        version.clone_into(&mut identity.version);
        let (data, db) = (tempfile::tempdir().unwrap(), Db::open(&test.options).await.unwrap());
        let (supervisor, clock, wakeup) = (supervisor(&db).await, Clock::real(), Wakeup::default());
        let pause = Duration::from_secs(1);
        let quiet = Timing { retry_after: pause, attempts: 1, poll: pause, silence: pause, gather: pause };
        let coordination = Coordination::start(CoordinationParts {
            me: Member {
                instance: identity.instance,
                host: version.to_owned(),
                pid: 1,
                worker_threads: 1,
                cores: 1.0,
                version: version.to_owned(),
                started_at: clock.now().micros(),
                last_seen: 0,
                tasks: serde_json::Value::Object(known).to_string(),
                report: String::new(),
            },
            identity,
            timing: LeaseTiming::new(2 * SECOND, None).unwrap(),
            schedules,
            lease_database: test.options.clone(),
            redis: (test.db.engine() == Engine::Postgres).then(|| panel_redis(&support::redis_url(), cluster)),
            wakeup: wakeup.clone(),
            supervisor: supervisor.clone(),
            delivery: Delivery::new(clock, watch::channel(()).1, quiet, None, watch::channel(None).1),
            deps: Arc::new(deps(&db, supervisor, data.path())),
        });
        Self { coordination: coordination.unwrap(), _data: data }
    }

    async fn leads(&mut self) {
        let led = self.coordination.role.wait_for(|role| *role == Role::Leader);
        timeout(Duration::from_secs(20), led).await.expect("it leads").unwrap();
    }

    /// Waits for this number of members; returns their versions in order.
    async fn sees(&mut self, count: usize) -> Vec<String> {
        let seen = self.coordination.members.wait_for(|members| members.len() == count);
        let members = timeout(Duration::from_secs(20), seen).await.expect("all are seen").unwrap();
        let mut versions: Vec<String> = members.iter().map(|member| member.version.clone()).collect();
        versions.sort_unstable();
        versions
    }

    async fn stop(self) {
        self.coordination.drain();
        self.coordination.join().await;
    }
}

async fn task_unknown_to_the_older_version_waits_for_the_newer_one(test: TestDatabase) {
    let db = &test.db;
    let cluster = format!("test-{}", Uuid::new_v4().simple());
    let mut older = Version::start(&test, &cluster, "1.0.0", &[OLD]).await;
    older.leads().await;
    request_run(db, NEW).await;
    three_more_reviews(db).await;
    assert_eq!((number(db, NEW_ROWS).await, number(db, REQUESTS).await), (0, 1), "the older version touched the task");

    let mut newer = Version::start(&test, &cluster, "1.1.0", &[OLD, NEW]).await;
    assert_eq!(older.sees(2).await, ["1.0.0", "1.1.0"]);
    newer.leads().await;
    until(db, "the request is taken and slots are run", async || {
        number(db, REQUESTS).await == 0 && number(db, NEW_DONE).await > 0
    })
    .await;
    newer.stop().await;

    // As if the newer version had crashed during a run.
    let latest = "UPDATE task_run SET state = 'running', finished_at = NULL WHERE task = 'prune' AND slot =
        (SELECT MAX(slot) FROM task_run WHERE task = 'prune' AND trigger = 'schedule')";
    execute(db, latest).await;
    const RUNNING: &str = "SELECT COUNT(*) FROM task_run WHERE task = 'prune' AND state = 'running'";
    let before = (number(db, NEW_ROWS).await, number(db, RUNNING).await);
    assert!(before.1 > 0);
    older.leads().await;
    three_more_reviews(db).await;
    let after = (number(db, NEW_ROWS).await, number(db, RUNNING).await);
    assert_eq!(after, before, "a version that does not know the task ran or abandoned its slots");

    let done = number(db, NEW_DONE).await;
    let mut newer = Version::start(&test, &cluster, "1.1.0", &[OLD, NEW]).await;
    newer.leads().await;
    until(db, "slots are run again", async || number(db, NEW_DONE).await > done).await;
    assert_eq!(number(db, NEW_GAPS).await, 0, "a slot in between has no row");
    newer.stop().await;
    older.stop().await;
    let skipped = "SELECT COUNT(*) FROM task_run WHERE state IN ('failed', 'skipped')";
    assert_eq!(number(db, skipped).await, 0);
}

/// Requests a run of the task, as the newer version does.
async fn request_run(db: &Db, task: Task) {
    let mut tx = db.begin().await.unwrap();
    requests::add(&mut tx, task.name(), Clock::real().now()).await.unwrap();
    tx.commit().await.unwrap();
}

/// Waits for three more runs of `review_users`, in which the leader has checked all tasks.
async fn three_more_reviews(db: &Db) {
    const REVIEWS: &str = "SELECT COUNT(*) FROM task_run WHERE task = 'review_users' AND state = 'done'";
    let before = number(db, REVIEWS).await;
    until(db, "the task that both versions know is run", async || number(db, REVIEWS).await >= before + 3).await;
}

async fn until(db: &Db, what: &str, holds: impl AsyncFn() -> bool) {
    let limit = Instant::now() + Duration::from_secs(20);
    while !holds().await {
        assert!(Instant::now() < limit, "not within 20 s: {what}; {} rows", number(db, NEW_ROWS).await);
        sleep(Duration::from_millis(50)).await;
    }
}
