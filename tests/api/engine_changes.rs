//! Changes of an engine's configuration: watched, put back if the engine does not run, and stored if it does.

use std::time::Duration;

use reqwest::Method;
use sarban::store::Db;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::api::panel::{Answer, TestPanel};
use crate::support::database::{execute, number, on_both_engines};
use crate::support::test_node::process::{Behaviour, TAKEN_PORT};
use crate::support::test_node::{Options, TestNode};

on_both_engines!(
    refused_configuration_is_put_back_with_the_words_of_the_engine,
    engine_without_a_log_counts_as_running_after_some_seconds,
    engine_that_ends_after_some_time_is_noticed,
    node_that_raises_for_every_configuration_is_an_error_of_the_node,
    broken_connection_puts_the_former_configuration_back,
    change_goes_on_when_its_client_gives_up,
    change_whose_node_another_panel_has_taken_over_writes_nothing,
    former_configuration_that_does_not_run_either_is_said_so,
    last_good_configuration_is_stored_and_can_be_restored,
    certain_faults_of_xray_are_refused_before_the_node_is_asked,
);

const CONFIG: &str = "/api/nodes/1/xray/config";
const LAST_GOOD: &str = "/api/nodes/1/xray/config/last-good";
const RESTORE: &str = "/api/nodes/1/xray/config/restore";
const OPEN: &str = "SELECT COUNT(*) FROM engine_change";
const WORDS: &str = "unknown config id: nonsense";

async fn start(db: Db) -> (TestPanel, TestNode) {
    let node = TestNode::start(Options::default()).await.expect("a node");
    let panel = TestPanel::start(db).await;
    let body = json!({"address": "127.0.0.1", "port": node.address().port(), "connection_backend": "grpcio"});
    panel.put("root", "/api/nodes/1", body).await.ok();
    (panel, node)
}

fn config(tag: &str, protocol: &str, port: u64) -> String {
    json!({"inbounds": [{"tag": tag, "protocol": protocol, "port": port}]}).to_string()
}

fn good() -> String {
    config("good", "vless", 8_443)
}

fn bad() -> String {
    config("bad", "nonsense", 8_443)
}

async fn put(panel: &TestPanel, config: &str) -> Answer {
    panel.put("root", CONFIG, json!({"config": config, "format": 1})).await
}

/// Asserts that a change was refused with these words, and that the node runs with the former configuration.
#[track_caller]
fn is_put_back(answer: &Answer, words: &str, node: &TestNode) {
    answer.wrong_fields(&["config"]);
    let text = answer.body["detail"]["config"].as_str().expect("a text");
    assert!(text.contains(words), "{text}");
    assert!(text.ends_with("the former configuration is in place again, and the engine runs"), "{text}");
    assert_eq!(node.config("xray"), Some(good()));
    assert!(node.engine_runs("xray"));
    assert_eq!(node.tags(), 1);
}

async fn eventually(what: &str, holds: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < end, "this never came true: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn refused_configuration_is_put_back_with_the_words_of_the_engine(db: Db) {
    let (panel, node) = start(db).await;
    put(&panel, &good()).await.ok();
    execute(&panel.panel.db, "UPDATE nodes SET sync_request = NULL").await;
    is_put_back(&put(&panel, &bad()).await, WORDS, &node);
    let requested = "SELECT COUNT(*) FROM nodes WHERE sync_request IS NOT NULL";
    assert_eq!(number(&panel.panel.db, requested).await, 1, "the leader must sync the restarted engine");
    is_put_back(&put(&panel, &config("bad", "vless", TAKEN_PORT)).await, "address already in use", &node);

    // Nodes that report running engines that are not, that raise, and that know no status.
    let default = Behaviour::default;
    for behaviour in [
        Behaviour { lies: true, ..default() },
        Behaviour { raises: true, ..default() },
        Behaviour { has_no_stats: true, ..default() },
    ] {
        node.behave(behaviour.clone());
        is_put_back(&put(&panel, &bad()).await, WORDS, &node);
    }
}

async fn engine_without_a_log_counts_as_running_after_some_seconds(db: Db) {
    let (panel, node) = start(db).await;
    node.behave(Behaviour { is_quiet: true, ..Behaviour::default() });
    let began = Instant::now();
    put(&panel, &good()).await.ok();
    assert!(began.elapsed() >= Duration::from_secs(5), "{:?}", began.elapsed());
    let refused = put(&panel, &bad()).await;
    is_put_back(&refused, "", &node);
}

