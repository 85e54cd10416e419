//! `/api/nodes/{id}/{backend}/…`: any panel, leader or not, asks the node itself.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use reqwest::Method;
use sarban::actions::admins::{self, Actor};
use sarban::store::Db;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::api::panel::{TestPanel, send};
use crate::support::database::{execute, number, on_both_engines};
use crate::support::test_node::{Event, Options, TestNode};

on_both_engines!(
    engine_status_and_configuration_come_from_its_node,
    engine_is_restarted_with_the_configuration_that_it_has,
    engines_are_for_sudo_admins_only,
    invalid_configuration_is_refused_and_not_sent_to_the_node,
    engine_of_an_unknown_disabled_or_unreachable_node_is_an_error,
    concurrent_configuration_changes_run_one_after_another,
    slow_restart_continues_after_its_time_out_and_blocks_the_next_change,
    edit_lock_of_a_dead_process_expires,
    first_certificate_of_a_node_is_pinned_until_repin,
    log_is_streamed_line_by_line_and_stays_open_at_its_end,
    log_takes_its_token_as_a_subprotocol,
    log_request_with_an_error_is_refused_before_the_handshake,
    quiet_log_stays_open_and_failed_log_closes_with_a_reason,
    log_closes_when_its_admin_may_not_read_it_any_more,
    logs_of_an_admin_are_bounded,
);

const CONFIG: &str = "/api/nodes/1/xray/config";

async fn start(db: Db) -> (TestPanel, TestNode) {
    let node = TestNode::start(Options::default()).await.expect("a node");
    let panel = TestPanel::start(db).await;
    move_node(&panel, &node, "grpcio").await;
    (panel, node)
}

async fn move_node(panel: &TestPanel, node: &TestNode, kind: &str) {
    let body = json!({"address": "127.0.0.1", "port": node.address().port(), "connection_backend": kind});
    panel.put("root", "/api/nodes/1", body).await.ok();
}

async fn engine_status_and_configuration_come_from_its_node(db: Db) {
    let (panel, _node) = start(db).await;
    assert_eq!(panel.get("root", "/api/nodes/1/xray/stats").await.ok(), json!({"running": true}));
    assert_eq!(panel.get("root", "/api/nodes/1/stopped/stats").await.ok(), json!({"running": false}));
    let first = panel.get("root", CONFIG).await.ok();
    assert_eq!(first, json!({"config": "{\"log\": {\"loglevel\": \"warning\"}}", "format": 1}));

    let requested = "SELECT COUNT(*) FROM nodes WHERE sync_request IS NOT NULL";
    execute(&panel.panel.db, "UPDATE nodes SET sync_request = NULL").await;
    for new in [
        json!({"config": "{\"log\": {}} // a comment", "format": 1}),
        json!({"config": "listen: :443\n", "format": 2}),
        json!({"config": "{ anything", "format": 0}),
    ] {
        assert_eq!(panel.put("root", CONFIG, new.clone()).await.ok(), json!({}));
        assert_eq!(panel.get("root", CONFIG).await.ok(), new);
    }
    assert_eq!(panel.put("root", CONFIG, json!({"config": "x", "format": "2"})).await.ok(), json!({}));
    assert_eq!(number(&panel.panel.db, requested).await, 1, "the leader must sync the node again");
}

