//! A node that keeps refusing its users is healed: first in other ways, in the end by a restart of its engines.

use std::time::Duration;

use sarban::domain::ids::{NodeId, UserId};
use sarban::domain::moment::SECOND;
use sarban::nodes::proto::marz_service_client::MarzServiceClient;
use sarban::nodes::proto::{Inbound, User, UserData, UsersData};
use sarban::nodes::{ConnectedNode, ReplyMemory, Timing, UsageError};
use sarban::store::Db;
use sarban::store::nodes::edit_lock;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::nodes::panel::{Panel, add_node, add_users, brisk, eventually, healthy, in_step, number, sql, unhealthy};
use crate::support::database::on_both_engines;
use crate::support::test_node::{Event, Options, TestNode};

on_both_engines!(
    stuck_node_is_healed_by_a_restart_with_its_own_configuration,
    node_is_not_restarted_again_within_the_interval_by_any_panel,
    node_is_not_restarted_if_a_configuration_can_not_be_read,
    node_is_not_restarted_if_the_setting_forbids_it,
    node_is_not_restarted_while_an_admin_changes_its_configuration,
    users_behind_a_refused_one_reach_the_node_before_any_restart,
    usage_is_fetched_before_the_restart,
    node_that_refuses_for_a_moment_is_not_restarted,
);

const HEALED: &str = "SELECT COUNT(*) FROM nodes WHERE healed_at IS NOT NULL";

async fn node() -> TestNode {
    TestNode::start(Options::default()).await.unwrap()
}

/// Leaves a user apart: a call that adds the user is broken off.
pub async fn stick(node: &TestNode, id: u32) {
    node.slow_engines(Duration::from_secs(60));
    let mut client = MarzServiceClient::connect(format!("http://{}", node.address())).await.unwrap();
    let tags = ["vless", "vmess"].map(|tag| Inbound { tag: tag.into(), config: None });
    let user = UserData { user: Some(User { id, ..User::default() }), inbounds: tags.to_vec() };
    let list = UsersData { users_data: vec![user] };
    let call = tokio::spawn(async move { client.repopulate_users(list).await.map(drop) });
    eventually("the engine has the user", async || node.apart().contains(&id)).await;
    call.abort();
    call.await.unwrap_err();
    node.slow_engines(Duration::ZERO);
    tokio::time::sleep(Duration::from_millis(50)).await;
}

/// A node that is stuck with user 3 of 6, and a panel that is about to send it these users.
pub async fn stuck(db: &Db, timing: Timing) -> (TestNode, Panel) {
    let node = node().await;
    stick(&node, 3).await;
    add_node(db, 1, node.address(), "grpcio").await;
    add_users(db, 6).await;
    sql(
        db,
        "INSERT INTO inbounds (id, node_id, tag, protocol, config) VALUES (900, 1, 'vless', 'vless', '{}');
         INSERT INTO inbounds_services VALUES (900, 1)",
    )
    .await;
    let panel = Panel::lead_with(db, timing).await;
    (node, panel)
}

pub fn restarts(node: &TestNode) -> Vec<String> {
    let began = |event: Event| match event {
        Event::RestartBegan { config } => Some(config),
        _ => None,
    };
    node.events().into_iter().filter_map(began).collect()
}

async fn stuck_node_is_healed_by_a_restart_with_its_own_configuration(db: Db) {
    let (node, _panel) = stuck(&db, brisk()).await;
    healthy(&db, 1).await;
    eventually("the node has all users", async || node.users().len() == 6).await;
    assert!(node.apart().is_empty());
    assert_eq!(restarts(&node), [OWN], "restarted once, with its own configuration");
    assert_eq!(number(&db, HEALED).await, 1);
    assert_eq!(number(&db, "SELECT healings FROM nodes").await, 1);
    assert_eq!(number(&db, "SELECT COUNT(*) FROM node_edit").await, 0, "the lock is released");
}

const OWN: &str = r#"{"log": {"loglevel": "warning"}}"#;

