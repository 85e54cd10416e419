//! Users and their changes reach nodes, and none is lost.

use std::time::Duration;

use sarban::actions;
use sarban::clock::Clock;
use sarban::domain::ids::{NodeId, UserId};
use sarban::store::Db;
use sarban::store::nodes::offers::OfferedInbound;
use sarban::store::nodes::sync_state;
use sarban::store::nodes::sync_state::{Offer, SyncEnd};
use sarban::store::users::node_status;
use tokio::time::Instant;

use crate::nodes::panel::{
    Panel, add_node, add_users, brisk, change, eventually, give, healthy, in_step, marks, next_term, number, revoke,
    sql, unhealthy,
};
use crate::support::database::on_both_engines;
use crate::support::test_node::{Event, Options, TestNode};

const HOUR: Duration = Duration::from_secs(3_600);

on_both_engines!(
    user_and_every_change_reach_node,
    acknowledging_node_is_in_step,
    revoked_key_is_removed_and_added_again,
    key_revoked_while_node_was_absent_is_renewed,
    restarted_node_gets_all_users_again,
    session_recovers_from_ended_stream,
    session_recovers_from_unknown_tag,
    change_during_send_keeps_its_mark,
    slow_node_delays_no_other,
    periodic_full_sync_renews_recent_keys,
    requested_full_sync_uses_open_connection,
    unserved_sync_request_connects_again,
    sync_request_does_not_restart_slow_first_list,
    node_that_lacks_changes_is_in_step_after_next_full_list,
    change_of_user_on_other_node_is_not_sent,
    changes_continue_while_batch_is_closing,
);

async fn node() -> TestNode {
    TestNode::start(Options::default()).await.unwrap()
}

async fn user_and_every_change_reach_node(db: Db) {
    let node = node().await;
    let _panel = in_step(&db, &node, 3).await;
    let user = node.users()[&2].clone();
    assert_eq!((user.username.as_str(), user.key.as_str()), ("user2", "key-2"));

    give(&db, "vmess", 3).await;
    eventually("a second tag arrives", async || node.users().values().all(|user| user.tags.len() == 2)).await;
    change(&db, "UPDATE users SET enabled = FALSE, activated = FALSE WHERE id = 2", [2]).await;
    eventually("a disabled user goes", async || !node.users().contains_key(&2)).await;
    change(&db, "UPDATE users SET enabled = TRUE, activated = TRUE WHERE id = 2", [2]).await;
    eventually("an enabled user comes back", async || node.users().contains_key(&2)).await;
    change(&db, "UPDATE users SET removed = TRUE, activated = FALSE, username = NULL WHERE id = 1", [1]).await;
    eventually("a deleted user goes", async || !node.users().contains_key(&1)).await;
    change(&db, "DELETE FROM users_services WHERE user_id = 3", [3]).await;
    eventually("a user without a service goes", async || !node.users().contains_key(&3)).await;
    eventually("all marks are cleared", async || marks(&db).await == 0).await;
    let syncs = node.events().iter().filter(|event| matches!(event, Event::Repopulated { .. })).count();
    assert_eq!(syncs, 1, "changes need no full sync");
}

async fn acknowledging_node_is_in_step(db: Db) {
    let node = TestNode::start(Options { acknowledge: true, ..Options::default() }).await.unwrap();
    let _panel = in_step(&db, &node, 450).await;
    change(&db, "UPDATE users SET enabled = FALSE WHERE id > 10", 1..=450).await;
    eventually("all but ten users go", async || node.users().len() == 10).await;
    eventually("all marks are cleared", async || marks(&db).await == 0).await;
}

async fn revoked_key_is_removed_and_added_again(db: Db) {
    let node = node().await;
    let _panel = in_step(&db, &node, 2).await;
    revoke(&db, 1, "fresh").await;
    eventually("the new key is there", async || node.users().get(&1).is_some_and(|user| user.key == "fresh")).await;
    let events = node.events();
    let tail = &events[events.len() - 2..];
    assert_eq!(tail, [Event::Removed { id: 1 }, Event::Added { id: 1, key: "fresh".into() }]);

    change(&db, "UPDATE users SET note = 'seen' WHERE id = 1", [1]).await;
    eventually("the mark is cleared", async || marks(&db).await == 0).await;
    assert_eq!(node.events().len(), events.len(), "an unchanged key is not renewed again");
}

