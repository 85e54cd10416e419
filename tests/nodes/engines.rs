//! The status of nodes whose engines end, come back, or can't be asked about.

use std::time::Duration;

use sarban::actions::Panel as Actions;
use sarban::actions::engines::{self, EngineError};
use sarban::clock::Clock;
use sarban::domain::engine_config::{ConfigFormat, EngineConfig};
use sarban::domain::ids::NodeId;
use sarban::nodes::Timing;
use sarban::store::Db;
use sarban::store::nodes::engine_configs;
use serde_json::json;
use tokio::time::sleep;

use crate::nodes::panel::{Panel, brisk, eventually, healthy, in_step, in_step_with, number, sql, unhealthy};
use crate::support::database::on_both_engines;
use crate::support::test_node::process::Behaviour;
use crate::support::test_node::{Event, Options, TestNode};

on_both_engines! {
    dead_engine_makes_its_node_unhealthy_until_it_runs_again,
    dead_engine_stays_known_through_syncs_and_to_the_next_leader,
    dead_engine_explains_why_its_node_refuses_users,
    node_that_does_not_know_the_status_of_engines_stays_healthy,
    node_that_raises_is_unhealthy_only_if_its_engine_ran_before,
    restart_of_an_engine_is_no_end,
    word_of_the_node_decides_and_not_its_log,
    former_configuration_is_put_back_a_few_times_and_then_left_to_an_admin,
    first_configuration_of_a_running_engine_is_stored_once,
    refused_configuration_costs_no_inbound_host_or_membership,
}

const DEAD: &str = "the engine xray does not run: Failed to start: out of memory";
const LINE: &str = "Failed to start: out of memory";

async fn start(db: &Db) -> (TestNode, Panel) {
    let node = TestNode::start(Options::default()).await.unwrap();
    let panel = in_step(db, &node, 3).await;
    (node, panel)
}

async fn running(db: &Db) -> bool {
    number(db, "SELECT COUNT(*) FROM backends WHERE node_id = 1 AND name = 'xray' AND running = TRUE").await == 1
}

fn repopulations(node: &TestNode) -> usize {
    node.events().iter().filter(|event| matches!(event, Event::Repopulated { .. })).count()
}

/// Waits until the node has been asked about its engines some more times.
async fn asked(node: &TestNode) {
    let asked = node.stats_calls();
    eventually("the node is asked about its engines", async || node.stats_calls() >= asked + 5).await;
}

async fn dead_engine_makes_its_node_unhealthy_until_it_runs_again(db: Db) {
    let (node, panel) = start(&db).await;
    assert!(running(&db).await);
    node.kill_engine("xray", LINE);
    unhealthy(&db, 1, DEAD).await;
    eventually("the database says so", async || !running(&db).await).await;
    assert_eq!(panel.supervisor.connected().len(), 1, "traffic is still fetched");
    assert_eq!(node.users().len(), 3);

    let before = repopulations(&node);
    node.revive_engine("xray");
    healthy(&db, 1).await;
    eventually("the database says so", async || running(&db).await).await;
    eventually("the engine got all users again", async || repopulations(&node) > before).await;
    panel.step_down().await;
}

async fn dead_engine_stays_known_through_syncs_and_to_the_next_leader(db: Db) {
    let (node, panel) = start(&db).await;
    node.kill_engine("xray", LINE);
    unhealthy(&db, 1, DEAD).await;
    eventually("the database says so", async || !running(&db).await).await;
    let before = repopulations(&node);
    let request = match db {
        Db::Pg(_) => "UPDATE nodes SET sync_request = gen_random_uuid()",
        Db::Lite(_) => "UPDATE nodes SET sync_request = randomblob(16)",
    };
    sql(&db, request).await;
    eventually("the node is synced", async || repopulations(&node) > before).await;
    assert!(!running(&db).await, "a sync does not say that an engine runs");

    panel.step_down().await;
    let before = repopulations(&node);
    let asked = node.stats_calls();
    let panel = Panel::lead(&db).await;
    eventually("the next leader has synced the node and asked about its engines", async || {
        assert_eq!(number(&db, "SELECT COUNT(*) FROM nodes WHERE status = 'healthy'").await, 0);
        repopulations(&node) > before && node.stats_calls() >= asked + 5
    })
    .await;
    unhealthy(&db, 1, DEAD).await;
    panel.step_down().await;
}

async fn dead_engine_explains_why_its_node_refuses_users(db: Db) {
    let node = TestNode::start(Options::default()).await.unwrap();
    // A restart of the engine would heal the node.
    let panel = in_step_with(&db, &node, 3, Timing { healing: None, ..brisk() }).await;
    node.behave(Behaviour { refuses_users_when_dead: true, ..Behaviour::default() });
    node.kill_engine("xray", LINE);
    // The node raises at the next change, and at each list after it.
    node.end_sync();
    unhealthy(&db, 1, DEAD).await;
    unhealthy(&db, 1, "the node refused").await;
    node.revive_engine("xray");
    healthy(&db, 1).await;
    panel.step_down().await;
}

async fn node_that_does_not_know_the_status_of_engines_stays_healthy(db: Db) {
    let node = TestNode::start(Options::default()).await.unwrap();
    node.behave(Behaviour { has_no_stats: true, ..Behaviour::default() });
    let panel = in_step(&db, &node, 1).await;
    // As imported from another panel.
    sql(&db, "UPDATE backends SET running = FALSE").await;
    asked(&node).await;
    eventually("nothing is known to have ended", async || running(&db).await).await;
    healthy(&db, 1).await;
    panel.step_down().await;
}

