//! Time of the scheduled tasks when many users are due at once, and of concurrent writes: `cargo bench --bench tasks`.
//!
//! A second pool writes to one user after another, as another process would. Its longest write is about as long as the
//! longest chunk of the task.
//!
//! Runs on SQLite, and on PostgreSQL if `SARBAN_TEST_POSTGRES_URL` is set (`eval "$(make -s services)"`).
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a benchmark that can't go on ends")]

#[path = "../tests/support/mod.rs"]
mod support;
#[path = "../tests/scheduler/task.rs"]
#[expect(dead_code, reason = "the benchmark uses a part of it")]
mod task;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use sarban::domain::moment::{DAY, HOUR, Moment};
use sarban::domain::schedule::Task;
use sarban::store::{Db, Engine, Tx};
use sqlx::{AssertSqlSafe, raw_sql};
use support::database::{Content, TestDatabase, execute, number, with_database};
use task::Leader;
use tokio::time::{Instant, sleep};
use tokio_util::task::AbortOnDropHandle;

/// Users are created at 0; after a hundred days all of them are due.
const NOW: Moment = Moment::from_micros(100 * DAY);

fn main() {
    for users in [10_000, 100_000] {
        for engine in [Engine::Sqlite, Engine::Postgres] {
            with_database(engine, Content::Schema, async |test| measure(&test, users).await);
        }
    }
}

async fn measure(test: &TestDatabase, users: i64) {
    let db = &test.db;
    println!("{:?}, {users} users:", db.engine());
    seed(db, users).await;
    let mut leader = Leader::with_retention(db, Some(60)).await;
    let writer = ConcurrentWriter::start(test).await;
    time(&mut leader, &writer, Task::ReviewUsers, "with no user due", 0).await;
    for some in [1_000, users] {
        let expired = format!("UPDATE users SET expire_strategy = 'fixed_date', expire_date = 1 WHERE id <= {some}");
        execute(db, expired.leak()).await;
        time(&mut leader, &writer, Task::ReviewUsers, "expired", some).await;
        execute(
            db,
            "UPDATE users SET activated = TRUE, expire_strategy = 'never', expire_date = NULL WHERE activated = FALSE",
        )
        .await;
    }
    execute(db, "UPDATE user_traffic SET used_traffic = 20").await;
    time(&mut leader, &writer, Task::ReviewUsers, "have used up their data", users).await;
    time(&mut leader, &writer, Task::ReviewUsers, "with no user due again", 0).await;
    for some in [10_000, users] {
        let due = format!(
            "UPDATE user_traffic SET data_limit_reset_strategy = 'day', traffic_reset_at = NULL, used_traffic = 20 WHERE user_id <= {some}"
        );
        execute(db, due.leak()).await;
        time(&mut leader, &writer, Task::ResetUserDataUsage, "to be reset", some).await;
    }
    execute(db, "UPDATE users SET expire_strategy = 'start_on_first_use', usage_duration = 1000000, edit_at = 1").await;
    execute(db, "UPDATE user_traffic SET online_at = 2").await;
    time(&mut leader, &writer, Task::ReviewUsers, "on hold came online", users).await;

    // A day of usage on three nodes per user, to be rolled up.
    execute(
        db,
        "WITH RECURSIVE h (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM h WHERE n < 23)
        INSERT INTO user_usage_hours (user_id, hour, node_id, counted)
        SELECT u.id, h.n * 3600000000, node.id, 1000 FROM users u, h, (SELECT 1 AS id UNION ALL SELECT 2 UNION ALL SELECT 3) AS node
        WHERE u.id <= 10000",
    )
    .await;
    let rows = number(db, "SELECT COUNT(*) FROM user_usage_hours").await;
    let began = Instant::now();
    leader.run(Task::Prune, Moment::from_micros(61 * DAY + HOUR)).await.expect("the task runs");
    println!("    {rows} hours rolled up in {} ms", began.elapsed().as_millis());
    assert_eq!(number(db, "SELECT CAST(SUM(counted) AS BIGINT) FROM user_usage_days").await, rows * 1_000);
}

async fn time(leader: &mut Leader, writer: &ConcurrentWriter, task: Task, state: &str, items: i64) {
    writer.longest.store(0, Relaxed);
    let began = Instant::now();
    let done = leader.run(task, NOW).await.expect("the task runs");
    let (took, longest) = (began.elapsed().as_millis(), writer.longest.load(Relaxed));
    assert_eq!(done, items, "{state}");
    println!("    {} ({items} {state}): {took} ms; longest concurrent write {longest} ms", task.name());
}

/// A task that writes through a second pool.
struct ConcurrentWriter {
    /// Time of the longest write, milliseconds.
    longest: Arc<AtomicU64>,
    _writing: AbortOnDropHandle<()>,
}

impl ConcurrentWriter {
    async fn start(test: &TestDatabase) -> Self {
        let db = Db::open(&test.options).await.expect("another pool");
        let longest = Arc::new(AtomicU64::new(0));
        let recorded = longest.clone();
        let writing = tokio::spawn(async move {
            for nth in 0i64.. {
                let began = Instant::now();
                // While the rows are prepared, SQLite may be busy for longer than the busy time-out.
                let mut tx = loop {
                    if let Ok(tx) = db.begin().await {
                        break tx;
                    }
                };
                let text = format!("UPDATE users SET note = 'seen' WHERE id = {}", 1 + nth * 7919 % 10_000);
                let text = raw_sql(AssertSqlSafe(text));
                match &mut tx {
                    Tx::Pg(tx) => text.execute(tx.connection().expect("a connection")).await.map(drop),
                    Tx::Lite { tx, .. } => text.execute(&mut **tx).await.map(drop),
                }
                .expect("the update succeeds");
                tx.commit().await.expect("a commit");
                recorded.fetch_max(began.elapsed().as_millis() as u64, Relaxed);
                sleep(Duration::from_millis(20)).await;
            }
        });
        Self { longest, _writing: AbortOnDropHandle::new(writing) }
    }
}

async fn seed(db: &Db, users: i64) {
    let rows = format!(
        "WITH RECURSIVE n (id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n WHERE id < {users})
        INSERT INTO users (id, username, key, expire_strategy, created_at)
        SELECT id, 'user' || id, 'key' || id, 'never', 0 FROM n"
    );
    execute(db, rows.leak()).await;
    execute(db, "INSERT INTO user_traffic (user_id, data_limit, created_at) SELECT id, 10, 0 FROM users").await;
    execute(db, "ANALYZE").await;
}
