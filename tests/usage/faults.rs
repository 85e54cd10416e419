//! Faults of usage recording, with real processes and a real node: the bytes that the node produced are the bytes that
//! were applied plus those reported as possibly lost.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;
use sarban::config::crash_point::UsageStep;
use sarban::store::{Db, Engine};
use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

use crate::app::panel_process::{PanelProcess, Setup};
use crate::support::database::{Content, TestDatabase, execute, number, on_both_engines, with_database};
use crate::support::test_node::{Options, TestNode};

on_both_engines!(leader_killed_at_any_step_counts_every_byte_once, lost_late_and_missing_replies_are_accounted_for);

const USERS: u32 = 3;
const APPLIED: &str = "SELECT CAST(COALESCE(SUM(lifetime_used_traffic), 0) AS BIGINT) FROM user_traffic";
const AMBIGUOUS: &str = "usage_rpc_ambiguous_total";

fn setup<'a>(test: &'a TestDatabase, folder: &'a Path) -> Setup<'a> {
    let cluster = format!("test-{}", Uuid::new_v4().simple());
    Setup { database: &test.options.url, redis: None, cluster, folder, more: vec![] }
}

/// Users 1 to 3, and nodes with the ids 1, 2, … in this order.
async fn insert_nodes_and_users(db: &Db, nodes: &[&TestNode]) {
    execute(db, "DELETE FROM nodes").await;
    for (id, node) in (1..).zip(nodes) {
        let port = node.address().port();
        let text = format!(
            "INSERT INTO nodes (id, name, address, port, connection_backend, created_at)
             VALUES ({id}, 'node {id}', '127.0.0.1', {port}, 'grpcio', 0)"
        );
        execute(db, text.leak()).await;
    }
    execute(
        db,
        "INSERT INTO users (id, username, key, expire_strategy, created_at)
         VALUES (1, 'ann', 'a', 'never', 0), (2, 'ben', 'b', 'never', 0), (3, 'cyd', 'c', 'never', 0)",
    )
    .await;
    execute(db, "INSERT INTO user_traffic (user_id, created_at) SELECT id, 0 FROM users").await;
}

fn produce(node: &TestNode, bytes: u64) {
    for user in 1..=USERS {
        node.add_usage(user, bytes);
    }
}

async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let limit = Instant::now() + Duration::from_secs(30);
    while !holds().await {
        assert!(Instant::now() < limit, "not within 30 s: {what}");
        sleep(Duration::from_millis(50)).await;
    }
}

async fn applied(db: &Db, bytes: u64) {
    let bytes = i64::try_from(bytes).expect("not that much");
    eventually(&format!("{bytes} bytes are applied"), async || number(db, APPLIED).await == bytes).await;
    let of_nodes = "SELECT CAST(COALESCE(SUM(downlink), 0) AS BIGINT) FROM node_usage_hours";
    assert_eq!(number(db, of_nodes).await, bytes, "the usage of nodes differs from that of users");
}

async fn leader_killed_at_any_step_counts_every_byte_once(test: TestDatabase) {
    let folder = tempfile::tempdir().expect("a folder");
    let setup = setup(&test, folder.path());
    let node = TestNode::start(Options::default()).await.expect("a node");
    insert_nodes_and_users(&test.db, &[&node]).await;
    let (mut produced, mut lost) = (0, 0);
    for (nth, step) in (1u64..).zip(UsageStep::ALL) {
        let bytes = 1_000 * nth;
        produce(&node, bytes);
        produced += bytes * u64::from(USERS);
        let mut doomed = setup.start_doomed(step.name(), step);
        let status = timeout(Duration::from_secs(30), doomed.ended()).await.expect("the process crashes");
        assert_eq!(status.signal(), Some(Signal::KILL.as_raw()), "{step:?}: {status}");
        let read = node.totals().read;
        let in_doubt = matches!(step, UsageStep::BeforeRpc | UsageStep::AfterReply);
        if step == UsageStep::AfterReply {
            // The reply was only in memory and is lost. Its size is unknown, but the loss is counted.
            lost += bytes * u64::from(USERS);
        }
        let mut successor = setup.start(&format!("successor of {}", step.name()));
        successor.ready().await;
        applied(&test.db, produced - lost).await;
        assert_eq!(successor.counter(AMBIGUOUS).await, f64::from(u8::from(in_doubt)), "{step:?}");
        assert_eq!(node.totals().produced, produced);
        assert_eq!(node.totals().read, if step == UsageStep::BeforeRpc { produced } else { read }, "{step:?}");
        assert!(successor.stop().await.success());
        assert_eq!(
            number(&test.db, APPLIED).await,
            i64::try_from(produced - lost).expect("small"),
            "{step:?}: bytes were counted again"
        );
        let left = std::fs::read_dir(folder.path().join("spool")).expect("the spool folder").count();
        assert_eq!(left, 0, "{step:?}: a spool file is left");
    }
}