async fn node_is_not_restarted_again_within_the_interval_by_any_panel(db: Db) {
    let (node, first) = stuck(&db, brisk()).await;
    healthy(&db, 1).await;
    first.step_down().await;
    stick(&node, 8).await;
    let new = "INSERT INTO users (id, username, key, expire_strategy, created_at) VALUES (8, 'new', 'k', 'never', 0);
               INSERT INTO users_services (user_id, service_id) VALUES (8, 1)";
    sql(&db, new).await;
    let _second = Panel::lead(&db).await;
    unhealthy(&db, 1, "restart marznode on the node").await;
    assert_eq!(restarts(&node).len(), 1);
    sql(&db, "UPDATE nodes SET healed_at = healed_at - 3601000000").await;
    healthy(&db, 1).await;
    assert_eq!(restarts(&node).len(), 2, "the interval is over");
    assert_eq!(node.users().len(), 7);
}

async fn node_is_not_restarted_if_a_configuration_can_not_be_read(db: Db) {
    let (node, _panel) = stuck(&db, Timing { refused: Duration::from_secs(1), ..brisk() }).await;
    node.set_config("xray", " ");
    unhealthy(&db, 1, "xray can''t be read").await;
    assert_eq!((restarts(&node).len(), number(&db, HEALED).await), (0, 0));
}

async fn node_is_not_restarted_if_the_setting_forbids_it(db: Db) {
    let (node, _panel) = stuck(&db, Timing { healing: None, ..brisk() }).await;
    unhealthy(&db, 1, "restart the node''s engine").await;
    assert_eq!(restarts(&node).len(), 0);
}

async fn node_is_not_restarted_while_an_admin_changes_its_configuration(db: Db) {
    let (node, _panel) = stuck(&db, Timing { refused: Duration::from_secs(1), ..brisk() }).await;
    assert!(edit_lock::acquire(&db, NodeId(1), Uuid::now_v7(), 8 * SECOND).await.unwrap());
    sleep(Duration::from_secs(3)).await;
    assert_eq!(restarts(&node).len(), 0);
    healthy(&db, 1).await;
    assert_eq!(restarts(&node).len(), 1, "once the lock has expired");
}

async fn users_behind_a_refused_one_reach_the_node_before_any_restart(db: Db) {
    let (node, _panel) = stuck(&db, Timing { healing: None, ..brisk() }).await;
    eventually("all others are there", async || node.users().keys().eq(&[1, 2, 4, 5, 6])).await;
    assert_eq!(restarts(&node).len(), 0);
}

async fn usage_is_fetched_before_the_restart(db: Db) {
    let (node, panel) = stuck(&db, Timing { last_usage: Duration::from_secs(60), ..brisk() }).await;
    node.add_usage(1, 500);
    unhealthy(&db, 1, "the node refused").await;
    sleep(Duration::from_millis(600)).await;
    assert_eq!(restarts(&node).len(), 0, "not before the collector has asked");
    let fetch = async |connected: &ConnectedNode| connected.fetch_usage(UserId(1), &ReplyMemory::default()).await;
    let mut last = None;
    let end = Instant::now() + Duration::from_secs(30);
    while restarts(&node).is_empty() && Instant::now() < end {
        if let Some(connected) = panel.supervisor.connected().pop()
            && fetch(&connected).await.is_ok()
        {
            last = Some(connected);
        }
        sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(node.totals().read, 500);
    healthy(&db, 1).await;
    assert_eq!(restarts(&node).len(), 1);
    let late = fetch(&last.expect("a connection")).await;
    assert!(matches!(late, Err(UsageError::NotSent(_))), "not over the old connection");
}

async fn node_that_refuses_for_a_moment_is_not_restarted(db: Db) {
    let node = node().await;
    let _panel = in_step(&db, &node, 3).await;
    node.fail_next(5);
    node.restart();
    eventually("all users are back", async || node.users().len() == 3).await;
    healthy(&db, 1).await;
    assert_eq!(restarts(&node).len(), 0);
}
