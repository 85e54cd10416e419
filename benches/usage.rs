//! Time to apply the usage of many nodes, and to fold it into hours: `cargo bench --bench usage`.
//!
//! Runs on SQLite, and on PostgreSQL if `SARBAN_TEST_POSTGRES_URL` is set (`eval "$(make -s services)"`).
//! Totals and limits are current as soon as usage is applied.
#![allow(clippy::expect_used, clippy::panic, reason = "a benchmark that can't go on ends")]

#[path = "../tests/support/mod.rs"]
mod support;

use std::time::Duration;

use sarban::domain::ids::{NodeId, UserId};
use sarban::domain::moment::Moment;
use sarban::domain::usage::UsageReply;
use sarban::store::usage::batches::{oldest_applied, oldest_staged, stage};
use sarban::store::usage::hours::fold;
use sarban::store::usage::totals::{ApplyOptions, apply};
use sarban::store::{Db, Engine};
use support::database::{Content, execute, number, with_database};
use tokio::time::Instant;
use uuid::Uuid;

const AT: Moment = Moment::from_micros(1_800_000_000_000_000);

fn main() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let fleets: &[i64] = if engine == Engine::Postgres { &[1, 1, 1, 10, 100] } else { &[1, 1, 1, 10] };
        with_database(engine, Content::Schema, async |test| measure(&test.db, 100_000, fleets).await);
    }
    with_database(Engine::Postgres, Content::Schema, async |test| measure(&test.db, 1_000_000, &[10, 10]).await);
}

async fn measure(db: &Db, users: i64, fleets: &[i64]) {
    seed(db, users).await;
    let mut charged = 0;
    for (round, nodes) in (0i64..).zip(fleets) {
        if round == 1 {
            println!("    with up to 50 GB of previous usage per user:");
            charged += add_previous_usage(db, users).await;
        }
        let at = AT.plus(round);
        let began = Instant::now();
        for node in 1..=*nodes {
            // One reply of 1.2 MB at a time: the replies must not dominate the measurement.
            let entries = (1..=users).map(|user| (UserId(user), 1_000 + user.unsigned_abs()));
            let reply = UsageReply::new(NodeId(node), at, 1.5, entries);
            stage(db, Uuid::now_v7(), &reply).await.expect("staged");
        }
        let staged = began.elapsed();
        reset_peak();
        let (applied, longest) = all(db, true).await;
        charged += nodes * (1..=users).map(|user| (1_000 + user) * 3 / 2).sum::<i64>();
        let total = "SELECT CAST(SUM(used_traffic) AS BIGINT) FROM user_traffic";
        assert_eq!(number(db, total).await, charged, "each byte is counted once");
        println!(
            "{:?}, {nodes} nodes × {users} users: applied in {} ms (longest transaction {} ms, peak memory {} MB), staged in {} ms",
            db.engine(),
            applied.as_millis(),
            longest.as_millis(),
            peak_mb(),
            staged.as_millis(),
        );
        if *nodes <= 10 {
            let (folded, longest) = all(db, false).await;
            println!("    folded in {} ms (longest transaction {} ms)", folded.as_millis(), longest.as_millis());
        }
    }
}

/// Adds usage to all users, and returns its sum in bytes. Without previous usage, as in the first round, all rows
/// change their position in the index of traffic, which is the slowest case.
async fn add_previous_usage(db: &Db, users: i64) -> i64 {
    execute(db, "UPDATE user_traffic SET used_traffic = used_traffic + user_id * 7919 % 100000 * 500000").await;
    (1..=users).map(|user| user * 7919 % 100_000 * 500_000).sum()
}

/// Applies or folds all batches. Returns the total time and that of the longest transaction.
async fn all(db: &Db, applying: bool) -> (Duration, Duration) {
    let (began, mut longest) = (Instant::now(), Duration::ZERO);
    loop {
        let next = if applying { oldest_staged(db).await } else { oldest_applied(db, AT.plus(100)).await };
        let batches = next.expect("batches are read").batches;
        if batches.is_empty() {
            return (began.elapsed(), longest);
        }
        let one = Instant::now();
        let mut tx = db.begin().await.expect("a transaction");
        if applying {
            apply(&mut tx, &batches, ApplyOptions { node_hours: true, notify_percent: None }, AT)
                .await
                .expect("applied");
        } else {
            fold(&mut tx, &batches, true, AT).await.expect("folded");
        }
        tx.commit().await.expect("committed");
        longest = longest.max(one.elapsed());
    }
}

/// Resets the kernel's measure of this process's peak memory.
fn reset_peak() {
    std::fs::write("/proc/self/clear_refs", "5").expect("Linux");
}

/// Returns the peak memory of this process in MB.
fn peak_mb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("the peak");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("kB") / 1_024
}

async fn seed(db: &Db, users: i64) {
    const TRAFFIC_ROWS: &str = "INSERT INTO user_traffic (user_id, data_limit, created_at)
        SELECT id, 1000000000000, 0 FROM users";
    let accounts = format!(
        "WITH RECURSIVE n (id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n WHERE id < {users})
        INSERT INTO users (id, username, key, expire_strategy, created_at)
        SELECT id, 'user' || id, 'key' || id, 'never', 0 FROM n"
    );
    execute(db, accounts.leak()).await;
    execute(db, TRAFFIC_ROWS).await;
}