async fn lost_late_and_missing_replies_are_accounted_for(test: TestDatabase) {
    let folder = tempfile::tempdir().expect("a folder");
    let setup = setup(&test, folder.path());
    let node = TestNode::start(Options::default()).await.expect("a node");
    let silent = TestNode::start(Options::default()).await.expect("another node");
    insert_nodes_and_users(&test.db, &[&node, &silent]).await;
    let mut panel = setup.start("ann");
    panel.ready().await;
    healthy(&test.db, 2).await;

    // One node stops answering. It keeps its usage and does not delay other nodes.
    silent.hold(Duration::from_secs(3_600));
    produce(&silent, 7);
    produce(&node, 100);
    let began = Instant::now();
    applied(&test.db, 300).await;
    println!("usage beside a silent node took {:?}", began.elapsed());

    // A late reply is not lost.
    node.hold(Duration::from_millis(2_500));
    produce(&node, 10);
    applied(&test.db, 330).await;
    node.hold(Duration::ZERO);

    // A restart of the node loses the usage that the node had not reported. The panel does not count that loss.
    node.restart();
    healthy(&test.db, 1).await;
    let own_loss = node.totals().lost;
    produce(&node, 1);
    applied(&test.db, 333).await;
    assert_eq!(node.totals().produced, node.totals().read + own_loss);
    let before = panel.counter(AMBIGUOUS).await;

    // A reply that is cut off after the node has reset its counters.
    node.lose_next_reply();
    produce(&node, 1_000);
    eventually("the reply is lost", async || node.totals().lost > own_loss).await;
    eventually("the loss is counted", async || panel.counter(AMBIGUOUS).await > before).await;
    let lost = node.totals().lost - own_loss;
    let rest = 3_000 - lost;
    produce(&node, 2);
    applied(&test.db, 333 + rest + 6).await;
    drop(silent);
    assert!(stopped(&mut panel).await);
}

/// Stops the panel; a silent node delays the stop by the grace period at most.
async fn stopped(panel: &mut PanelProcess) -> bool {
    timeout(Duration::from_secs(15), panel.stop()).await.is_ok_and(|status| status.success())
}

async fn healthy(db: &Db, nodes: i64) {
    let healthy = "SELECT COUNT(*) FROM nodes WHERE status = 'healthy'";
    eventually("the nodes are healthy", async || number(db, healthy).await >= nodes).await;
}

/// Only on PostgreSQL: the limit would also apply to the database file of SQLite.
#[test]
fn reply_too_large_for_the_spool_goes_to_the_database() {
    with_database(Engine::Postgres, Content::Schema, async |test| {
        let folder = tempfile::tempdir().expect("a folder");
        let setup = setup(&test, folder.path());
        let node = TestNode::start(Options::default()).await.expect("a node");
        insert_nodes_and_users(&test.db, &[&node]).await;
        let mut panel = setup.start_with_file_limit("ann", 64);
        panel.ready().await;
        healthy(&test.db, 1).await;
        // Ten thousand users need 120 kB. Most of them do not exist, but their bytes count for the node.
        for user in 1..=10_000 {
            node.add_usage(user, 5);
        }
        let of_node = "SELECT CAST(COALESCE(SUM(downlink), 0) AS BIGINT) FROM node_usage_hours";
        eventually("all bytes are in the database", async || number(&test.db, of_node).await == 50_000).await;
        let log = std::fs::read_to_string(folder.path().join("ann.log")).expect("the log");
        assert!(log.contains("could not spool a usage reply"), "{log}");
        assert_eq!(number(&test.db, APPLIED).await, 15);
        assert_eq!(panel.counter("usage_unknown_bytes_total").await, 49_985.0);
        // The next replies fit in the spool again.
        produce(&node, 1);
        eventually("the next bytes are in the database", async || number(&test.db, of_node).await == 50_003).await;
        assert!(panel.stop().await.success());
    });
}

/// Neither the spool nor the log can be written to.
#[test]
fn usage_stays_on_the_nodes_while_the_disk_is_full() {
    const NODES: usize = 40;
    const RUNS: &str = "SELECT COUNT(*) FROM task_run WHERE task = 'record_user_usages' AND state = 'done'";
    with_database(Engine::Postgres, Content::Schema, async |test| {
        let folder = tempfile::tempdir().expect("a folder");
        let setup = setup(&test, folder.path());
        let mut nodes = Vec::new();
        for _ in 0..NODES {
            nodes.push(TestNode::start(Options::default()).await.expect("a node"));
        }
        insert_nodes_and_users(&test.db, &nodes.iter().collect::<Vec<_>>()).await;
        // 1 KiB: enough for the requests to twenty nodes.
        let mut panel = setup.start_with_file_limit("ann", 1);
        panel.ready().await;
        healthy(&test.db, NODES as i64).await;
        let two_runs = async || {
            let before = number(&test.db, RUNS).await;
            eventually("two more runs are done", async || number(&test.db, RUNS).await >= before + 2).await;
        };
        // The first of these runs may have begun with few nodes.
        two_runs().await;
        for node in &nodes {
            produce(node, 10);
        }
        two_runs().await;
        assert!(nodes.iter().all(|node| node.totals().read == 0), "a node was asked for usage");
        panel.remove_file_limit();
        applied(&test.db, 10 * u64::from(USERS) * NODES as u64).await;
        assert!(panel.stop().await.success());
    });
}
