//! Stopping a process: `/health/ready` answers 503 before the listener closes, so that a proxy sends requests
//! elsewhere.

use rustix::process::Signal;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::app::edge_world::{self, KEY, World};
use crate::app::panel_process::{PanelProcess, Setup};
use crate::app::processes::{USERS, call, first_admin, set_up_users, setup};
use crate::support::database::{TestDatabase, number, on_both_engines};
use crate::support::test_node::{Options, TestNode};

on_both_engines!(
    panel_with_readiness_checks_answers_503_before_it_stops,
    panel_under_nohup_survives_a_hangup,
    slow_request_is_finished_while_a_proxy_drains,
    fetches_before_a_stop_are_written,
    edge_ends_within_its_grace,
    empty nodes_with_changes_in_flight_are_marked_dirty_at_a_stop,
    empty calls_to_a_node_come_to_their_end_before_a_stop,
);

/// Number of nodes, large enough that marking them takes a while.
const NODES: i64 = 20;

async fn panel_with_readiness_checks_answers_503_before_it_stops(test: TestDatabase) {
    // A terminal may send SIGHUP twice, and a service manager beside SIGTERM.
    for signals in
        [&[Signal::TERM][..], &[Signal::HUP, Signal::HUP], &[Signal::TERM, Signal::HUP], &[Signal::HUP, Signal::TERM]]
    {
        stops_in_order(&test, signals).await;
    }
}

async fn stops_in_order(test: &TestDatabase, signals: &[Signal]) {
    let folder = tempfile::tempdir().expect("a folder");
    let cluster = format!("test-{}", Uuid::new_v4().simple());
    let setup = Setup { database: &test.options.url, redis: None, cluster, folder: folder.path(), more: vec![] };
    let mut panel = setup.start_in_terminal("ann");
    panel.ready().await;
    for signal in signals {
        panel.signal(*signal);
        sleep(Duration::from_millis(20)).await;
    }
    // Each request uses a new connection, as the checks of a proxy do.
    let answer = loop {
        let request = panel.request(Method::GET, "/health/ready").header("connection", "close");
        let answer = request.send().await.expect("the listener is open until the 503 was seen");
        if answer.status() != 200 {
            break answer;
        }
        sleep(Duration::from_millis(5)).await;
    };
    assert_eq!(answer.status(), 503);
    let served = panel.request(Method::GET, "/health/live").send().await.expect("requests are served meanwhile");
    assert_eq!(served.status(), 200);
    assert!(panel.ended().await.success());
}

async fn panel_under_nohup_survives_a_hangup(test: TestDatabase) {
    let folder = tempfile::tempdir().expect("a folder");
    let cluster = format!("test-{}", Uuid::new_v4().simple());
    let setup = Setup { database: &test.options.url, redis: None, cluster, folder: folder.path(), more: vec![] };
    let mut panel = setup.start_without_hangup("ann");
    panel.ready().await;
    panel.signal(Signal::HUP);
    for _ in 0..10 {
        let ready = panel.request(Method::GET, "/health/ready").send().await.expect("it serves on");
        assert_eq!(ready.status(), 200);
        sleep(Duration::from_millis(20)).await;
    }
    assert!(panel.stop().await.success());
}

