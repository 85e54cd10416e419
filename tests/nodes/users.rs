//! Users reach nodes, changes follow, and nothing is lost on the way.

use std::time::Duration;

use sarban::actions;
use sarban::clock::Clock;
use sarban::cluster::wakeup::Wakeup;
use sarban::domain::ids::{NodeId, UserId};
use sarban::store::Db;
use sarban::store::nodes::sync_state;
use sarban::store::nodes::sync_state::{Offer, OfferedInbound};
use sarban::store::users::node_status;

use crate::panel::{
    Panel, add_node, add_users, brisk, change, eventually, give, healthy, in_step, marks, next_term, number, revoke,
    sql, unhealthy,
};
use crate::support::database::on_both_engines;
use crate::test_node::{Event, Options, TestNode};

on_both_engines!(
    a_user_arrives_and_every_change_follows,
    a_node_that_acknowledges_is_in_step_as_well,
    a_revoked_key_is_removed_and_added_anew,
    a_key_revoked_while_the_node_was_away_is_renewed,
    a_restarted_node_gets_everybody_again,
    an_ended_stream_is_begun_again,
    what_the_node_offers_is_what_the_panel_has,
    an_unknown_tag_breaks_the_session_and_the_next_one_heals_it,
    a_change_during_the_send_keeps_its_mark,
    a_slow_node_delays_no_other,
    a_resync_renews_what_was_undone_behind_our_back,
    a_resync_goes_over_the_connection_that_there_is,
    a_resync_that_was_asked_for_in_vain_connects_anew,
    a_first_list_that_takes_long_is_not_begun_again_by_a_request,
    a_node_that_lacks_changes_is_in_step_after_the_next_list_only,
    a_user_of_other_nodes_is_no_news,
    changes_go_on_while_a_batch_is_being_closed,
);

async fn node() -> TestNode {
    TestNode::start(Options::default()).await.unwrap()
}

