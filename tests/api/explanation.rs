//! `/api/users/{username}/subscription`: what one client gets, with the document on request.

use sarban::store::Db;
use serde_json::{Value, json};

use crate::api::panel::{TestPanel, send};
use crate::support::database::{execute, on_both_engines};

on_both_engines!(explanation_has_the_document_that_the_client_gets_and_is_no_fetch);

/// A host for all users.
const HOST: &str = r#"INSERT INTO hosts (universal, spec)
    VALUES (TRUE, '{"remark": "there", "address": "192.0.2.1", "protocol": "trojan", "network": "tcp", "port": 443,
                    "password": "pw", "security": "tls"}')"#;
const LINK: &str = "/sub/ann/00000000000000000000000000000001";

async fn explanation_has_the_document_that_the_client_gets_and_is_no_fetch(db: Db) {
    execute(&db, HOST).await;
    let panel = TestPanel::start(db).await;
    panel.insert_admin("alice", false).await;
    panel.insert_admin("bob", false).await;
    let ann = json!({"username": "ann", "expire_strategy": "never", "key": "00000000000000000000000000000001"});
    panel.post("alice", "/api/users", ann).await.ok();
    let path = "/api/users/ann/subscription";
    let bare = panel.get("alice", path).await.ok();
    assert_eq!((&bare["document"], &bare["content_type"]), (&Value::Null, &Value::Null), "only on request");
    for format in ["links", "v2ray", "xray", "sing-box", "clash-meta"] {
        let given = panel.get("alice", &format!("{path}?format={format}&document=true")).await.ok();
        let fetched = send(panel.request(reqwest::Method::GET, &format!("{LINK}/{format}"))).await;
        assert_eq!(given["content_type"].as_str(), fetched.header("content-type"), "{format}");
        let document = given["document"].as_str().expect("a document");
        let same = match &fetched.body {
            Value::String(text) => document == text,
            body => serde_json::from_str::<Value>(document).is_ok_and(|document| document == *body),
        };
        assert!(same, "{format}: {document}\n{}", fetched.body);
    }
    let page = panel.get("alice", &format!("{path}?user_agent=SFA/1.12.0&document=true")).await.ok();
    assert_eq!(page["format"], "sing-box");
    panel.get("bob", &format!("{path}?document=true")).await.refused(403);
    panel.get("alice", &format!("{path}?document=maybe")).await.wrong_fields(&["document"]);

    let beatrice = json!({"username": "beatrice", "expire_strategy": "never"});
    panel.post("alice", "/api/users", beatrice).await.ok();
    panel.get("alice", "/api/users/beatrice/subscription?document=true").await.ok();
    assert_eq!(panel.get("alice", "/api/users/beatrice").await.ok()["sub_updated_at"], Value::Null);
}
