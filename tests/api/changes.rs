//! Change events: every operation that changes something publishes it once, and caches follow.

use std::collections::BTreeSet;

use reqwest::Method;
use sarban::api::docs::openapi::document;
use sarban::domain::change::Changed;
use sarban::domain::moment::SECOND;
use sarban::store::Db;
use serde_json::{Value, json};

use crate::api::panel::{TestPanel, send};
use crate::support::database::{execute, on_both_engines};

on_both_engines! {
    every_changing_operation_publishes_its_change_once,
    changed_host_is_shown_at_once_here_and_after_a_second_elsewhere,
    refused_operation_publishes_nothing,
}

/// Operations that change something, with a path, a body and what they publish, in an order in which all succeed.
fn operations() -> Vec<(&'static str, &'static str, Value, Changed)> {
    let host = json!({"remark": "r", "address": "a.example", "protocol": "trojan", "network": "tcp", "port": 443});
    let node = json!({"name": "n", "address": "192.0.2.7"});
    vec![
        (
            "POST /api/admins",
            "/api/admins",
            json!({"username": "eve", "password": "evepass", "is_sudo": false}),
            Changed::Admins,
        ),
        ("PUT /api/admins/{username}", "/api/admins/eve", json!({"enabled": false}), Changed::Admins),
        ("POST /api/services", "/api/services", json!({"name": "one"}), Changed::Services),
        ("PUT /api/services/{id}", "/api/services/1", json!({"name": "two"}), Changed::Services),
        ("POST /api/users", "/api/users", json!({"username": "ann", "expire_strategy": "never"}), Changed::Users),
        ("PUT /api/users/{username}", "/api/users/ann", json!({"username": "ann", "note": "n"}), Changed::Users),
        ("POST /api/users/{username}/disable", "/api/users/ann/disable", Value::Null, Changed::Users),
        ("POST /api/users/{username}/enable", "/api/users/ann/enable", Value::Null, Changed::Users),
        ("POST /api/users/{username}/reset", "/api/users/ann/reset", Value::Null, Changed::Users),
        ("POST /api/users/{username}/revoke_sub", "/api/users/ann/revoke_sub", Value::Null, Changed::Users),
        (
            "PUT /api/users/{username}/set-owner",
            "/api/users/ann/set-owner?admin_username=eve",
            Value::Null,
            Changed::Users,
        ),
        ("POST /api/admins/{username}/disable_users", "/api/admins/eve/disable_users", Value::Null, Changed::Users),
        ("POST /api/admins/{username}/enable_users", "/api/admins/eve/enable_users", Value::Null, Changed::Users),
        ("DELETE /api/users/{username}", "/api/users/ann", Value::Null, Changed::Users),
        ("POST /api/users/reset", "/api/users/reset", Value::Null, Changed::Users),
        ("DELETE /api/users/expired", "/api/users/expired?passed_time=0", Value::Null, Changed::Users),
        ("POST /api/inbounds/hosts", "/api/inbounds/hosts", host.clone(), Changed::Hosts),
        ("POST /api/inbounds/{id}/hosts", "/api/inbounds/1/hosts", host.clone(), Changed::Hosts),
        (
            "PUT /api/inbounds/hosts",
            "/api/inbounds/hosts",
            json!({"hosts": [{"id": 1, "weight": 5}, {"id": 2, "is_disabled": true}]}),
            Changed::Hosts,
        ),
        ("PUT /api/inbounds/hosts/{id}", "/api/inbounds/hosts/1", host, Changed::Hosts),
        ("DELETE /api/inbounds/hosts/{id}", "/api/inbounds/hosts/1", Value::Null, Changed::Hosts),
        ("DELETE /api/inbounds/{id}", "/api/inbounds/2", Value::Null, Changed::Nodes),
        ("DELETE /api/inbounds/absent", "/api/inbounds/absent?node_id=1", Value::Null, Changed::Nodes),
        ("DELETE /api/services/{id}", "/api/services/1", Value::Null, Changed::Services),
        ("POST /api/nodes", "/api/nodes", node, Changed::Nodes),
        ("PUT /api/nodes/{node_id}", "/api/nodes/1", json!({"usage_coefficient": 2}), Changed::Nodes),
        ("POST /api/nodes/{node_id}/resync", "/api/nodes/1/resync", Value::Null, Changed::Nodes),
        ("POST /api/nodes/{node_id}/repin", "/api/nodes/1/repin", Value::Null, Changed::Nodes),
        ("DELETE /api/nodes/{node_id}", "/api/nodes/1", Value::Null, Changed::Nodes),
        // Its body is what GET returns.
        (
            "PUT /api/system/settings/subscription",
            "/api/system/settings/subscription",
            Value::Null,
            Changed::SubscriptionSettings,
        ),
        (
            "POST /api/system/settings/subscription/offer",
            "/api/system/settings/subscription/offer",
            Value::Null,
            Changed::SubscriptionSettings,
        ),
        (
            "PATCH /api/system/settings/subscription",
            "/api/system/settings/subscription",
            json!({"update_interval": 3}),
            Changed::SubscriptionSettings,
        ),
        (
            "PUT /api/system/settings/telegram",
            "/api/system/settings/telegram",
            json!({"token": "", "admin_id": [], "channel_id": null}),
            Changed::TelegramSettings,
        ),
        (
            "PATCH /api/system/settings/telegram",
            "/api/system/settings/telegram",
            json!({"admin_id": [7]}),
            Changed::TelegramSettings,
        ),
        ("POST /api/notifications/{id}/retry", "/api/notifications/1/retry", Value::Null, Changed::Notifications),
        ("POST /api/cluster/step-down", "/api/cluster/step-down", Value::Null, Changed::LeaderRequests),
        ("POST /api/cluster/tasks/{name}/run", "/api/cluster/tasks/prune/run", Value::Null, Changed::LeaderRequests),
        ("DELETE /api/admins/{username}", "/api/admins/bob", Value::Null, Changed::Admins),
    ]
}