async fn key_revoked_while_node_was_absent_is_renewed(db: Db) {
    let node = node().await;
    let _panel = in_step(&db, &node, 3).await;
    node.refuse(true);
    node.drop_connections();
    unhealthy(&db, 1, "").await;
    revoke(&db, 1, "fresh").await;
    eventually("an absent node holds no mark", async || marks(&db).await == 0).await;
    assert_eq!(node.users()[&1].key, "key-1", "the node still has its users, and the old key");
    node.refuse(false);
    healthy(&db, 1).await;
    assert_eq!(node.users()[&1].key, "fresh");
    assert!(node.events().contains(&Event::Repopulated { users: 2 }), "the user was left out of the list");
    assert_eq!(number(&db, "SELECT key_synced_seq FROM nodes").await, 1);
}

async fn restarted_node_gets_all_users_again(db: Db) {
    let node = node().await;
    let _panel = in_step(&db, &node, 5).await;
    node.restart();
    eventually("all users are back", async || node.users().len() == 5).await;
    healthy(&db, 1).await;
}

async fn session_recovers_from_ended_stream(db: Db) {
    let node = node().await;
    let _panel = in_step(&db, &node, 2).await;
    for round in 0..3 {
        node.end_sync();
        node.fail_next(2);
        change(&db, &format!("UPDATE users SET enabled = {} WHERE id = 2", round % 2 == 1), [2]).await;
        eventually("the change arrives", async || node.users().contains_key(&2) == (round % 2 == 1)).await;
    }
    healthy(&db, 1).await;
}

async fn session_recovers_from_unknown_tag(db: Db) {
    let node = node().await;
    let _panel = in_step(&db, &node, 2).await;
    let mut backends = Options::default().backends;
    backends[0].inbounds.retain(|inbound| inbound.tag != "vmess");
    // The engine was edited on the node itself, and the panel does not know it yet.
    node.set_backends(backends);
    give(&db, "vmess", 2).await;
    let absent = "SELECT COUNT(*) FROM inbounds WHERE absent_since IS NOT NULL";
    eventually("the panel knows it", async || number(&db, absent).await == 1).await;
    healthy(&db, 1).await;
    eventually("no mark is left", async || marks(&db).await == 0).await;
    assert_eq!(node.users().len(), 2);
}

async fn change_during_send_keeps_its_mark(db: Db) {
    let node = node().await;
    let _panel = in_step(&db, &node, 1).await;
    node.hold(HOUR);
    let before = node.changes();
    give(&db, "vmess", 1).await;
    // The node holds the first change back while the second one is made.
    eventually("the first change is sent", async || node.changes() > before).await;
    assert_eq!(node.users()[&1].tags.len(), 1);
    give(&db, "trojan", 1).await;
    node.release();
    eventually("the first change arrives", async || node.users()[&1].tags.len() == 2).await;
    assert_eq!(marks(&db).await, 1, "the second change is still marked");
    node.hold(Duration::ZERO);
    node.release();
    eventually("the second change arrives", async || node.users()[&1].tags.len() == 3).await;
    eventually("the mark is cleared", async || marks(&db).await == 0).await;
}

async fn slow_node_delays_no_other(db: Db) {
    let (slow, quick) = (node().await, node().await);
    add_node(&db, 2, quick.address(), "grpcio").await;
    let _panel = in_step(&db, &slow, 1).await;
    healthy(&db, 2).await;
    sql(&db, "DELETE FROM inbounds_services").await;
    slow.hold(HOUR);
    give(&db, "vmess", 1).await;
    eventually("the quick node has the change", async || {
        quick.users().get(&1).is_some_and(|user| user.tags.contains("vmess"))
    })
    .await;
    assert!(!slow.users()[&1].tags.contains("vmess"));
    assert_eq!(marks(&db).await, 1, "the slow node holds up the mark");
    slow.hold(Duration::ZERO);
    slow.release();
    eventually("the slow node has the change", async || slow.users()[&1].tags.contains("vmess")).await;
    eventually("the mark is cleared", async || marks(&db).await == 0).await;
}

