//! A spool file with a damaged record and one that no database accepts, found by a real process.

use std::fs;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::time::Duration;

use sarban::clock::Clock;
use sarban::domain::ids::{NodeId, UserId};
use sarban::domain::usage::UsageReply;
use sarban::nodes::spool::Spool;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::app::processes::setup;
use crate::support::database::{TestDatabase, number, on_both_engines};

on_both_engines!(records_around_a_damaged_and_an_impossible_one_are_recorded);

async fn records_around_a_damaged_and_an_impossible_one_are_recorded(test: TestDatabase) {
    let folder = tempfile::tempdir().expect("a folder");
    let spools = folder.path().join("spool");
    let instance = Uuid::now_v7();
    let mut spool = Spool::create(&spools, instance).expect("a spool");
    let mut ends = Vec::new();
    for n in 1..=10_u64 {
        let coefficient = if n == 5 { f64::NAN } else { 1.0 };
        let reply = UsageReply::new(NodeId(1), Clock::real().now(), coefficient, [(UserId(1), n)]);
        spool.append(Uuid::now_v7(), &reply).expect("written");
        ends.push(spool.len());
    }
    drop(spool);
    let file = fs::File::options().write(true).open(spools.join(format!("{instance}.log"))).expect("it opens");
    file.write_all_at(&[0xff], ends[1] + 20).expect("the third record is damaged");

    let setup = setup(&test, folder.path());
    let mut panel = setup.start("ann");
    panel.ready().await;
    let limit = Instant::now() + Duration::from_secs(20);
    while panel.counter("usage_spool_damaged_bytes_total").await == 0.0 {
        assert!(Instant::now() < limit, "the spool was not replayed: {}", panel.log());
        sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(panel.counter("usage_spool_damaged_bytes_total").await, (ends[2] - ends[1]) as f64);
    assert_eq!(panel.counter("usage_refused_bytes_total").await, 5.0);
    assert_eq!(number(&test.db, "SELECT COUNT(*) FROM usage_batch").await, 8);
    assert_eq!(number(&test.db, "SELECT CAST(SUM(bytes) AS BIGINT) FROM usage_batch").await, 55 - 3 - 5);
    let log = panel.log();
    assert_eq!(log.matches("a spool file is damaged").count(), 1, "{log}");
    let aside = spools.join(format!("{instance}.aside"));
    assert_eq!(fs::metadata(&aside).expect("it exists").permissions().mode() & 0o777, 0o600);
    assert!(!spools.join(format!("{instance}.log")).exists(), "the spool file is left");
    assert!(panel.stop().await.success());
}