/// A request with a body that arrives slowly, over a proxy that drains: the socket stays open for the proxy's checks, which
/// get 404, until the request has its answer.
async fn slow_request_is_finished_while_a_proxy_drains(test: TestDatabase) {
    let folder = tempfile::tempdir().expect("a folder");
    let setup = setup(&test, folder.path());
    let mut panel = setup.start("ann");
    panel.ready().await;
    let token = first_admin(&setup, &panel).await;
    let probe = async |panel: &PanelProcess| {
        let probe = panel.request(Method::GET, "/health/ready?drain=true").header("connection", "close");
        probe.send().await.map(|answer| answer.status().as_u16())
    };
    assert_eq!(probe(&panel).await.expect("an answer"), 200);
    let body = json!({"username": "ann", "expire_strategy": "never"}).to_string();
    let mut slow = TcpStream::connect(("127.0.0.1", panel.port)).await.expect("a connection");
    let head = format!(
        "POST /api/users HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\nexpect: 100-continue\r\nconnection: close\r\n\r\n",
        body.len(),
    );
    slow.write_all(head.as_bytes()).await.expect("sent");
    let mut goes_on = [0; 25];
    slow.read_exact(&mut goes_on).await.expect("an answer once the body is wanted");
    assert_eq!(String::from_utf8_lossy(&goes_on), "HTTP/1.1 100 Continue\r\n\r\n");
    slow.write_all(&body.as_bytes()[..10]).await.expect("sent");
    panel.signal(Signal::TERM);
    let stopped = Instant::now();
    while probe(&panel).await.expect("the socket is open") == 200 {
        assert!(stopped.elapsed() < Duration::from_secs(5), "the panel does not stop");
        sleep(Duration::from_millis(20)).await;
    }
    // Longer than a panel waits for other proxies.
    while stopped.elapsed() < Duration::from_millis(3_500) {
        assert_eq!(probe(&panel).await.expect("the socket is open"), 404, "after {:?}", stopped.elapsed());
        sleep(Duration::from_millis(100)).await;
    }
    slow.write_all(&body.as_bytes()[10..]).await.expect("sent");
    let mut answer = String::new();
    slow.read_to_string(&mut answer).await.expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(panel.ended().await.success());
    // No request was left: the panel did not wait for its whole grace.
    assert!(stopped.elapsed() < Duration::from_secs(6), "{:?}", stopped.elapsed());
}

async fn fetches_before_a_stop_are_written(test: TestDatabase) {
    let folder = tempfile::tempdir().expect("a folder");
    let cluster = format!("test-{}", Uuid::new_v4().simple());
    let setup = Setup { database: &test.options.url, redis: None, cluster, folder: folder.path(), more: vec![] };
    let mut panel = setup.start("ann");
    panel.ready().await;
    let token = first_admin(&setup, &panel).await;
    let mut links = Vec::new();
    for name in ["ann", "ben", "cyd"] {
        let user = json!({"username": name, "expire_strategy": "never"});
        let user = call(&panel, &token, Method::POST, "/api/users", user).await;
        links.push(user["subscription_url"].as_str().expect("a link").to_owned());
    }
    for link in &links {
        for _ in 0..100 {
            assert_eq!(panel.request(Method::GET, link).send().await.expect("an answer").status(), 200);
        }
    }
    assert!(panel.stop().await.success());
    assert_eq!(number(&test.db, "SELECT COUNT(*) FROM subscription_fetches").await, 3);
}

/// A service manager kills what takes longer. A client that never sends all of its request and a panel that has fallen silent take all
/// the time that they get.
async fn edge_ends_within_its_grace(test: TestDatabase) {
    let folder = tempfile::tempdir().expect("a folder");
    let world = World::start(&test, folder.path()).await;
    let panels = format!("http://127.0.0.1:{}", world.panel.port);
    let grace = [("SHUTDOWN_GRACE_SECONDS", "3")];
    let mut edge = world.setup.start_edge_with("edge", &panels, &world.token, &grace);
    edge.ready().await;
    world.panel.signal(Signal::STOP);
    let mut client = TcpStream::connect(("127.0.0.1", edge.port)).await.expect("a connection");
    client.write_all(b"GET /sub/ann HTTP/1.1\r\nhost: x\r\n").await.expect("sent");
    // On another connection, after which the edge has seen the first one.
    assert_eq!(edge_world::status(&edge, KEY).await, 200);
    let began = Instant::now();
    assert!(edge.stop().await.success());
    let took = began.elapsed();
    // With the last report after the grace, it would be six seconds or more.
    assert!(took >= Duration::from_secs(2), "{took:?}: the client was not waited for");
    assert!(took < Duration::from_millis(5_900), "{took:?}");
}

