//! A deposed leader sends nothing to nodes and writes nothing; the next leader syncs every node again.

use std::time::Duration;

use sarban::actions::{self, engines};
use sarban::clock::Clock;
use sarban::domain::engine_config::{ConfigFormat, EngineConfig};
use sarban::domain::ids::NodeId;
use sarban::nodes::Timing;
use sarban::nodes::proto::Inbound;
use sarban::store::Db;

use crate::nodes::panel::{Panel, brisk, change, eventually, give, healthy, in_step, marks, number, revoke, sql};
use crate::support::database::on_both_engines;
use crate::support::test_node::{Event, Options, TestNode};

on_both_engines!(
    ended_term_sends_nothing,
    deposed_leader_writes_nothing,
    stepping_down_with_unconfirmed_sends_marks_node_dirty,
    stepping_down_without_sends_marks_no_node_dirty,
    new_leader_starts_with_full_sync,
    node_marked_dirty_during_session_is_synced_again,
    engine_reconfiguration_is_followed_by_full_sync,
    late_list_of_old_leader_is_corrected,
);

async fn ended_term_sends_nothing(db: Db) {
    let node = TestNode::start(Options::default()).await.unwrap();
    let panel = in_step(&db, &node, 2).await;
    panel.term.end();
    sql(&db, "UPDATE scheduler_epoch SET epoch = epoch + 1").await;
    let before = node.events();
    change(&db, "UPDATE users SET enabled = FALSE", [1, 2]).await;
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(node.events(), before, "nothing was sent");
    assert_eq!(marks(&db).await, 2);
}

async fn deposed_leader_writes_nothing(db: Db) {
    let node = TestNode::start(Options::default()).await.unwrap();
    let panel = in_step(&db, &node, 2).await;
    // The leader does not know it yet: its deadline has not passed.
    sql(&db, "UPDATE scheduler_epoch SET epoch = epoch + 1").await;
    change(&db, "UPDATE users SET enabled = FALSE WHERE id = 1", [1]).await;
    eventually("the leader notices", async || panel.term.has_ended()).await;
    assert_eq!(marks(&db).await, 1, "the mark is left for the next leader");
    node.restart();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(number(&db, "SELECT COUNT(*) FROM nodes WHERE status = 'healthy'").await, 1);
    assert!(node.users().is_empty(), "the deposed leader sends no users");
}

async fn stepping_down_with_unconfirmed_sends_marks_node_dirty(db: Db) {
    let node = TestNode::start(Options::default()).await.unwrap();
    let panel = in_step(&db, &node, 2).await;
    revoke(&db, 2, "fresh").await;
    eventually("the new key is there", async || node.users().get(&2).is_some_and(|user| user.key == "fresh")).await;
    eventually("no mark is left", async || marks(&db).await == 0).await;
    node.hold(Duration::from_secs(30));
    let before = node.changes();
    give(&db, "vmess", 2).await;
    eventually("a change is on its way", async || node.changes() > before).await;
    panel.step_down().await;
    assert_eq!(number(&db, "SELECT COUNT(*) FROM nodes WHERE dirty").await, 1);
    node.hold(Duration::ZERO);
    node.release();

    let _next = Panel::lead(&db).await;
    eventually("the next leader cleans up", async || {
        number(&db, "SELECT COUNT(*) FROM nodes WHERE NOT dirty AND key_synced_seq = 1").await == 1
    })
    .await;
    // A further full sync, if the node was seen dirty once more, renews the key again.
    eventually("the user has both tags", async || node.users().get(&2).is_some_and(|user| user.tags.len() == 2)).await;
    let renewed = Event::Added { id: 2, key: "fresh".into() };
    let renewals = node.events().iter().filter(|event| **event == renewed).count();
    assert!(renewals >= 2, "the next leader renews the key once more");
}

async fn stepping_down_without_sends_marks_no_node_dirty(db: Db) {
    let node = TestNode::start(Options::default()).await.unwrap();
    in_step(&db, &node, 2).await.step_down().await;
    assert_eq!(number(&db, "SELECT COUNT(*) FROM nodes WHERE dirty").await, 0);
}

