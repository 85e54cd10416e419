//! What a whole process announces to dashboards without a request: changes that its nodes report.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use tokio::time::{Instant, sleep, timeout};

use crate::app::processes::{call, first_admin, setup};
use crate::support::database::{TestDatabase, number, on_both_engines};
use crate::support::test_node::{Options, TestNode};

on_both_engines!(empty report_of_a_node_that_differs_is_announced);

async fn report_of_a_node_that_differs_is_announced(test: TestDatabase) {
    let folder = tempfile::tempdir().expect("a folder");
    let setup = setup(&test, folder.path());
    let mut panel = setup.start("ann");
    panel.ready().await;
    let token = first_admin(&setup, &panel).await;
    let node = TestNode::start(Options::default()).await.expect("a node");
    let place = json!({"address": "127.0.0.1", "port": node.address().port(), "connection_backend": "grpcio"});
    call(&panel, &token, Method::PUT, "/api/nodes/1", place).await;
    let healthy = "SELECT COUNT(*) FROM nodes WHERE status = 'healthy' AND message IS NULL AND id = 1 \
                   AND EXISTS (SELECT 1 FROM inbounds)";
    let limit = Instant::now() + Duration::from_secs(20);
    while number(&test.db, healthy).await == 0 {
        assert!(Instant::now() < limit, "the node is not healthy: {}", panel.log());
        sleep(Duration::from_millis(50)).await;
    }
    let mut events = panel.request(Method::GET, "/api/events").bearer_auth(&token).send().await.expect("an answer");
    let mut text = String::new();
    let mut until = async |part: &str| {
        let reading = async {
            while !text.contains(part) {
                let chunk = events.chunk().await.expect("a chunk").expect("the stream is open");
                text += std::str::from_utf8(&chunk).expect("text");
            }
        };
        timeout(Duration::from_secs(20), reading).await.unwrap_or_else(|_| panic!("{part} is not announced: {text}"));
    };
    until("event: ready").await;
    let mut backends = Options::default().backends;
    backends[0].version = Some("99.1".into());
    node.set_backends(backends);
    node.drop_connections();
    until(&json!({"kind": "nodes", "id": null}).to_string()).await;
}
