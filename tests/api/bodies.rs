//! Bodies: how large they may be and for whom, how fast they must arrive, and what they may hold.

use std::time::Duration;

use reqwest::Method;
use sarban::store::Db;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::api::panel::{TestPanel, send};
use crate::support::database::on_both_engines;

on_both_engines!(
    stranger_is_refused_before_the_body_is_received,
    large_body_is_accepted_from_sudo_admins_and_only_where_it_is_needed,
    thousands_of_wrong_ids_get_a_short_answer,
    texts_and_lists_that_are_too_long_are_named,
    fields_of_answers_are_ignored_in_bodies_but_must_have_their_type,
    body_is_read_with_a_byte_order_mark_and_without_a_content_type,
    admin_whose_bodies_never_end_affects_no_other_caller,
);

/// Sends a head and returns what the panel answers, without sending a body.
async fn answer_to_head(panel: &TestPanel, head: &str) -> String {
    let mut stream = TcpStream::connect(panel.address()).await.expect("a connection");
    stream.write_all(head.as_bytes()).await.expect("sent");
    let mut answer = vec![0; 4_096];
    let read = timeout(Duration::from_secs(5), stream.read(&mut answer)).await.expect("an answer at once");
    String::from_utf8_lossy(&answer[..read.expect("a connection")]).into_owned()
}

async fn stranger_is_refused_before_the_body_is_received(db: Db) {
    let panel = TestPanel::start(db).await;
    let form = "content-type: application/x-www-form-urlencoded";
    for (path, header, status) in [
        ("/api/admins/token", form, "413"),
        ("/api/users", "content-type: application/json", "401"),
        ("/api/users", "authorization: Bearer abc", "401"),
    ] {
        let head = format!("POST {path} HTTP/1.1\r\nhost: x\r\n{header}\r\ncontent-length: 4194303\r\n\r\n");
        let answer = answer_to_head(&panel, &head).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{path}: {answer}");
    }
    let login = |padding: usize| {
        let form = [("username", "root".to_owned()), ("password", "rootpass".to_owned()), ("x", "x".repeat(padding))];
        send(panel.request(Method::POST, "/api/admins/token").form(&form))
    };
    login(4_000).await.ok();
    login(16 << 10).await.refused(413);
}

async fn large_body_is_accepted_from_sudo_admins_and_only_where_it_is_needed(db: Db) {
    let panel = TestPanel::start(db).await;
    panel.insert_admin("ann", false).await;
    let config = |kib: usize| json!({"config": format!("{{{}}}", " ".repeat(kib << 10)), "format": 1});
    let path = "/api/nodes/999/xray/config";
    panel.put("root", path, config(3_000)).await.refused(404);
    for (by, method, path, kib, status) in [
        ("root", "PUT", path, 4_097, "413"),
        ("ann", "PUT", path, 3_000, "403"),
        ("root", "POST", "/api/services", 257, "413"),
        ("ann", "POST", "/api/services", 257, "403"),
    ] {
        let (token, bytes) = (panel.token_of(by), kib << 10);
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\ncontent-length: {bytes}\r\n\r\n"
        );
        let answer = answer_to_head(&panel, &head).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{by} {path}: {answer}");
    }
}

async fn thousands_of_wrong_ids_get_a_short_answer(db: Db) {
    let panel = TestPanel::start(db).await;
    let user = |ids: Value| json!({"username": "ben", "expire_strategy": "never", "service_ids": ids});
    let answer = panel.post("root", "/api/users", user(json!(vec!["x"; 9_000]))).await;
    assert_eq!(answer.status, 422, "{}", answer.body);
    let detail = answer.body["detail"].as_object().expect("an object");
    assert_eq!((detail.len(), detail["body"].as_str()), (101, Some("8900 more values are wrong")));
    assert_eq!(panel.post("root", "/api/users", user(json!(vec!["x"; 10_001]))).await.status, 422);
    panel.post("root", "/api/users", user(json!(vec![1; 9_000]))).await.ok();
}