async fn engine_that_ends_after_some_time_is_noticed(db: Db) {
    let (panel, node) = start(db).await;
    put(&panel, &good()).await.ok();
    node.behave(Behaviour { dies_after: Duration::from_millis(1_200), ..Behaviour::default() });
    is_put_back(&put(&panel, &bad()).await, WORDS, &node);
}

async fn node_that_raises_for_every_configuration_is_an_error_of_the_node(db: Db) {
    let (panel, node) = start(db).await;
    put(&panel, &good()).await.ok();
    execute(&panel.panel.db, "UPDATE nodes SET sync_request = NULL").await;
    node.fail_restarts(2);
    let refused = put(&panel, &config("other", "vmess", 8_080)).await;
    refused.refused(502);
    assert!(refused.body["detail"].as_str().expect("a text").contains("Internal Server Error"), "{}", refused.body);
    let requested = "SELECT COUNT(*) FROM nodes WHERE sync_request IS NOT NULL";
    assert_eq!(number(&panel.panel.db, requested).await, 1, "the node may have restarted the engine");
    assert_eq!(number(&panel.panel.db, OPEN).await, 1, "the leader puts the former configuration back");

    // It raises once, and its connection breaks before the former configuration is back.
    execute(&panel.panel.db, "DELETE FROM engine_change").await;
    node.fail_restarts(1);
    node.behave(Behaviour { is_quiet: true, ..Behaviour::default() });
    let cut = async {
        eventually("the former configuration is put back", || node.restarts() == 5).await;
        node.drop_connections();
    };
    let bad = bad();
    let (refused, ()) = tokio::join!(put(&panel, &bad), cut);
    refused.refused(502);
    assert_eq!(number(&panel.panel.db, OPEN).await, 1);
    put(&panel, &good()).await.ok();
    assert_eq!(number(&panel.panel.db, OPEN).await, 0);
}

async fn change_whose_node_another_panel_has_taken_over_writes_nothing(db: Db) {
    let (panel, node) = start(db).await;
    put(&panel, &good()).await.ok();
    let taken_over = async |config: String| {
        eventually("the node has the new configuration", || node.config("xray").as_ref() == Some(&config)).await;
        execute(&panel.panel.db, "DELETE FROM node_edit").await;
    };
    node.behave(Behaviour { is_quiet: true, dies_after: Duration::from_secs(1), ..Behaviour::default() });
    let bad_one = bad();
    let (refused, ()) = tokio::join!(put(&panel, &bad_one), taken_over(bad()));
    refused.refused(502);
    let text = refused.body["detail"].as_str().expect("a text");
    assert!(text.contains("another panel has taken the node over"), "{text}");
    assert_eq!(node.config("xray"), Some(bad()), "the other panel puts the former one back");
    assert_eq!(number(&panel.panel.db, OPEN).await, 1);

    node.behave(Behaviour { is_quiet: true, ..Behaviour::default() });
    let newer = config("newer", "vmess", 8_080);
    let (refused, ()) = tokio::join!(put(&panel, &newer), taken_over(newer.clone()));
    refused.refused(409);
    assert_eq!(panel.get("root", LAST_GOOD).await.ok()["config"], good());
    assert_eq!(number(&panel.panel.db, OPEN).await, 1);
}

async fn broken_connection_puts_the_former_configuration_back(db: Db) {
    let (panel, node) = start(db).await;
    put(&panel, &good()).await.ok();
    // The engine runs without a line in its log, and the connection breaks while it is watched.
    node.behave(Behaviour { is_quiet: true, dies_after: Duration::from_secs(60), ..Behaviour::default() });
    let cut = async {
        eventually("the node has the new configuration", || node.config("xray") == Some(bad())).await;
        node.drop_connections();
    };
    let bad = bad();
    let (refused, ()) = tokio::join!(put(&panel, &bad), cut);
    refused.refused(502);
    let text = refused.body["detail"].as_str().expect("a text");
    assert!(text.contains("the former configuration is in place again, and the engine runs"), "{text}");
    assert_eq!(node.config("xray"), Some(good()));
    let page = panel.get("root", "/api/audit?action=engine.configure").await.ok();
    let results: Vec<&Value> =
        page["items"].as_array().expect("items").iter().map(|it| &it["after"]["result"]).collect();
    assert_eq!(results, ["failed", "runs"], "the newest first");
}

