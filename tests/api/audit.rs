//! The audit log: every changing operation enters it, once, with its author, and without secrets.

use reqwest::Method;
use sarban::store::Db;
use serde_json::{Value, json};

use super::changes::{SEED, insert_token, operations, start_session};
use crate::api::panel::{TestPanel, send};
use crate::support::database::{execute, number, on_both_engines};

on_both_engines! {
    every_changing_operation_enters_the_audit_log,
    refused_operation_enters_nothing,
    entries_say_what_changed_and_keep_secrets,
    list_is_filtered_and_paged,
    change_by_an_api_token_names_the_token,
    reads_of_secrets_are_entered_if_the_setting_says_so,
}

/// The source with the screen's list of objects by which the log is filtered.
const SCREEN: &str = include_str!("../../dashboard/src/router.tsx");
const ENTRIES: &str = "SELECT COUNT(*) FROM audit_entry";

async fn every_changing_operation_enters_the_audit_log(db: Db) {
    let panel = TestPanel::start(db.clone()).await;
    panel.insert_admin("bob", false).await;
    panel.post("root", "/api/users", json!({"username": "old", "expire_strategy": "never"})).await.ok();
    execute(&db, SEED).await;
    start_session(&db, "bob").await;
    insert_token(&db, "bob").await;
    let settings = panel.get("root", "/api/system/settings/subscription").await.ok();
    let offered = SCREEN.lines().find(|line| line.contains("const AUDIT_OBJECTS")).expect("the screen's list");
    for (operation, path, body, _) in operations() {
        let before = number(&db, ENTRIES).await;
        let method: Method = operation.split_once(' ').expect("a method").0.parse().expect("a method");
        let body = if operation.starts_with("PUT /api/system/settings/sub") { settings.clone() } else { body };
        let request = panel
            .request(method, path)
            .bearer_auth(panel.token_of("root"))
            .header("x-request-id", operation.replace(' ', "_"));
        let answer = send(if body.is_null() { request } else { request.json(&body) }).await;
        assert!(answer.status.is_success(), "{operation}: {} {}", answer.status, answer.body);
        assert_eq!(number(&db, ENTRIES).await, before + 1, "{operation} enters one entry");
        let entry = newest(&panel).await;
        assert_eq!((&entry["actor"], &entry["actor_name"]), (&json!("admin"), &json!("root")), "{operation}: {entry}");
        assert_eq!(entry["address"], "127.0.0.1", "{operation}");
        assert_eq!(entry["request_id"], operation.replace(' ', "_"), "{operation}");
        let object = entry["action"].as_str().and_then(|action| action.split('.').next()).expect("an action");
        assert!(offered.contains(&format!("'{object}'")), "the screen's filter does not offer {object}");
    }
}

async fn newest(panel: &TestPanel) -> Value {
    panel.get("root", "/api/audit?limit=1").await.ok()["items"][0].clone()
}

async fn refused_operation_enters_nothing(db: Db) {
    let panel = TestPanel::start(db.clone()).await;
    let before = number(&db, ENTRIES).await;
    for path in ["/api/users/nobody", "/api/inbounds/hosts/9", "/api/nodes/9", "/api/services/9", "/api/admins/nobody"]
    {
        assert_eq!(panel.delete("root", path).await.status, 404, "{path}");
    }
    assert_eq!(number(&db, ENTRIES).await, before);
}

async fn entries_say_what_changed_and_keep_secrets(db: Db) {
    let panel = TestPanel::start(db).await;
    let key = "00000000000000000000000000000001";
    let ann = json!({"username": "ann", "expire_strategy": "never", "key": key, "data_limit": 5});
    panel.post("root", "/api/users", ann).await.ok();
    let created = newest(&panel).await;
    assert_eq!((&created["action"], &created["object_name"]), (&json!("user.create"), &json!("ann")));
    assert_eq!((&created["after"]["key"], &created["after"]["data_limit"]), (&json!("***"), &json!(5)));

    panel.put("root", "/api/users/ann", json!({"username": "ann", "data_limit": 9})).await.ok();
    let updated = newest(&panel).await;
    assert_eq!((&updated["before"], &updated["after"]), (&json!({"data_limit": 5}), &json!({"data_limit": 9})));

    panel.post("root", "/api/users/ann/revoke_sub", Value::Null).await.ok();
    let revoked = newest(&panel).await;
    assert_eq!((&revoked["before"], &revoked["after"]), (&json!({"key": "***"}), &json!({"key": "*** (changed)"})));

    let telegram = json!({"token": "12345:secret", "admin_id": [7], "channel_id": null});
    panel.put("root", "/api/system/settings/telegram", telegram).await.ok();
    let settings = newest(&panel).await;
    assert_eq!(settings["after"], json!({"token": "*** (changed)", "admin_id": [7]}));

    let core = json!({"obfs": "salamander", "obfs_password": "hidden"});
    panel.post("root", "/api/inbounds/hosts", json!({"remark": "r", "address": "a", "core_settings": core})).await.ok();
    let host = newest(&panel).await;
    assert_eq!(host["action"], "host.create");
    assert!(host.to_string().contains("salamander") && !host.to_string().contains("hidden"), "{host}");
}