async fn a_user_arrives_and_every_change_follows(db: Db) {
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

async fn a_node_that_acknowledges_is_in_step_as_well(db: Db) {
    let node = TestNode::start(Options { acknowledge: true, ..Options::default() }).await.unwrap();
    let _panel = in_step(&db, &node, 450).await;
    change(&db, "UPDATE users SET enabled = FALSE WHERE id > 10", 1..=450).await;
    eventually("all but ten users go", async || node.users().len() == 10).await;
    eventually("all marks are cleared", async || marks(&db).await == 0).await;
}

async fn a_revoked_key_is_removed_and_added_anew(db: Db) {
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

async fn a_key_revoked_while_the_node_was_away_is_renewed(db: Db) {
    let node = node().await;
    let _panel = in_step(&db, &node, 3).await;
    node.refuse(true);
    node.drop_connections();
    unhealthy(&db, 1, "").await;
    revoke(&db, 1, "fresh").await;
    eventually("an absent node holds no mark", async || marks(&db).await == 0).await;
    assert_eq!(node.users()[&1].key, "key-1", "the node kept its users, and the old key");
    node.refuse(false);
    healthy(&db, 1).await;
    assert_eq!(node.users()[&1].key, "fresh");
    assert!(node.events().contains(&Event::Repopulated { users: 2 }), "the user was left out of the list");
    assert_eq!(number(&db, "SELECT key_synced_seq FROM nodes").await, 1);
}

async fn a_restarted_node_gets_everybody_again(db: Db) {
    let node = node().await;
    let _panel = in_step(&db, &node, 5).await;
    node.restart();
    eventually("everybody is back", async || node.users().len() == 5).await;
    healthy(&db, 1).await;
}

async fn an_ended_stream_is_begun_again(db: Db) {
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

async fn what_the_node_offers_is_what_the_panel_has(db: Db) {
    let node = node().await;
    let _panel = in_step(&db, &node, 1).await;
    assert_eq!(number(&db, "SELECT COUNT(*) FROM backends WHERE name = 'xray' AND running").await, 1);
    assert_eq!(number(&db, "SELECT COUNT(*) FROM inbounds WHERE protocol = tag").await, 4);
    let host = "SELECT COUNT(*) FROM hosts JOIN inbounds ON inbounds.id = inbound_id
                WHERE spec ->> 'address' = '{SERVER_IP}' AND tag = 'trojan'";
    assert_eq!(number(&db, host).await, 1, "a new inbound has a host");

    let mut backends = Options::default().backends;
    backends[0].inbounds.retain(|inbound| inbound.tag != "trojan");
    backends[0].inbounds[0].config = Some(r#"{"tag": "vless", "protocol": "vmess"}"#.into());
    node.set_backends(backends);
    sql(&db, "DELETE FROM hosts WHERE inbound_id = (SELECT id FROM inbounds WHERE tag = 'vmess')").await;
    node.drop_connections();
    eventually("the inbound is gone", async || number(&db, "SELECT COUNT(*) FROM inbounds").await == 3).await;
    assert_eq!(number(&db, host).await, 0, "and its host");
    assert_eq!(number(&db, "SELECT COUNT(*) FROM hosts").await, 2, "a known inbound gets no second host");
    assert_eq!(number(&db, "SELECT COUNT(*) FROM inbounds WHERE tag = 'vless' AND protocol = 'vmess'").await, 1);
    assert_eq!(number(&db, "SELECT COUNT(*) FROM inbounds_services").await, 1, "a service keeps its inbounds");
}

async fn an_unknown_tag_breaks_the_session_and_the_next_one_heals_it(db: Db) {
    let node = node().await;
    let _panel = in_step(&db, &node, 2).await;
    let mut backends = Options::default().backends;
    backends[0].inbounds.retain(|inbound| inbound.tag != "vmess");
    // The engine was edited on the node itself: the panel knows nothing of it yet.
    node.set_backends(backends);
    give(&db, "vmess", 2).await;
    eventually("the panel has learned of it", async || number(&db, "SELECT COUNT(*) FROM inbounds").await == 3).await;
    healthy(&db, 1).await;
    eventually("no mark is left", async || marks(&db).await == 0).await;
    assert_eq!(node.users().len(), 2);
}

async fn a_change_during_the_send_keeps_its_mark(db: Db) {
    let node = node().await;
    let _panel = in_step(&db, &node, 1).await;
    node.hold(Duration::from_millis(400));
    give(&db, "vmess", 1).await;
    // The first change is being held back by the node as the second is made.
    tokio::time::sleep(Duration::from_millis(150)).await;
    assert_eq!(node.users()[&1].tags.len(), 1);
    give(&db, "trojan", 1).await;
    eventually("the first change arrives", async || node.users()[&1].tags.len() == 2).await;
    assert_eq!(marks(&db).await, 1, "the second change is still marked");
    eventually("the second change arrives", async || node.users()[&1].tags.len() == 3).await;
    eventually("the mark is cleared", async || marks(&db).await == 0).await;
}

async fn a_slow_node_delays_no_other(db: Db) {
    let (slow, quick) = (node().await, node().await);
    add_node(&db, 2, quick.address(), "grpcio").await;
    let _panel = in_step(&db, &slow, 1).await;
    healthy(&db, 2).await;
    sql(&db, "DELETE FROM inbounds_services").await;
    slow.hold(Duration::from_secs(2));
    give(&db, "vmess", 1).await;
    eventually("the quick node has it", async || quick.users().get(&1).is_some_and(|user| user.tags.contains("vmess")))
        .await;
    assert!(!slow.users()[&1].tags.contains("vmess"));
    assert_eq!(marks(&db).await, 1, "the slow node holds up the mark");
    eventually("the slow node has it", async || slow.users()[&1].tags.contains("vmess")).await;
    slow.hold(Duration::ZERO);
    eventually("the mark is cleared", async || marks(&db).await == 0).await;
}

async fn a_resync_renews_what_was_undone_behind_our_back(db: Db) {
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
    eventually("and one more", async || full_syncs(&node) > then).await;
    assert_eq!(removals(&node), settled, "an old change of a key is not renewed for ever");
    panel.step_down().await;
}

fn full_syncs(node: &TestNode) -> usize {
    node.events().iter().filter(|event| matches!(event, Event::Repopulated { .. })).count()
}

/// As an admin does.
async fn ask_for_a_full_sync(db: &Db) {
    let asked =
        actions::Panel { db: db.clone(), clock: Clock::real(), wakeup: Wakeup::default(), targets: Default::default() };
    assert!(actions::nodes::resync(&asked, NodeId(1)).await.unwrap());
}

const SYNCED_AT: &str = "SELECT synced_at FROM nodes WHERE id = 1";

async fn a_resync_goes_over_the_connection_that_there_is(db: Db) {
    let node = node().await;
    let panel = in_step(&db, &node, 3).await;
    let connections = node.connections();
    for nth in 2..=3 {
        let before = number(&db, SYNCED_AT).await;
        ask_for_a_full_sync(&db).await;
        eventually("all users are sent again", async || full_syncs(&node) == nth).await;
        eventually("that is known", async || number(&db, SYNCED_AT).await > before).await;
        assert!(!panel.supervisor.connected().is_empty(), "its usage is recorded meanwhile");
    }
    change(&db, "DELETE FROM users_services WHERE user_id = 3", [3]).await;
    eventually("changes go on", async || !node.users().contains_key(&3)).await;
    assert_eq!(node.connections(), connections);
}

async fn a_resync_that_was_asked_for_in_vain_connects_anew(db: Db) {
    let node = node().await;
    let _panel = in_step(&db, &node, 3).await;
    let connections = node.connections();
    node.hold(Duration::from_secs(3_600));
    eventually("another connection", async || {
        ask_for_a_full_sync(&db).await;
        node.connections() > connections
    })
    .await;
    node.hold(Duration::ZERO);
    eventually("all users are sent again", async || full_syncs(&node) == 2).await;
    healthy(&db, 1).await;
}

async fn a_first_list_that_takes_long_is_not_begun_again_by_a_request(db: Db) {
    let node = node().await;
    node.hold(Duration::from_secs(1));
    add_node(&db, 1, node.address(), "grpcio").await;
    add_users(&db, 3).await;
    let _panel = Panel::lead_with(&db, sarban::nodes::Timing { in_vain: Duration::from_secs(3_600), ..brisk() }).await;
    eventually("a connection", async || node.connections() == 1).await;
    for _ in 0..5 {
        ask_for_a_full_sync(&db).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    healthy(&db, 1).await;
    assert_eq!(node.connections(), 1);
}

/// As when it has so many changes waiting that they are given up for a full list.
async fn a_node_that_lacks_changes_is_in_step_after_the_next_list_only(db: Db) {
    add_node(&db, 1, ([127, 0, 0, 1], 1).into(), "grpcio").await;
    add_users(&db, 1).await;
    let (fence, id, now) = (next_term(&db).await, NodeId(1), Clock::real().now());
    let inbound = OfferedInbound { tag: "vless".into(), protocol: "vless".into(), config: "{}".into() };
    let offer = Offer { inbounds: vec![inbound], ..Offer::default() };
    let shown = async || node_status::of_user(&db, UserId(1)).await.unwrap()[0].in_step;
    sync_state::begin_sync(&fence, id, &offer, false).await.unwrap();
    sql(&db, "INSERT INTO inbounds_services SELECT id, 1 FROM inbounds; UPDATE nodes SET status = 'healthy'").await;
    assert!(!shown().await);
    sync_state::end_sync(&fence, id, 0, now).await.unwrap();
    assert!(shown().await);
    sync_state::begin_sync(&fence, id, &offer, false).await.unwrap();
    assert!(shown().await, "another list is on its way, and nothing is lacking");
    sync_state::out_of_step(&fence, &[id]).await.unwrap();
    assert!(!shown().await);
    sync_state::end_sync(&fence, id, 0, now).await.unwrap();
    assert!(!shown().await, "that list was begun before");
    sync_state::begin_sync(&fence, id, &offer, false).await.unwrap();
    assert!(!shown().await);
    sync_state::end_sync(&fence, id, 0, now).await.unwrap();
    assert!(shown().await);
    sync_state::begin_sync(&fence, id, &offer, true).await.unwrap();
    assert!(!shown().await, "what was given up is in the list that was begun");
    sync_state::end_sync(&fence, id, 0, now).await.unwrap();
    assert!(shown().await);
}

async fn a_user_of_other_nodes_is_no_news(db: Db) {
    let (one, other) = (node().await, node().await);
    add_node(&db, 2, other.address(), "grpcio").await;
    let _panel = in_step(&db, &one, 1).await;
    healthy(&db, 2).await;
    let one_alone = "DELETE FROM inbounds_services
                     WHERE inbound_id IN (SELECT id FROM inbounds WHERE node_id = 2)";
    change(&db, one_alone, [1]).await;
    eventually("the user leaves the other node", async || other.users().is_empty()).await;
    eventually("no mark is left", async || marks(&db).await == 0).await;
    // Whom it may have is known for certain after its next list.
    other.refuse(true);
    other.drop_connections();
    unhealthy(&db, 2, "").await;
    other.refuse(false);
    healthy(&db, 2).await;
    // Whatever it is told now, it does not take.
    other.hold(Duration::from_secs(600));
    change(&db, "UPDATE users SET enabled = FALSE WHERE id = 1", [1]).await;
    eventually("the user leaves the one node", async || one.users().is_empty()).await;
    eventually("and the other is not waited for", async || marks(&db).await == 0).await;
}

async fn changes_go_on_while_a_batch_is_being_closed(db: Db) {
    let node = node().await;
    add_node(&db, 1, node.address(), "grpcio").await;
    add_users(&db, 40).await;
    // A node that does not acknowledge is given this long to end a stream early.
    let timing = sarban::nodes::Timing { settle: Duration::from_secs(2), ..brisk() };
    let _panel = Panel::lead_with(&db, timing).await;
    healthy(&db, 1).await;
    give(&db, "vless", 40).await;
    eventually("all users arrive", async || node.users().len() == 40).await;
    assert_eq!(marks(&db).await, 40, "their batch is open still");
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
    eventually("what is new arrives in the end", async || node.users().contains_key(&41)).await;
    eventually("the twenty go", async || node.users().len() == 21).await;
    eventually("no mark is left", async || marks(&db).await == 0).await;
    healthy(&db, 1).await;
}