async fn node_that_raises_is_unhealthy_only_if_its_engine_ran_before(db: Db) {
    let node = TestNode::start(Options::default()).await.unwrap();
    node.behave(Behaviour { stats_raise: true, ..Behaviour::default() });
    let panel = in_step(&db, &node, 1).await;
    asked(&node).await;
    healthy(&db, 1).await;
    assert!(running(&db).await);
    node.behave(Behaviour::default());
    asked(&node).await;
    node.behave(Behaviour { stats_raise: true, ..Behaviour::default() });
    let failures = number(&db, "SELECT failures FROM nodes").await;
    unhealthy(&db, 1, "the engine xray does not run; see its log").await;
    assert_eq!(number(&db, "SELECT failures FROM nodes").await, failures + 1);
    node.behave(Behaviour::default());
    healthy(&db, 1).await;
    assert_eq!(number(&db, "SELECT failures FROM nodes").await, failures + 1, "it became healthy");
    panel.step_down().await;
}

async fn restart_of_an_engine_is_no_end(db: Db) {
    let (node, panel) = start(&db).await;
    sql(&db, "UPDATE nodes SET last_status_change = 7").await;
    for _ in 0..10 {
        node.kill_engine("xray", "");
        sleep(Duration::from_millis(5)).await;
        node.revive_engine("xray");
        asked(&node).await;
    }
    let unchanged = "SELECT COUNT(*) FROM nodes WHERE last_status_change = 7 AND status = 'healthy'";
    assert_eq!(number(&db, unchanged).await, 1);
    panel.step_down().await;
}

async fn word_of_the_node_decides_and_not_its_log(db: Db) {
    let (node, panel) = start(&db).await;
    // Of an attempt before the present one, which wrote nothing at its log level.
    node.log("Failed to start: of yesterday\n");
    asked(&node).await;
    healthy(&db, 1).await;
    assert!(running(&db).await);
    panel.step_down().await;
}

async fn former_configuration_is_put_back_a_few_times_and_then_left_to_an_admin(db: Db) {
    let (node, panel) = start(&db).await;
    node.kill_engine("xray", "");
    unhealthy(&db, 1, "the engine xray does not run").await;
    node.fail_restarts(u32::MAX);
    // Two of three attempts have failed.
    let open = "INSERT INTO engine_change (node_id, backend, former_config, former_format, begun_at, attempts)
        VALUES (1, 'xray', '{}', 1, 0, 2)";
    sql(&db, open).await;
    unhealthy(&db, 1, "could not be put back in 3 attempts (the node refused RestartBackend: Internal").await;
    let restarts = node.restarts();
    assert_eq!(restarts, 1);
    sleep(Duration::from_secs(7)).await;
    assert_eq!(node.restarts(), restarts, "no more attempts");
    let changes = "SELECT COUNT(*) FROM engine_change WHERE attempts = 3";
    assert_eq!(number(&db, changes).await, 1);

    node.fail_restarts(0);
    node.revive_engine("xray");
    eventually("the change has ended", async || number(&db, changes).await == 0).await;
    healthy(&db, 1).await;
    panel.step_down().await;
}

async fn first_configuration_of_a_running_engine_is_stored_once(db: Db) {
    let node = TestNode::start(Options::default()).await.unwrap();
    node.set_config("xray", r#"{"first": 1}"#);
    let panel = in_step(&db, &node, 1).await;
    let stored = async || engine_configs::read(&db, NodeId(1), "xray").await.unwrap().map(|stored| stored.config);
    eventually("the configuration is stored", async || stored().await.is_some()).await;
    assert_eq!(stored().await.as_deref(), Some(r#"{"first": 1}"#));
    // Another machine answers at the node's address.
    node.set_config("xray", "{}");
    node.restart();
    eventually("the node is synced", async || node.users().len() == 1).await;
    asked(&node).await;
    assert_eq!(stored().await.as_deref(), Some(r#"{"first": 1}"#));
    panel.step_down().await;
}

async fn refused_configuration_costs_no_inbound_host_or_membership(db: Db) {
    let (node, panel) = start(&db).await;
    let config = |protocol: &str| {
        let config = json!({"inbounds": [{"tag": "vless", "protocol": protocol, "port": 8_443}]});
        EngineConfig { text: config.to_string(), format: ConfigFormat::Json }
    };
    node.set_config("xray", &config("vless").text);
    let objects = "SELECT (SELECT COUNT(*) FROM inbounds) * 10000 + (SELECT COUNT(*) FROM hosts) * 100
        + (SELECT COUNT(*) FROM inbounds_services)";
    let before = number(&db, objects).await;
    let actions = Actions::new(db.clone(), Clock::real());
    for text in [config("nonsense").text, r#"{"inbounds": [{"tag": "x", "protocol": "y"}]}"#.to_owned()] {
        let refused = EngineConfig { text, format: ConfigFormat::Json };
        let refused = engines::reconfigure(&actions, NodeId(1), "xray".to_owned(), refused).await;
        assert!(matches!(refused, Err(EngineError::Refused(_))), "{refused:?}");
    }
    eventually("the engine has all users", async || {
        node.users().len() == 3 && node.users().values().all(|user| user.tags.contains("vless"))
    })
    .await;
    healthy(&db, 1).await;
    assert_eq!(number(&db, objects).await, before);
    panel.step_down().await;
}