/// Operations with a method that may change something, and that publish nothing themselves.
const OTHERS: &[&str] = &[
    // Shows a host that is not stored.
    "POST /api/inbounds/hosts/preview",
    // Works only while there is no admin.
    "POST /api/setup",
    // Signing in changes nothing.
    "POST /api/admins/token",
    // Changes a node, not the database; then it requests a sync, as the resync above does.
    "PUT /api/nodes/{node_id}/{backend}/config",
    "POST /api/nodes/{node_id}/{backend}/config/restore",
    // Tests change nothing here: rules with a User-Agent, and a message to Telegram.
    "POST /api/system/settings/subscription/test",
    "POST /api/system/settings/telegram/test",
];

#[test]
fn every_operation_that_may_change_something_is_in_the_list() {
    let document = serde_json::to_value(document()).expect("a document");
    let mut changing = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().expect("paths") {
        for method in methods.as_object().expect("methods").keys().map(|method| method.to_uppercase()) {
            if ["POST", "PUT", "DELETE", "PATCH"].contains(&method.as_str()) {
                changing.insert(format!("{method} {path}"));
            }
        }
    }
    let listed = operations().into_iter().map(|(operation, ..)| operation);
    assert_eq!(changing, listed.chain(OTHERS.iter().copied()).map(str::to_owned).collect());
}

async fn every_changing_operation_publishes_its_change_once(db: Db) {
    let panel = TestPanel::start(db.clone()).await;
    // Without users, whose loss of their owner would be a change of its own.
    panel.insert_admin("bob", false).await;
    panel.post("root", "/api/users", json!({"username": "old", "expire_strategy": "never"})).await.ok();
    execute(&db, SEED).await;
    let changes = &panel.panel.changes;
    let settings = panel.get("root", "/api/system/settings/subscription").await.ok();
    for (operation, path, body, changed) in operations() {
        let count = |kinds: &[Changed]| changes.counts(kinds).local;
        let (all, kind) = (count(&Changed::ALL), count(&[changed]));
        let method: Method = operation.split_once(' ').expect("a method").0.parse().expect("a method");
        let body = if operation.starts_with("PUT /api/system/settings/sub") { settings.clone() } else { body };
        let request = panel.request(method, path).bearer_auth(panel.token_of("root"));
        let answer = send(if body.is_null() { request } else { request.json(&body) }).await;
        assert!(answer.status.is_success(), "{operation}: {} {}", answer.status, answer.body);
        assert_eq!(count(&[changed]), kind + 1, "{operation} publishes {changed:?}");
        assert_eq!(count(&Changed::ALL), all + 1, "{operation} publishes nothing else");
    }
}