async fn periodic_full_sync_renews_recent_keys(db: Db) {
    let node = node().await;
    add_node(&db, 1, node.address(), "grpcio").await;
    add_users(&db, 3).await;
    let panel = Panel::lead_with(&db, sarban::nodes::Timing { resync: Duration::from_millis(700), ..brisk() }).await;
    healthy(&db, 1).await;
    give(&db, "vless", 3).await;
    revoke(&db, 2, "fresh").await;
    eventually("the new key is there", async || node.users().get(&2).is_some_and(|user| user.key == "fresh")).await;
    let removals = |node: &TestNode| node.events().iter().filter(|it| **it == Event::Removed { id: 2 }).count();
    let before = removals(&node);
    eventually("the next full sync renews the key again", async || removals(&node) > before).await;
    let full_syncs =
        |node: &TestNode| node.events().iter().filter(|it| matches!(it, Event::Repopulated { .. })).count();
    let now = full_syncs(&node);
    eventually("two more full syncs come", async || full_syncs(&node) >= now + 3).await;
    let settled = removals(&node);
    let then = full_syncs(&node);
    eventually("one more full sync comes", async || full_syncs(&node) > then).await;
    assert_eq!(removals(&node), settled, "a key is not renewed for ever");
    panel.step_down().await;
}

fn full_syncs(node: &TestNode) -> usize {
    node.events().iter().filter(|event| matches!(event, Event::Repopulated { .. })).count()
}

/// Requests a full sync as an admin does.
async fn request_full_sync(db: &Db) {
    let asked = actions::Panel::new(db.clone(), Clock::real());
    actions::nodes::resync(&asked, NodeId(1)).await.unwrap();
}

const SYNCED_AT: &str = "SELECT synced_at FROM nodes WHERE id = 1";

async fn requested_full_sync_uses_open_connection(db: Db) {
    let node = node().await;
    let panel = in_step(&db, &node, 3).await;
    let connections = node.connections();
    for nth in 2..=3 {
        let before = number(&db, SYNCED_AT).await;
        request_full_sync(&db).await;
        eventually("all users are sent again", async || full_syncs(&node) == nth).await;
        eventually("the full sync is recorded", async || number(&db, SYNCED_AT).await > before).await;
        assert!(!panel.supervisor.connected().is_empty(), "usage can be fetched meanwhile");
    }
    change(&db, "DELETE FROM users_services WHERE user_id = 3", [3]).await;
    eventually("changes continue", async || !node.users().contains_key(&3)).await;
    assert_eq!(node.connections(), connections);
}

/// The supervisor's time limit of a call that a node answers from memory.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

async fn unserved_sync_request_connects_again(db: Db) {
    let node = node().await;
    let _panel = in_step(&db, &node, 3).await;
    let connections = node.connections();
    node.hold(HOUR);
    let started = Instant::now();
    eventually("another connection", async || {
        request_full_sync(&db).await;
        node.connections() > connections
    })
    .await;
    assert!(started.elapsed() < CALL_TIMEOUT, "the call that the node holds would end the session only then");
    // The new session's first call may be held, too.
    node.hold(Duration::ZERO);
    node.drop_connections();
    eventually("all users are sent again", async || full_syncs(&node) >= 2).await;
    healthy(&db, 1).await;
}