async fn list_is_filtered_and_paged(db: Db) {
    let panel = TestPanel::start(db).await;
    for name in ["ann", "bea", "cid"] {
        panel.post("root", "/api/users", json!({"username": name, "expire_strategy": "never"})).await.ok();
    }
    panel.post("root", "/api/services", json!({"name": "one"})).await.ok();
    let names = async |query: &str| {
        let page = panel.get("root", &format!("/api/audit?{query}")).await.ok();
        let names: Vec<String> = page["items"]
            .as_array()
            .expect("items")
            .iter()
            .map(|item| item["object_name"].as_str().unwrap_or_default().to_owned())
            .collect();
        (names, page["next"].clone())
    };
    assert_eq!(names("action=user.").await.0, ["cid", "bea", "ann"]);
    assert_eq!(names("action=service.create").await.0, ["one"]);
    assert_eq!(names("action=user").await.0, [""; 0], "an action is no part of one");
    assert_eq!(names("actor=admin&actor_name=root&object_name=bea").await.0, ["bea"]);
    assert_eq!(names("since=2999-01-01T00:00:00").await.0, [""; 0]);
    let (first, next) = names("action=user.&limit=2").await;
    assert_eq!(first, ["cid", "bea"]);
    assert_eq!(names(&format!("action=user.&limit=2&older_than={next}")).await, (vec!["ann".to_owned()], Value::Null));
    assert_eq!(names("action=user.&limit=3").await.1, Value::Null, "there is no other part");
    for other in ["action=USER.", "action=%25.", "action=u_er."] {
        assert_eq!(names(other).await.0, [""; 0], "{other}");
    }
    panel.insert_admin("bob", false).await;
    assert_eq!(panel.get("bob", "/api/audit").await.status, 403);
}

async fn change_by_an_api_token_names_the_token(db: Db) {
    let panel = TestPanel::start(db).await;
    let make = async |name: &str| {
        let made = panel.post("root", "/api/tokens", json!({"name": name, "scopes": ["*"]})).await.ok();
        (made["id"].as_str().expect("an id").to_owned(), made["secret"].as_str().expect("a secret").to_owned())
    };
    let tokens = [make("one").await, make("two").await];
    for (number, (_, secret)) in tokens.iter().enumerate() {
        let body = json!({"username": format!("user{number}"), "expire_strategy": "never"});
        let request = panel.request(Method::POST, "/api/users").bearer_auth(secret).json(&body);
        send(request).await.ok();
    }
    panel.post("root", "/api/users", json!({"username": "byhand", "expire_strategy": "never"})).await.ok();
    let named = async |query: &str| {
        let items = panel.get("root", &format!("/api/audit?action=user.&{query}")).await.ok()["items"].clone();
        let items = items.as_array().expect("items").clone();
        items.iter().map(|item| item["object_name"].as_str().expect("a name").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(named("actor=token").await, ["user1", "user0"]);
    assert_eq!(named(&format!("token_id={}", tokens[0].0)).await, ["user0"]);
    assert_eq!(named("actor=admin").await, ["byhand"]);
    assert_eq!(named("actor_name=root").await.len(), 3, "a token acts for its admin");
    let entry = &panel.get("root", "/api/audit?actor=token&limit=1").await.ok()["items"][0];
    assert_eq!((&entry["actor"], &entry["token_id"]), (&json!("token"), &json!(tokens[1].0)));
    assert_eq!((&entry["actor_name"], &entry["actor_id"]), (&json!("root"), &json!(1)));
    assert!(!entry.to_string().contains(&tokens[1].1), "not the secret");
}

async fn reads_of_secrets_are_entered_if_the_setting_says_so(db: Db) {
    let panel = TestPanel::start_with(db.clone(), &[("AUDIT_READS", "true")]).await;
    panel.post("root", "/api/users", json!({"username": "ann", "expire_strategy": "never"})).await.ok();
    let before = number(&db, ENTRIES).await;
    let secret =
        ["/api/users?size=1", "/api/users/ann", "/api/users/ann/subscription", "/api/system/settings/telegram"];
    for path in secret.into_iter().chain(["/api/services", "/api/audit", "/api/system/stats/users"]) {
        panel.get("root", path).await.ok();
    }
    for refused in ["/api/users/nobody", "/api/nodes/1/xray/config"] {
        assert_ne!(panel.get("root", refused).await.status, 200, "{refused}");
    }
    assert_eq!(number(&db, ENTRIES).await, before + 4, "what is answered, and has secrets");
    let entries = panel.get("root", "/api/audit?limit=4").await.ok()["items"].clone();
    let named = |entry: &Value| format!("{} {}", entry["action"], entry["object_name"]).replace('"', "");
    assert_eq!(
        entries.as_array().expect("items").iter().map(named).collect::<Vec<_>>(),
        [
            "settings.read /api/system/settings/telegram",
            "user.read /api/users/ann/subscription",
            "user.read /api/users/ann",
            "user.read /api/users"
        ]
    );
    assert_eq!((&entries[1]["actor_name"], &entries[1]["address"]), (&json!("root"), &json!("127.0.0.1")));
    let silent = TestPanel::beside(&panel, &[]).await;
    silent.get("root", "/api/users/ann").await.ok();
    assert_eq!(number(&db, ENTRIES).await, before + 4, "off by default");
}