async fn new_leader_starts_with_full_sync(db: Db) {
    let node = TestNode::start(Options::default()).await.unwrap();
    in_step(&db, &node, 3).await.step_down().await;
    change(&db, "UPDATE users SET enabled = FALSE WHERE id = 1", [1]).await;
    let next = Panel::lead(&db).await;
    eventually("the change arrives", async || node.users().len() == 2).await;
    eventually("the mark is cleared", async || marks(&db).await == 0).await;
    eventually("usage can be fetched", async || next.supervisor.connected().len() == 1).await;
    healthy(&db, 1).await;
}

async fn node_marked_dirty_during_session_is_synced_again(db: Db) {
    let node = TestNode::start(Options::default()).await.unwrap();
    let _panel = in_step(&db, &node, 3).await;
    sql(&db, "UPDATE nodes SET dirty = TRUE").await;
    eventually("the node is clean again", async || number(&db, "SELECT COUNT(*) FROM nodes WHERE dirty").await == 0)
        .await;
    eventually("by a full sync", async || node.events().contains(&Event::Repopulated { users: 3 })).await;
}

/// Any process can reconfigure an engine, also one that does not lead.
async fn engine_reconfiguration_is_followed_by_full_sync(db: Db) {
    let node = TestNode::start(Options::default()).await.unwrap();
    let _leader = in_step(&db, &node, 3).await;
    let mut backends = Options::default().backends;
    backends[0].inbounds.retain(|inbound| inbound.tag != "vmess");
    backends[0].inbounds.push(Inbound { tag: "new".into(), config: Some(r#"{"protocol": "vless"}"#.into()) });
    node.set_backends(backends);
    let asked = actions::Panel::new(db.clone(), Clock::real());
    let config = EngineConfig { text: "{}".to_owned(), format: ConfigFormat::Json };
    engines::reconfigure(&asked, NodeId(1), "xray".to_owned(), config).await.unwrap();
    let new = "SELECT COUNT(*) FROM inbounds WHERE tag = 'new'";
    eventually("the new inbound is known", async || number(&db, new).await == 1).await;
    let absent = "SELECT COUNT(*) FROM inbounds WHERE tag = 'vmess' AND absent_since IS NOT NULL";
    assert_eq!(number(&db, absent).await, 1, "the old inbound is absent");
    let began = Event::RestartBegan { config: "{}".to_owned() };
    eventually("the users are sent again after the restart", async || {
        let events = node.events();
        let restart = events.iter().position(|event| *event == began).unwrap();
        events[restart..].contains(&Event::Repopulated { users: 3 })
    })
    .await;
    healthy(&db, 1).await;
}

/// A node that notices late, or never, that a connection broke still applies the list it has read.
async fn late_list_of_old_leader_is_corrected(db: Db) {
    let node = TestNode::start(Options::default()).await.unwrap();
    let old = in_step(&db, &node, 3).await;
    change(&db, "UPDATE users SET enabled = FALSE WHERE id = 3", [3]).await;
    eventually("two users are left", async || node.users().len() == 2 && marks(&db).await == 0).await;
    node.keep_next_list();
    sql(&db, "UPDATE nodes SET dirty = TRUE").await;
    eventually("the old leader has sent a list", async || node.kept_lists() == 1).await;
    old.step_down().await;
    // The old leader's call ends with its connection.
    node.drop_connections();
    revoke(&db, 1, "fresh").await;
    change(&db, "UPDATE users SET enabled = (id <> 2)", [2, 3]).await;

    let timing = Timing { call: (Duration::from_secs(6), Duration::ZERO), ..brisk() };
    let _next = Panel::lead_with(&db, timing).await;
    let users = async || -> Vec<(u32, String)> { node.users().into_iter().map(|(id, user)| (id, user.key)).collect() };
    let right = vec![(1, "fresh".to_owned()), (3, "key-3".to_owned())];
    eventually("the new leader has sent its list", async || users().await == right && marks(&db).await == 0).await;
    assert_eq!(node.work_on_kept_lists(), 1);
    assert_ne!(users().await, right, "the old list undid the new one");
    eventually("the node is right again", async || users().await == right).await;
}