async fn sync_request_does_not_restart_slow_first_list(db: Db) {
    let node = node().await;
    node.hold(Duration::from_secs(1));
    add_node(&db, 1, node.address(), "grpcio").await;
    add_users(&db, 3).await;
    let _panel = Panel::lead_with(&db, sarban::nodes::Timing { unserved: HOUR, ..brisk() }).await;
    eventually("a connection", async || node.connections() == 1).await;
    for _ in 0..5 {
        request_full_sync(&db).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    healthy(&db, 1).await;
    assert_eq!(node.connections(), 1);
}

const NO_KEYS: SyncEnd = SyncEnd { key_seq: 0, users: 1 };

/// As after an overflow, when queued changes are dropped for a full list.
async fn node_that_lacks_changes_is_in_step_after_next_full_list(db: Db) {
    add_node(&db, 1, ([127, 0, 0, 1], 1).into(), "grpcio").await;
    add_users(&db, 1).await;
    let (fence, id, now) = (next_term(&db).await, NodeId(1), Clock::real().now());
    let inbound = OfferedInbound { tag: "vless".into(), protocol: "vless".into(), config: "{}".into() };
    let offer = Offer { inbounds: vec![inbound], ..Offer::default() };
    let shown = async || node_status::of_user(&db, UserId(1)).await.unwrap()[0].in_step;
    sync_state::begin_sync(&fence, id, &offer, false, now).await.unwrap();
    sql(&db, "INSERT INTO inbounds_services SELECT id, 1 FROM inbounds; UPDATE nodes SET status = 'healthy'").await;
    assert!(!shown().await);
    sync_state::end_sync(&fence, id, NO_KEYS, now).await.unwrap();
    assert!(shown().await);
    sync_state::begin_sync(&fence, id, &offer, false, now).await.unwrap();
    assert!(shown().await, "another list is on its way, and no change is lacking");
    sync_state::out_of_step(&fence, &[id]).await.unwrap();
    assert!(!shown().await);
    sync_state::end_sync(&fence, id, NO_KEYS, now).await.unwrap();
    assert!(!shown().await, "that full sync started before");
    sync_state::begin_sync(&fence, id, &offer, false, now).await.unwrap();
    assert!(!shown().await);
    sync_state::end_sync(&fence, id, NO_KEYS, now).await.unwrap();
    assert!(shown().await);
    sync_state::begin_sync(&fence, id, &offer, true, now).await.unwrap();
    assert!(!shown().await, "the dropped changes are in the list that is on its way");
    sync_state::end_sync(&fence, id, NO_KEYS, now).await.unwrap();
    assert!(shown().await);
}

async fn change_of_user_on_other_node_is_not_sent(db: Db) {
    let (one, other) = (node().await, node().await);
    add_node(&db, 2, other.address(), "grpcio").await;
    let _panel = in_step(&db, &one, 1).await;
    healthy(&db, 2).await;
    let one_alone = "DELETE FROM inbounds_services
                     WHERE inbound_id IN (SELECT id FROM inbounds WHERE node_id = 2)";
    change(&db, one_alone, [1]).await;
    eventually("the user leaves the other node", async || other.users().is_empty()).await;
    eventually("no mark is left", async || marks(&db).await == 0).await;
    // The panel knows the node's users for certain after the next list.
    other.refuse(true);
    other.drop_connections();
    unhealthy(&db, 2, "").await;
    other.refuse(false);
    healthy(&db, 2).await;
    // From now on the node accepts nothing.
    other.hold(Duration::from_secs(600));
    change(&db, "UPDATE users SET enabled = FALSE WHERE id = 1", [1]).await;
    eventually("the user leaves the one node", async || one.users().is_empty()).await;
    eventually("no mark waits for the other node", async || marks(&db).await == 0).await;
}

async fn changes_continue_while_batch_is_closing(db: Db) {
    let node = node().await;
    add_node(&db, 1, node.address(), "grpcio").await;
    add_users(&db, 40).await;
    // A node that does not acknowledge has this long to end a stream early.
    let timing = sarban::nodes::Timing { settle: (Duration::from_secs(2), Duration::ZERO), ..brisk() };
    let _panel = Panel::lead_with(&db, timing).await;
    healthy(&db, 1).await;
    give(&db, "vless", 40).await;
    eventually("all users arrive", async || node.users().len() == 40).await;
    assert_eq!(marks(&db).await, 40, "their batch is still open");
    for id in 1..=20 {
        change(&db, &format!("UPDATE users SET enabled = FALSE WHERE id = {id}"), [id]).await;
    }
    change(
        &db,
        "INSERT INTO users (id, username, key, expire_strategy, created_at) VALUES (41, 'new', 'k', 'never', 0);
                 INSERT INTO users_services (user_id, service_id) VALUES (41, 1)",
        [41],
    )
    .await;
    eventually("the new user arrives in the end", async || node.users().contains_key(&41)).await;
    eventually("the twenty users go", async || node.users().len() == 21).await;
    eventually("no mark is left", async || marks(&db).await == 0).await;
    healthy(&db, 1).await;
}