async fn engine_is_restarted_with_the_configuration_that_it_has(db: Db) {
    const RESTART: &str = "/api/nodes/1/xray/restart";
    let (panel, node) = start(db).await;
    let own = panel.get("root", CONFIG).await.ok()["config"].as_str().expect("a text").to_owned();
    assert_eq!(panel.post("root", RESTART, Value::Null).await.ok(), json!({}));
    let restarted = [Event::RestartBegan { config: own.clone() }, Event::RestartEnded { config: own.clone() }];
    assert_eq!(node.events(), restarted);
    node.kill_engine("xray", "");
    assert_eq!(panel.get("root", "/api/nodes/1/xray/stats").await.ok(), json!({"running": false}));
    panel.post("root", RESTART, Value::Null).await.ok();
    assert_eq!(panel.get("root", "/api/nodes/1/xray/stats").await.ok(), json!({"running": true}), "it was started");
    assert_eq!(panel.get("root", CONFIG).await.ok()["config"], json!(own));
    let requested = "SELECT COUNT(*) FROM nodes WHERE sync_request IS NOT NULL";
    assert_eq!(number(&panel.panel.db, requested).await, 1, "the engine may have lost its users");
    let page = panel.get("root", "/api/audit?action=engine.&limit=1").await.ok();
    let (entry, after) = (&page["items"][0], json!({"result": "runs", "bytes": own.len()}));
    assert_eq!(
        (&entry["action"], &entry["object_name"], &entry["after"]),
        (&json!("engine.restart"), &json!("xray"), &after)
    );

    node.set_config("xray", " ");
    panel.post("root", RESTART, Value::Null).await.refused(409);
    let nonsense = r#"{"inbounds": [{"tag": "bad", "protocol": "nonsense", "port": 443}]}"#;
    node.set_config("xray", nonsense);
    let refused = panel.post("root", RESTART, Value::Null).await;
    refused.wrong_fields(&["config"]);
    assert!(refused.body.to_string().contains("unknown config id: nonsense"), "{}", refused.body);
    panel.post("root", "/api/nodes/9/xray/restart", Value::Null).await.refused(404);
    // The lock is released in the background.
    let locks = async || number(&panel.panel.db, "SELECT COUNT(*) FROM node_edit").await;
    let end = tokio::time::Instant::now() + Duration::from_secs(5);
    while locks().await > 0 {
        assert!(tokio::time::Instant::now() < end, "a lock is left");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn engines_are_for_sudo_admins_only(db: Db) {
    let panel = TestPanel::start(db).await;
    panel.insert_admin("alice", false).await;
    for (method, path) in [(Method::GET, "/api/nodes/1/xray/stats"), (Method::GET, CONFIG), (Method::PUT, CONFIG)] {
        send(panel.request(method.clone(), path)).await.refused(401);
        send(panel.request(method, path).bearer_auth(panel.token_of("alice"))).await.refused(403);
    }
}

async fn invalid_configuration_is_refused_and_not_sent_to_the_node(db: Db) {
    let (panel, node) = start(db).await;
    for (body, expected) in [
        (json!({}), &["config", "format"][..]),
        (json!({"config": "x", "format": 7}), &["format"]),
        (json!({"config": "x", "format": "JSON"}), &["format"]),
        (json!({"config": "x", "format": 1}), &["config"]),
        (json!({"config": "a: [", "format": 2}), &["config"]),
        (json!({"config": 5, "format": null}), &["config", "format"]),
    ] {
        panel.put("root", CONFIG, body).await.wrong_fields(expected);
    }
    assert_eq!(node.events(), [], "nothing was restarted");
    panel.put("root", "/api/nodes/abc/xray/config", json!({"config": "x"})).await.wrong_fields(&["format", "node_id"]);
}

async fn engine_of_an_unknown_disabled_or_unreachable_node_is_an_error(db: Db) {
    let (panel, node) = start(db).await;
    let new = json!({"config": "x", "format": 0});
    for id in [999, -1] {
        panel.get("root", &format!("/api/nodes/{id}/xray/stats")).await.refused(404);
        panel.get("root", &format!("/api/nodes/{id}/xray/config")).await.refused(404);
        panel.put("root", &format!("/api/nodes/{id}/xray/config"), new.clone()).await.refused(404);
    }
    drop(node);
    panel.get("root", "/api/nodes/1/xray/stats").await.refused(502);
    panel.get("root", CONFIG).await.refused(502);
    panel.put("root", CONFIG, new.clone()).await.refused(502);
    panel.put("root", "/api/nodes/1", json!({"status": "disabled"})).await.ok();
    panel.get("root", "/api/nodes/1/xray/stats").await.refused(404);
    panel.put("root", CONFIG, new).await.refused(404);
}

async fn concurrent_configuration_changes_run_one_after_another(db: Db) {
    let (panel, node) = start(db).await;
    // On two panels: the lock is in the database.
    let other = TestPanel::beside(&panel, &[]).await;
    node.hold(Duration::from_millis(20));
    let change = async |panel: &TestPanel, text: &str| {
        panel.put("root", CONFIG, json!({"config": text, "format": 0})).await.ok()
    };
    tokio::join!(change(&panel, "a"), change(&other, "b"), change(&panel, "c"), change(&other, "d"));
    let events = node.events();
    assert_eq!(events.len(), 8);
    for pair in events.chunks(2) {
        let Event::RestartBegan { config } = &pair[0] else { panic!("{events:?}") };
        assert_eq!(pair[1], Event::RestartEnded { config: config.clone() }, "{events:?}");
    }
}

async fn slow_restart_continues_after_its_time_out_and_blocks_the_next_change(db: Db) {
    let (panel, node) = start(db).await;
    // The fourth call is the restart.
    node.hold(Duration::from_secs(3));
    let slow = panel.put("root", CONFIG, json!({"config": "slow", "format": 0}));
    let next = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        panel.put("root", CONFIG, json!({"config": "next", "format": 0})).await
    };
    let (slow, next) = tokio::join!(slow, next);
    slow.refused(502);
    next.refused(409);
    let ended = Event::RestartEnded { config: "slow".to_owned() };
    for _ in 0..500 {
        if node.events().contains(&ended) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    node.hold(Duration::ZERO);
    node.release();
    assert_eq!(panel.get("root", CONFIG).await.ok()["config"], "slow");
    panel.put("root", CONFIG, json!({"config": "next", "format": 0})).await.ok();
}

async fn edit_lock_of_a_dead_process_expires(db: Db) {
    let (panel, _node) = start(db).await;
    let dead = match panel.panel.db {
        Db::Pg(_) => "INSERT INTO node_edit VALUES (1, gen_random_uuid(), 5)",
        Db::Lite(_) => "INSERT INTO node_edit VALUES (1, randomblob(16), 5)",
    };
    execute(&panel.panel.db, dead).await;
    panel.put("root", CONFIG, json!({"config": "x", "format": 0})).await.ok();
}

async fn first_certificate_of_a_node_is_pinned_until_repin(db: Db) {
    let tls = || Options { tls: true, ..Options::default() };
    let node = TestNode::start(tls()).await.expect("a node");
    let address = node.address();
    let panel = TestPanel::start(db).await;
    move_node(&panel, &node, "grpclib").await;
    let pinned = "SELECT COUNT(*) FROM nodes WHERE LENGTH(certificate_pin) = 64";
    assert_eq!(number(&panel.panel.db, pinned).await, 0);
    panel.get("root", CONFIG).await.ok();
    assert_eq!(number(&panel.panel.db, pinned).await, 1);
    panel.get("root", CONFIG).await.ok();

    drop(node);
    let mut other = TestNode::start(Options { listen: address, ..tls() }).await;
    for _ in 0..50 {
        if other.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        other = TestNode::start(Options { listen: address, ..tls() }).await;
    }
    let _other = other.expect("the port is free again");
    let refused = panel.get("root", CONFIG).await;
    refused.refused(502);
    assert!(refused.body["detail"].as_str().expect("a text").contains("certificate has changed"), "{}", refused.body);
    panel.post("root", "/api/nodes/1/repin", Value::Null).await.ok();
    panel.get("root", CONFIG).await.ok();
}

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Connects to a log. Returns the socket, or the status of the refusal.
async fn logs(panel: &TestPanel, path: &str, bearer: Option<String>) -> Result<Socket, u16> {
    let mut request = panel.url(path).replace("http://", "ws://").into_client_request().expect("an address");
    if let Some(token) = bearer {
        request.headers_mut().insert("authorization", format!("Bearer {token}").parse().expect("a header"));
    }
    match connect_async(request).await {
        Ok((socket, _)) => Ok(socket),
        Err(Error::Http(response)) => Err(response.status().as_u16()),
        Err(error) => panic!("{error}"),
    }
}

async fn line(socket: &mut Socket) -> String {
    let next = timeout(Duration::from_secs(10), socket.next()).await.expect("in time");
    match next.expect("the socket is open").expect("a message") {
        Message::Text(text) => text.to_string(),
        other => panic!("no line: {other:?}"),
    }
}

async fn log_is_streamed_line_by_line_and_stays_open_at_its_end(db: Db) {
    let (panel, node) = start(db).await;
    let root = panel.token_of("root");
    let mut socket = logs(&panel, &format!("/api/nodes/1/xray/logs?token={root}"), None).await.expect("accepted");
    for n in 0..3 {
        assert_eq!(line(&mut socket).await, format!("xray log line {n} buffer=True"));
    }
    assert_eq!(node.log("later\n"), 1);
    assert_eq!(line(&mut socket).await, "later\n");
    socket.close(None).await.expect("closed");

    let path = "/api/nodes/1/brief/logs?include_buffer=false";
    let mut brief = logs(&panel, path, Some(root)).await.expect("accepted");
    for n in 0..3 {
        assert_eq!(line(&mut brief).await, format!("brief log line {n} buffer=False"));
    }
    let over = timeout(Duration::from_millis(300), brief.next()).await;
    assert!(over.is_err(), "the socket stays open when the log has ended: {over:?}");
    brief.send(Message::Ping(Vec::new().into())).await.expect("sent");
    let pong = timeout(Duration::from_secs(10), brief.next()).await.expect("in time");
    assert!(matches!(pong, Some(Ok(Message::Pong(_)))), "{pong:?}");
}

/// As browsers do, which can't set other headers.
async fn log_takes_its_token_as_a_subprotocol(db: Db) {
    let (panel, _node) = start(db).await;
    panel.insert_admin("alice", false).await;
    let offer = async |protocols: String| {
        let mut request =
            panel.url("/api/nodes/1/xray/logs").replace("http://", "ws://").into_client_request().unwrap();
        request.headers_mut().insert("sec-websocket-protocol", protocols.parse().expect("a header"));
        connect_async(request).await
    };
    let (mut socket, answer) = offer(format!("sarban.log, sarban.bearer.{}", panel.token_of("root"))).await.unwrap();
    assert_eq!(answer.headers()["sec-websocket-protocol"], "sarban.log", "the token is not in the answer");
    assert_eq!(line(&mut socket).await, "xray log line 0 buffer=True");
    for token in ["", "x", &panel.token_of("alice")] {
        let refused = offer(format!("sarban.log, sarban.bearer.{token}")).await;
        assert!(matches!(&refused, Err(Error::Http(response)) if response.status() == 403), "{token}: {refused:?}");
    }
}

async fn log_request_with_an_error_is_refused_before_the_handshake(db: Db) {
    let (panel, node) = start(db).await;
    panel.insert_admin("alice", false).await;
    let (root, alice) = (panel.token_of("root"), panel.token_of("alice"));
    for path in [
        "/api/nodes/1/xray/logs".to_owned(),
        "/api/nodes/1/xray/logs?token=x".to_owned(),
        format!("/api/nodes/1/xray/logs?token={alice}"),
        format!("/api/nodes/999/xray/logs?token={root}"),
        format!("/api/nodes/abc/xray/logs?token={root}"),
        format!("/api/nodes/1/xray/logs?include_buffer=zzz&token={root}"),
    ] {
        assert_eq!(logs(&panel, &path, None).await.err(), Some(403), "{path}");
    }
    panel.get("root", "/api/nodes/1/xray/logs").await.refused(404);
    drop(node);
    assert_eq!(logs(&panel, "/api/nodes/1/xray/logs", Some(root)).await.err(), Some(502));
}

async fn quiet_log_stays_open_and_failed_log_closes_with_a_reason(db: Db) {
    let (panel, node) = start(db).await;
    let mut socket = logs(&panel, "/api/nodes/1/quiet/logs", Some(panel.token_of("root"))).await.expect("accepted");
    for _ in 0..500 {
        if node.log("at last") > 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(line(&mut socket).await, "at last");
    node.drop_connections();
    let end = timeout(Duration::from_secs(10), socket.next()).await.expect("in time");
    let Some(Ok(Message::Close(Some(close)))) = end else { panic!("{end:?}") };
    assert_eq!(u16::from(close.code), 1011);
    assert!(close.reason.starts_with("The node closed the log"), "{}", close.reason);
}

async fn log_closes_when_its_admin_may_not_read_it_any_more(db: Db) {
    let (panel, _node) = start(db).await;
    for name in ["deleted", "demoted", "other"] {
        panel.insert_admin(name, true).await;
    }
    let mut sockets = Vec::new();
    for name in ["deleted", "demoted", "other"] {
        let socket = logs(&panel, "/api/nodes/1/quiet/logs", Some(panel.token_of(name))).await.expect("accepted");
        sockets.push(socket);
    }
    admins::delete(&panel.panel, Actor::Operator, "deleted").await.expect("deleted");
    panel.put("demoted", "/api/admins/demoted", json!({"is_sudo": false})).await.ok();
    let [mut deleted, mut demoted, mut other] = <[Socket; 3]>::try_from(sockets).expect("three");
    for socket in [&mut deleted, &mut demoted] {
        assert_closes_as_refused(socket).await;
    }
    let still = timeout(Duration::from_millis(100), other.next()).await;
    assert!(still.is_err(), "{still:?}");
    panel.panel.clock.advance(600_000_000);
    assert_closes_as_refused(&mut other).await;
}

async fn logs_of_an_admin_are_bounded(db: Db) {
    let (panel, _node) = start(db).await;
    panel.insert_admin("other", true).await;
    let open = async |name| logs(&panel, "/api/nodes/1/quiet/logs", Some(panel.token_of(name))).await;
    let mut sockets = Vec::new();
    for _ in 0..16 {
        sockets.push(open("root").await.expect("accepted"));
    }
    assert_eq!(open("root").await.err(), Some(429));
    open("other").await.expect("another admin");
    drop(sockets.pop());
    let again = async {
        while open("root").await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_secs(10), again).await.expect("one has ended");
}

async fn assert_closes_as_refused(socket: &mut Socket) {
    let end = timeout(Duration::from_secs(10), socket.next()).await.expect("within seconds");
    let Some(Ok(Message::Close(Some(close)))) = end else { panic!("{end:?}") };
    assert_eq!(u16::from(close.code), 1008);
}
