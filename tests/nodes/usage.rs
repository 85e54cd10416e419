//! Usage is fetched once, and lost replies are distinguished from requests that were not sent.

use std::time::Duration;

use sarban::domain::ids::UserId;
use sarban::domain::usage::MOST_PER_READING;
use sarban::nodes::{ConnectedNode, ReplyMemory, UsageError};
use sarban::store::Db;
use tokio::time::{Instant, timeout};

use crate::nodes::panel::{Panel, eventually, healthy, in_step, unhealthy};
use crate::support::database::on_both_engines;
use crate::support::test_node::{Options, RawReply, TestNode, Totals};

on_both_engines!(
    every_byte_is_fetched_once,
    bytes_are_fetched_during_the_first_full_sync,
    lost_reply_is_ambiguous,
    closed_connection_is_not_sent,
    silent_node_times_out_after_30_s_and_still_has_its_bytes,
    reply_beyond_default_message_limit_is_read,
    repeated_empty_and_unknown_entries_count_each_byte_once,
    unreadable_reply_is_ambiguous,
    reply_without_memory_waits_and_is_not_lost
);

async fn connected(panel: &Panel) -> ConnectedNode {
    eventually("the node is connected", async || !panel.supervisor.connected().is_empty()).await;
    panel.supervisor.connected().remove(0)
}

/// Fetches the usage of a panel whose newest user has this id.
async fn fetch(node: &ConnectedNode, newest: i64) -> Result<Vec<(UserId, u64)>, UsageError> {
    let mut entries = node.fetch_usage(UserId(newest), &ReplyMemory::default()).await?.entries;
    entries.sort_unstable();
    Ok(entries)
}

async fn every_byte_is_fetched_once(db: Db) {
    let node = TestNode::start(Options::default()).await.unwrap();
    let panel = in_step(&db, &node, 2).await;
    let fetching = connected(&panel).await;
    assert_eq!((fetching.id.0, fetching.coefficient), (1, 1.0));
    node.add_usage(1, 1_000);
    node.add_usage(2, u64::from(u32::MAX) * 3);
    let usage = fetch(&fetching, 2).await.unwrap();
    assert_eq!(usage, [(UserId(1), 1_000), (UserId(2), u64::from(u32::MAX) * 3)]);
    assert_eq!(fetch(&fetching, 2).await.unwrap(), []);

    node.add_usage(1, 7);
    panel.step_down().await;
    assert_eq!(fetch(&fetching, 2).await.unwrap(), [(UserId(1), 7)], "a fetch outlives the term");
    let Totals { produced, read, lost } = node.totals();
    assert_eq!((produced, lost), (read, 0));
}

async fn bytes_are_fetched_during_the_first_full_sync(db: Db) {
    let node = TestNode::start(Options::default()).await.unwrap();
    in_step(&db, &node, 2).await.step_down().await;
    node.restart();
    node.add_usage(1, 50);
    node.slow_engines(Duration::from_secs(5));
    let next = Panel::lead(&db).await;
    let usage = fetch(&connected(&next).await, 2).await.unwrap();
    assert_eq!((usage, node.users().len()), (vec![(UserId(1), 50)], 0));
    node.slow_engines(Duration::ZERO);
}

async fn lost_reply_is_ambiguous(db: Db) {
    let node = TestNode::start(Options::default()).await.unwrap();
    let panel = in_step(&db, &node, 1).await;
    node.add_usage(1, 50);
    node.refuse(true);
    node.lose_next_reply();
    let lost = fetch(&connected(&panel).await, 2).await;
    assert!(matches!(lost, Err(UsageError::Ambiguous(_))), "{lost:?}");
    assert_eq!(node.totals().lost, 50);
    unhealthy(&db, 1, "").await;
    node.refuse(false);
    healthy(&db, 1).await;
    node.add_usage(1, 8);
    let fetching = connected(&panel).await;
    // The session may be calling, too.
    node.fail_next(10);
    let refused = fetch(&fetching, 2).await;
    assert!(matches!(refused, Err(UsageError::Ambiguous(_))), "one engine may have been reset already: {refused:?}");
}

async fn closed_connection_is_not_sent(db: Db) {
    let node = TestNode::start(Options::default()).await.unwrap();
    let panel = in_step(&db, &node, 1).await;
    let old = connected(&panel).await;
    node.add_usage(1, 50);
    node.refuse(true);
    node.drop_connections();
    eventually("the session has ended", async || panel.supervisor.connected().is_empty()).await;
    let unasked = fetch(&old, 2).await;
    assert!(matches!(unasked, Err(UsageError::NotSent(_))), "{unasked:?}");
    assert_eq!(node.totals().read, 0);
}