async fn change_goes_on_when_its_client_gives_up(db: Db) {
    let (panel, node) = start(db).await;
    put(&panel, &good()).await.ok();
    node.behave(Behaviour { dies_after: Duration::from_millis(800), ..Behaviour::default() });
    let body = json!({"config": bad(), "format": 1});
    let request = panel.request(Method::PUT, CONFIG).bearer_auth(panel.token_of("root")).json(&body);
    let gave_up = tokio::spawn(request.timeout(Duration::from_secs(20)).send());
    eventually("the node has the new configuration", || node.config("xray") == Some(bad())).await;
    gave_up.abort();
    eventually("the former configuration is back", || node.config("xray") == Some(good())).await;
    assert!(node.engine_runs("xray"));
}

async fn former_configuration_that_does_not_run_either_is_said_so(db: Db) {
    let (panel, node) = start(db).await;
    let taken = config("former", "vless", TAKEN_PORT);
    // Nothing runs on the node, and it has no configuration that would.
    let first = put(&panel, &taken).await;
    first.wrong_fields(&["config"]);
    node.set_config("xray", &taken);
    node.kill_engine("xray", "");
    let refused = put(&panel, &bad()).await;
    refused.wrong_fields(&["config"]);
    let text = refused.body["detail"]["config"].as_str().expect("a text");
    assert!(text.contains(WORDS) && text.contains("does not run with it either") && text.contains("in use"), "{text}");
    assert_eq!(node.config("xray"), Some(taken.clone()));
    let again = put(&panel, &taken).await;
    again.wrong_fields(&["config"]);
    assert!(again.body["detail"]["config"].as_str().expect("a text").contains("that the node had before"));
}

async fn last_good_configuration_is_stored_and_can_be_restored(db: Db) {
    let (panel, node) = start(db.clone()).await;
    panel.get("root", LAST_GOOD).await.refused(404);
    panel.post("root", RESTORE, Value::Null).await.refused(404);

    // The configuration with which the engine ran before the panel's first change.
    node.set_config("xray", &good());
    put(&panel, &bad()).await.wrong_fields(&["config"]);
    let stored = panel.get("root", LAST_GOOD).await.ok();
    let expected = json!({"config": good(), "format": 1, "stored_at": "2026-11-23T20:36:25Z"});
    assert_eq!(stored, expected);

    let newer = config("newer", "vmess", 8_080);
    put(&panel, &newer).await.ok();
    put(&panel, &bad()).await.wrong_fields(&["config"]);
    assert_eq!(panel.get("root", LAST_GOOD).await.ok()["config"], newer);

    // Another machine at the node's address, with the configuration that it came with, with which nothing runs.
    node.set_config("xray", &bad());
    node.kill_engine("xray", "");
    assert_eq!(panel.post("root", RESTORE, Value::Null).await.ok(), json!({}));
    assert_eq!(node.config("xray"), Some(newer));
    assert!(node.engine_runs("xray"));

    panel.insert_admin("alice", false).await;
    panel.get("alice", LAST_GOOD).await.refused(403);
    panel.post("alice", RESTORE, Value::Null).await.refused(403);
    panel.delete("root", "/api/nodes/1").await.ok();
    assert_eq!(number(&db, "SELECT COUNT(*) FROM engine_config").await, 0);
    panel.get("root", LAST_GOOD).await.refused(404);
}

async fn certain_faults_of_xray_are_refused_before_the_node_is_asked(db: Db) {
    let (panel, node) = start(db).await;
    execute(
        &panel.panel.db,
        "INSERT INTO backends (node_id, name, backend_type, running) VALUES (1, 'xray', 'xray', TRUE), (1, 'other', 'sing-box', TRUE)",
    )
    .await;
    let twice =
        json!({"inbounds": [{"tag": "a", "protocol": "vless", "port": 443}, {"tag": "a", "protocol": "vmess"}]});
    let refused = put(&panel, &twice.to_string()).await;
    refused.wrong_fields(&["config"]);
    assert!(refused.body["detail"]["config"].as_str().expect("a text").starts_with("inbounds[1].tag: "));
    assert_eq!(node.events(), [], "nothing was restarted");
    let body = json!({"config": twice.to_string(), "format": 0});
    panel.put("root", CONFIG, body).await.ok();
    let body = json!({"config": json!({"inbounds": [{"type": "mixed"}]}).to_string(), "format": 1});
    let other = panel.put("root", "/api/nodes/1/other/config", body).await;
    assert!(!other.body.to_string().contains("inbounds[0].protocol: "), "{}", other.body);
}