/// A change in flight may reach a node after the next leader has started, which must send a full list to that node.
async fn nodes_with_changes_in_flight_are_marked_dirty_at_a_stop(test: TestDatabase) {
    let folder = tempfile::tempdir().expect("a folder");
    // No usage request is in flight that could delay the stop.
    let rarely = ("TASKS_RECORD_USER_USAGES_INTERVAL", "3600".to_owned());
    let setup = Setup { more: vec![rarely], ..setup(&test, folder.path()) };
    let mut panel = setup.start("ann");
    // Not `/health/ready`: a process whose readiness was asked for stops two seconds later.
    while panel.request(Method::GET, "/health/live").send().await.is_err() {
        sleep(Duration::from_millis(20)).await;
    }
    let token = first_admin(&setup, &panel).await;
    let mut nodes = Vec::new();
    for number in 1..=NODES {
        let node = TestNode::start(Options::default()).await.expect("a node");
        let body = json!({"name": format!("node {number}"), "address": "127.0.0.1", "port": node.address().port(), "connection_backend": "grpcio"});
        call(&panel, &token, Method::POST, "/api/nodes", body).await;
        nodes.push(node);
    }
    // A new panel has a node "local" as well, where a marznode runs on this machine.
    let healthy = "SELECT COUNT(*) FROM nodes WHERE status = 'healthy' AND name LIKE 'node %'";
    within_a_minute("nodes are healthy", async || number(&test.db, healthy).await == NODES).await;
    let page = call(&panel, &token, Method::GET, "/api/inbounds?size=100", Value::Null).await;
    let inbounds: Vec<Value> = page["items"].as_array().expect("items").iter().map(|it| it["id"].clone()).collect();
    let service = json!({"name": "all", "inbound_ids": inbounds});
    let service = call(&panel, &token, Method::POST, "/api/services", service).await["id"].clone();
    let user = json!({"username": "ann", "expire_strategy": "never", "service_ids": [service]});
    call(&panel, &token, Method::POST, "/api/users", user).await;
    within_a_minute("nodes have the user", async || {
        nodes.iter().all(|node| !node.users().is_empty())
            && number(&test.db, "SELECT COUNT(*) FROM user_change").await == 0
    })
    .await;
    for node in &nodes {
        node.hold(Duration::from_secs(30));
    }
    let before: Vec<u64> = nodes.iter().map(|node| node.changes()).collect();
    call(&panel, &token, Method::POST, "/api/users/ann/disable", Value::Null).await;
    within_a_minute("nodes receive a change", async || {
        nodes.iter().zip(&before).all(|(node, before)| node.changes() > *before)
    })
    .await;
    assert!(panel.stop().await.success());
    assert_eq!(number(&test.db, "SELECT COUNT(*) FROM nodes WHERE dirty AND name LIKE 'node %'").await, NODES);
}

/// A node whose call is broken off refuses its users until its engine restarts.
async fn calls_to_a_node_come_to_their_end_before_a_stop(test: TestDatabase) {
    let folder = tempfile::tempdir().expect("a folder");
    let setup = setup(&test, folder.path());
    let mut panels = vec![setup.start("ann")];
    panels[0].ready().await;
    let node = TestNode::start(Options::default()).await.expect("a node");
    set_up_users(&setup, &mut panels, &node).await;
    let count = usize::try_from(USERS).expect("a few");
    within_a_minute("the node has all users", async || node.users().len() == count).await;
    node.slow_engines(Duration::from_millis(100));
    node.restart();
    within_a_minute("a full list is under way", async || (2..count / 2).contains(&node.users().len())).await;
    assert!(panels[0].stop().await.success());
    assert_eq!((node.users().len(), node.apart().len()), (count, 0), "users on the node, and users left apart");
}

async fn within_a_minute(what: &str, holds: impl AsyncFn() -> bool) {
    let limit = Instant::now() + Duration::from_secs(60);
    while !holds().await {
        assert!(Instant::now() < limit, "{what}: not within a minute");
        sleep(Duration::from_millis(20)).await;
    }
}