async fn silent_node_times_out_after_30_s_and_still_has_its_bytes(db: Db) {
    let node = TestNode::start(Options::default()).await.unwrap();
    let panel = in_step(&db, &node, 1).await;
    let fetching = connected(&panel).await;
    node.add_usage(1, 50);
    node.hold(Duration::from_secs(3_600));
    let began = Instant::now();
    let silent = fetch(&fetching, 2).await;
    assert!(matches!(silent, Err(UsageError::Ambiguous(_))), "{silent:?}");
    assert!(began.elapsed() >= Duration::from_secs(30), "waited only {:?}", began.elapsed());
    node.hold(Duration::ZERO);
    node.add_usage(1, 8);
    assert_eq!(fetch(&connected(&panel).await, 2).await.unwrap(), [(UserId(1), 58)]);
    let Totals { produced, read, lost } = node.totals();
    assert_eq!((produced, read, lost), (58, 58, 0));
}

/// tonic's default limit of 4 MiB would refuse the reply after the node has reset its counters.
async fn reply_beyond_default_message_limit_is_read(db: Db) {
    let node = TestNode::start(Options::default()).await.unwrap();
    let panel = in_step(&db, &node, 1).await;
    for user in 1..=500_000 {
        node.add_usage(user, u64::from(user) << 20);
    }
    let usage = fetch(&connected(&panel).await, 500_000).await.unwrap();
    assert_eq!(usage.len(), 500_000);
    assert_eq!(usage.iter().map(|(_, bytes)| bytes).sum::<u64>(), node.totals().produced);
}

/// An entry of a reply.
fn entry(user: u8, bytes: u8) -> Vec<u8> {
    vec![0x0a, 4, 8, user, 16, bytes]
}

async fn repeated_empty_and_unknown_entries_count_each_byte_once(db: Db) {
    let node = TestNode::start(Options::default()).await.unwrap();
    let panel = in_step(&db, &node, 1).await;
    let empty = [0x0a, 0].repeat(2_000);
    // Field 7, a text of 1,000 bytes.
    let unknown = [&[7 << 3 | 2, 0xe8, 7][..], &[b'x'; 1_000]].concat();
    let stranger = vec![0x0a, 8, 8, 0xff, 0xff, 0xff, 0xff, 15, 16, 3];
    let pieces = vec![empty, unknown, entry(1, 1).repeat(10), entry(2, 5), stranger];
    node.reply_raw("FetchUsersStats", Some(RawReply { pieces, times: 1_000 }));
    let usage = fetch(&connected(&panel).await, 2).await.unwrap();
    let bytes = |id: i64| usage.iter().filter(|(user, _)| user.0 == id).map(|(_, bytes)| bytes).sum::<u64>();
    assert_eq!((bytes(1), bytes(2), bytes(i64::from(u32::MAX))), (10_000, 5_000, 3_000));
    assert!(usage.iter().all(|(_, bytes)| *bytes <= MOST_PER_READING));
    node.reply_raw("FetchUsersStats", None);
    node.add_usage(1, 9);
    assert_eq!(fetch(&connected(&panel).await, 2).await.unwrap(), [(UserId(1), 9)], "the connection is in use");
}

async fn unreadable_reply_is_ambiguous(db: Db) {
    let node = TestNode::start(Options::default()).await.unwrap();
    let panel = in_step(&db, &node, 1).await;
    for pieces in [vec![entry(1, 1), vec![0x0a, 9]], vec![vec![0x0b]], vec![vec![0x0a, 0xff, 0xff, 0xff, 0x7f, 1]]] {
        node.reply_raw("FetchUsersStats", Some(RawReply { pieces, times: 1 }));
        let unreadable = fetch(&connected(&panel).await, 2).await;
        assert!(matches!(unreadable, Err(UsageError::Ambiguous(_))), "{unreadable:?}");
    }
}

async fn reply_without_memory_waits_and_is_not_lost(db: Db) {
    let node = TestNode::start(Options::default()).await.unwrap();
    let panel = in_step(&db, &node, 1).await;
    // More than HTTP/2 lets a node send before the panel reads.
    for user in 1..=500_000 {
        node.add_usage(user, u64::from(user) << 20);
    }
    let (memory, fetching) = (ReplyMemory::default(), connected(&panel).await);
    let all = memory.acquire(usize::MAX).await;
    let fetch = fetching.fetch_usage(UserId(500_000), &memory);
    tokio::pin!(fetch);
    assert!(timeout(Duration::from_secs(2), &mut fetch).await.is_err(), "the reply waits");
    drop(all);
    let usage = fetch.await.unwrap();
    assert_eq!(usage.entries.iter().map(|(_, bytes)| bytes).sum::<u64>(), node.totals().produced);
}