/// A user that has expired, old rules of subscriptions, an inbound and two absent ones of the node that every panel has, and a notification that was not delivered.
const SEED: &str = r#"
    INSERT INTO settings (id, subscription) VALUES (1, '{"template_on_acceptance": true, "profile_title": "t",
        "support_link": "s", "update_interval": 1, "rules": [{"pattern": ".*", "result": "base64-links"}]}');
    UPDATE users SET expire_strategy = 'fixed_date', expire_date = 1 WHERE username = 'old';
    INSERT INTO inbounds (node_id, tag, protocol, config) SELECT id, 'tag', 'vless', '{}' FROM nodes;
    INSERT INTO inbounds (node_id, tag, protocol, config, absent_since) SELECT id, 'one', 'vless', '{}', 1 FROM nodes;
    INSERT INTO inbounds (node_id, tag, protocol, config, absent_since) SELECT id, 'two', 'vless', '{}', 1 FROM nodes;
    INSERT INTO outbox (channel, recipient, cause, action, user_id, payload, created_at, state, attempts,
                        next_attempt_at, finished_at, error, keep_until)
        VALUES ('webhook', '', 'a', 'user_created', 7, '{}', 1, 'dead', 3, 1, 2, 'the answer was 500', 9)"#;

async fn refused_operation_publishes_nothing(db: Db) {
    let panel = TestPanel::start(db).await;
    // The start of a panel publishes its address.
    let before = panel.panel.changes.counts(&Changed::ALL);
    for path in ["/api/users/nobody", "/api/inbounds/hosts/9", "/api/nodes/9", "/api/services/9", "/api/admins/nobody"]
    {
        assert_eq!(panel.delete("root", path).await.status, 404, "{path}");
    }
    assert_eq!(panel.panel.changes.counts(&Changed::ALL), before);
}

async fn changed_host_is_shown_at_once_here_and_after_a_second_elsewhere(db: Db) {
    const LINK: &str = "/sub/ann/00000000000000000000000000000001/links";
    let here = TestPanel::start(db).await;
    // Without a wake-up between the two panels.
    let elsewhere = TestPanel::beside(&here, &[]).await;
    let host = |address: &str| {
        json!({"remark": "r", "address": address, "protocol": "trojan", "network": "tcp", "port": 443, "password": "p",
               "universal": true})
    };
    let id = here.post("root", "/api/inbounds/hosts", host("a.example")).await.ok()["id"].clone();
    let ann = json!({"username": "ann", "expire_strategy": "never", "key": "00000000000000000000000000000001"});
    here.post("root", "/api/users", ann).await.ok();
    let shown = async |panel: &TestPanel| {
        let links =
            panel.request(Method::GET, LINK).header("user-agent", "v2rayNG/1.9.5").send().await.expect("an answer");
        links.text().await.expect("links")
    };
    for panel in [&here, &elsewhere] {
        assert!(shown(panel).await.contains("a.example"));
    }
    here.put("root", &format!("/api/inbounds/hosts/{id}"), host("b.example")).await.ok();
    assert!(shown(&here).await.contains("b.example"), "at once");
    elsewhere.panel.clock.advance(SECOND - 1);
    assert!(shown(&elsewhere).await.contains("a.example"), "the cache is in use");
    elsewhere.panel.clock.advance(1);
    assert!(shown(&elsewhere).await.contains("b.example"), "after a second");
}