async fn texts_and_lists_that_are_too_long_are_named(db: Db) {
    let panel = TestPanel::start(db).await;
    let long = "x".repeat(4_097);
    for (path, body, field) in [
        ("/api/services", json!({"name": long}), "name"),
        ("/api/services", json!({"inbound_ids": vec![1; 10_001]}), "inbound_ids"),
        ("/api/inbounds/hosts", json!({"remark": long, "address": "a"}), "remark"),
        ("/api/inbounds/hosts", json!({"remark": "{USERNAME:>256}".repeat(17), "address": "a"}), "remark"),
        ("/api/inbounds/hosts", json!({"remark": "a", "address": "a", "chain_ids": vec![1; 17]}), "chain_ids"),
        ("/api/inbounds/hosts", json!({"remark": "a", "address": "a", "sni": long}), "sni"),
        ("/api/inbounds/hosts", json!({"remark": "a", "address": "a", "http_headers": {"Host": long}}), "Host"),
    ] {
        panel.post("root", path, body).await.wrong_fields(&[field]);
    }
}

async fn admin_whose_bodies_never_end_affects_no_other_caller(db: Db) {
    let panel = TestPanel::start_with(db, &[("MAX_REQUESTS_AT_ONCE", "16")]).await;
    panel.insert_admin("mallory", false).await;
    panel.post("root", "/api/users", json!({"username": "ann", "expire_strategy": "never", "key": "a1b2"})).await.ok();
    let head = format!(
        "POST /api/users HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-length: 100\r\n\r\n{{",
        panel.token_of("mallory")
    );
    let mut holding = Vec::new();
    for _ in 0..60 {
        let mut stream = TcpStream::connect(panel.address()).await.expect("a connection");
        stream.write_all(head.as_bytes()).await.expect("sent");
        holding.push(stream);
    }
    panel.get("mallory", "/api/services").await.refused(503);
    let others = async {
        panel.get("root", "/api/services").await.ok();
        panel.post("root", "/api/services", json!({"name": "a"})).await.ok();
        assert_eq!(send(panel.request(Method::GET, "/sub/ann/a1b2/links")).await.status, 200);
    };
    timeout(Duration::from_secs(3), others).await.expect("others are served at once");
}

async fn fields_of_answers_are_ignored_in_bodies_but_must_have_their_type(db: Db) {
    let panel = TestPanel::start(db).await;
    let wrong = json!({
        "id": "x", "inbound_id": [], "sub_updated_at": "soon", "sub_last_user_agent": 5, "online_at": {}, "key": 5,
        "username": 5,
    });
    for (method, path, keys) in [
        (
            Method::POST,
            "/api/users",
            vec!["expire_strategy", "id", "key", "online_at", "sub_last_user_agent", "sub_updated_at", "username"],
        ),
        (
            Method::PUT,
            "/api/users/ann",
            vec!["id", "key", "online_at", "sub_last_user_agent", "sub_updated_at", "username"],
        ),
        (Method::POST, "/api/admins", vec!["id", "is_sudo", "password", "username"]),
        (Method::PUT, "/api/admins/ann", vec!["id", "username"]),
        (Method::POST, "/api/services", vec!["id"]),
        (Method::PUT, "/api/services/1", vec!["id"]),
        (Method::POST, "/api/nodes", vec!["address", "id", "name"]),
        (Method::PUT, "/api/nodes/1", vec!["id"]),
        (Method::POST, "/api/inbounds/hosts", vec!["address", "inbound_id", "remark"]),
        (Method::PUT, "/api/inbounds/hosts/1", vec!["address", "inbound_id", "remark"]),
    ] {
        let request = panel.request(method.clone(), path).bearer_auth(panel.token_of("root")).json(&wrong);
        let answer = send(request).await;
        assert_eq!(answer.status, 422, "{method} {path}");
        answer.wrong_fields(&keys);
    }
    let sent_back = json!({
        "username": "ann", "expire_strategy": "never", "id": null, "sub_updated_at": "2020-01-01T00:00:00.5",
        "sub_last_user_agent": null, "online_at": "2020-01-01T00:00:00",
    });
    let created = panel.post("root", "/api/users", sent_back).await.ok();
    assert_eq!((&created["id"], &created["online_at"]), (&json!(1), &json!(null)));
    panel.put("root", "/api/users/ann", created).await.ok();
}

async fn body_is_read_with_a_byte_order_mark_and_without_a_content_type(db: Db) {
    let panel = TestPanel::start(db).await;
    for (name, content_type) in [("ann", Some("")), ("bob", None), ("eve", Some("application/json; charset=utf-16"))] {
        let body = format!("\u{feff}{{\"username\": \"{name}\", \"expire_strategy\": \"never\"}}");
        let mut request = panel.request(Method::POST, "/api/users").bearer_auth(panel.token_of("root")).body(body);
        if let Some(content_type) = content_type {
            request = request.header("content-type", content_type);
        }
        assert_eq!(send(request).await.ok()["username"], name);
    }
}
