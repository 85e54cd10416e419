//! A large spool file is replayed in little memory, by a real process.

use std::fs;
use std::time::Duration;

use sarban::clock::Clock;
use sarban::domain::ids::{NodeId, UserId};
use sarban::domain::usage::UsageReply;
use sarban::nodes::spool::Spool;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::app::panel_process::{PanelProcess, Setup};
use crate::app::processes::setup;
use crate::support::database::{TestDatabase, number, on_both_engines};

on_both_engines!(empty large_spool_is_replayed_in_little_memory);

/// Users in each reply, which takes 1.2 MB.
const USERS: i64 = 100_000;
/// Memory by which the replay may raise the panel's peak, in MiB: replies on their way to the database, and those that the
/// leader applies together, 177 at most so far. It does not grow with the spool.
const GROWTH: u64 = 224;

/// Returns the size of the spool in MiB; `SARBAN_TEST_SPOOL_MIB=300` measures what an hour without a database leaves.
#[expect(clippy::disallowed_methods, reason = "a long form, for measurements")]
fn spool_mib() -> u64 {
    std::env::var("SARBAN_TEST_SPOOL_MIB").ok().and_then(|text| text.parse().ok()).unwrap_or(256)
}

fn peak_mib(panel: &PanelProcess) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", panel.id())).expect("it runs");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a line");
    peak.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") / 1_024
}

/// A panel without a spool to replay.
async fn baseline_mib(setup: &Setup<'_>) -> u64 {
    let mut panel = setup.start("ann");
    panel.ready().await;
    sleep(Duration::from_secs(2)).await;
    let peak = peak_mib(&panel);
    assert!(panel.stop().await.success());
    peak
}

async fn large_spool_is_replayed_in_little_memory(test: TestDatabase) {
    let folder = tempfile::tempdir().expect("a folder");
    let setup = setup(&test, folder.path());
    let before = baseline_mib(&setup).await;

    let (spools, instance, now) = (folder.path().join("spool"), Uuid::now_v7(), Clock::real().now());
    let mut spool = Spool::create(&spools, instance).expect("a spool");
    let mut replies = 0;
    while spool.len() < spool_mib() << 20 {
        let reply = UsageReply::new(NodeId(1), now, 1.0, (1..=USERS).map(|user| (UserId(user), 1)));
        spool.append(Uuid::now_v7(), &reply).expect("written");
        replies += 1;
    }
    drop(spool);

    let mut panel = setup.start("ben");
    panel.ready().await;
    let began = Instant::now();
    // It is removed after the last reply is staged.
    while spools.join(format!("{instance}.log")).exists() {
        assert!(began.elapsed() < Duration::from_secs(60 + spool_mib() * 2), "not replayed: {}", panel.log());
        sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(number(&test.db, "SELECT CAST(SUM(bytes) AS BIGINT) FROM usage_batch").await, replies * USERS);
    let after = peak_mib(&panel);
    println!(
        "{:?}: {replies} replies, {} MiB, staged in {:?}; peak {after} MiB, {before} MiB without a spool",
        test.db.engine(),
        spool_mib(),
        began.elapsed()
    );
    assert!(after <= before + GROWTH, "the peak rose from {before} to {after} MiB");
}
