//! A panel that is killed in the middle of a change of an engine's configuration: the leader ends the change.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::app::panel_process::PanelProcess;
use crate::app::processes::{call, first_admin, setup};
use crate::support::database::{TestDatabase, execute, number, on_both_engines};
use crate::support::test_node::process::Behaviour;
use crate::support::test_node::{Options, TestNode};

on_both_engines!(
    empty change_of_a_killed_panel_is_put_back_if_the_engine_does_not_run,
    empty change_of_a_killed_panel_stays_if_the_engine_runs,
);

const CONFIG: &str = "/api/nodes/1/xray/config";
const CHANGES: &str = "SELECT COUNT(*) FROM engine_change";

fn config(tag: &str, protocol: &str) -> String {
    json!({"inbounds": [{"tag": tag, "protocol": protocol, "port": 8_443}]}).to_string()
}

async fn eventually(what: &str, holds: impl AsyncFn() -> bool) {
    let end = Instant::now() + Duration::from_secs(40);
    while !holds().await {
        assert!(Instant::now() < end, "this never came true: {what}");
        sleep(Duration::from_millis(50)).await;
    }
}

/// Kills a panel after the node has got a new configuration and before the panel knows whether the engine runs. Returns the
/// next panel, its token, and the node.
async fn kill_in_a_change(
    test: &TestDatabase,
    folder: &std::path::Path,
    new: &str,
) -> (PanelProcess, String, TestNode) {
    let node = TestNode::start(Options::default()).await.expect("a node");
    let setup = setup(test, folder);
    let mut panel = setup.start("ann");
    panel.ready().await;
    let token = first_admin(&setup, &panel).await;
    let body = json!({"address": "127.0.0.1", "port": node.address().port()});
    call(&panel, &token, Method::PUT, "/api/nodes/1", body).await;
    let body = json!({"config": config("good", "vless"), "format": 1});
    call(&panel, &token, Method::PUT, CONFIG, body).await;
    assert_eq!(number(&test.db, CHANGES).await, 0, "a change that has ended is removed");

    // The engine's log does not say that it has started: the panel watches it for seconds.
    node.behave(Behaviour { is_quiet: true, dies_after: Duration::from_secs(2), ..Behaviour::default() });
    let request = panel.request(Method::PUT, CONFIG).bearer_auth(&token).json(&json!({"config": new, "format": 1}));
    let asked = tokio::spawn(request.send());
    eventually("the node has the new configuration", async || node.config("xray").as_deref() == Some(new)).await;
    panel.kill();
    asked.abort();
    assert_eq!(number(&test.db, CHANGES).await, 1);
    // The lock of the killed process expires after half a minute.
    execute(&test.db, "UPDATE node_edit SET held_until = 0").await;
    let mut next = setup.start("ben");
    next.ready().await;
    eventually("the change has ended", async || number(&test.db, CHANGES).await == 0).await;
    (next, token, node)
}

async fn last_good(panel: &PanelProcess, token: &str) -> String {
    let path = "/api/nodes/1/xray/config/last-good";
    call(panel, token, Method::GET, path, Value::Null).await["config"].as_str().expect("a text").to_owned()
}

async fn change_of_a_killed_panel_is_put_back_if_the_engine_does_not_run(test: TestDatabase) {
    let folder = tempfile::tempdir().expect("a folder");
    let bad = config("bad", "nonsense");
    let (panel, token, node) = kill_in_a_change(&test, folder.path(), &bad).await;
    assert_eq!(node.config("xray"), Some(config("good", "vless")));
    assert!(node.engine_runs("xray"));
    assert_eq!(last_good(&panel, &token).await, config("good", "vless"));
    assert!(panel.log().contains("its last good configuration is in place again"), "{}", panel.log());
    assert!(panel.counter("sarban_engine_changes_unfinished_total").await > 0.0);
}

async fn change_of_a_killed_panel_stays_if_the_engine_runs(test: TestDatabase) {
    let folder = tempfile::tempdir().expect("a folder");
    let new = config("new", "trojan");
    let (panel, token, node) = kill_in_a_change(&test, folder.path(), &new).await;
    assert_eq!(node.config("xray"), Some(new.clone()));
    assert!(node.engine_runs("xray"));
    assert_eq!(last_good(&panel, &token).await, new);
}
