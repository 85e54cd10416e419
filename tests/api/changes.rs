//! Change events: every operation that changes something publishes it once, and caches follow.

use std::collections::BTreeSet;

use reqwest::Method;
use sarban::api::docs::openapi::document;
use sarban::domain::api_token::{ApiToken, new_secret};
use sarban::domain::change::Changed;
use sarban::domain::moment::{Moment, SECOND};
use sarban::domain::scope::Scopes;
use sarban::domain::session::Session;
use sarban::store::Db;
use sarban::store::access::{admins, api_tokens, sessions};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::api::panel::{TestPanel, send};
use crate::support::database::{execute, on_both_engines};

on_both_engines! {
    every_changing_operation_publishes_its_change_once,
    changed_host_is_shown_at_once_here_and_after_a_second_elsewhere,
    refused_operation_publishes_nothing,
}

/// Operations that change something, with a path, a body and what they publish, in an order in which all succeed.
pub(super) fn operations() -> Vec<(&'static str, &'static str, Value, Changed)> {
    let host = json!({"remark": "r", "address": "a.example", "protocol": "trojan", "network": "tcp", "port": 443});
    let node = json!({"name": "n", "address": "192.0.2.7"});
    vec![
        (
            "POST /api/admins",
            "/api/admins",
            json!({"username": "eve", "password": "evepass", "is_sudo": false}),
            Changed::Admins,
        ),
        ("PUT /api/views", "/api/views", json!({"views": [{"name": "one", "search": "{}"}]}), Changed::Admins),
        ("PUT /api/admins/{username}", "/api/admins/eve", json!({"enabled": false}), Changed::Admins),
        ("POST /api/roles", "/api/roles", json!({"name": "night"}), Changed::Roles),
        ("PUT /api/roles/{name}", "/api/roles/night", json!({"name": "day"}), Changed::Roles),
        ("DELETE /api/roles/{name}", "/api/roles/day", Value::Null, Changed::Roles),
        (
            "PUT /api/admins/{username}/quota",
            "/api/admins/eve/quota",
            json!({"users": 5, "traffic": 1_000}),
            Changed::Admins,
        ),
        ("POST /api/admins/{username}/quota/reset", "/api/admins/eve/quota/reset", Value::Null, Changed::Admins),
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
        (
            "PUT /api/admins/{username}/users/set-owner",
            "/api/admins/eve/users/set-owner?admin_username=root",
            Value::Null,
            Changed::Users,
        ),
        ("DELETE /api/users/{username}", "/api/users/ann", Value::Null, Changed::Users),
        ("POST /api/users/reset", "/api/users/reset", Value::Null, Changed::Users),
        ("POST /api/users/bulk", "/api/users/bulk", json!({"action": "reset", "filter": {}}), Changed::Users),
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
        (
            "POST /api/notifications/retry",
            "/api/notifications/retry?channel=telegram",
            Value::Null,
            Changed::Notifications,
        ),
        ("DELETE /api/notifications/dead", "/api/notifications/dead", Value::Null, Changed::Notifications),
        ("DELETE /api/notifications/{id}", "/api/notifications/1", Value::Null, Changed::Notifications),
        ("POST /api/cluster/step-down", "/api/cluster/step-down", Value::Null, Changed::LeaderRequests),
        ("POST /api/cluster/tasks/{name}/run", "/api/cluster/tasks/prune/run", Value::Null, Changed::LeaderRequests),
        (
            "POST /api/tokens",
            "/api/tokens",
            json!({"name": "bot", "scopes": ["*"], "admin": "bob"}),
            Changed::ApiTokens,
        ),
        (
            "POST /api/tokens/{id}/rotate",
            "/api/tokens/00000000-0000-0000-0000-000000000007/rotate",
            json!({}),
            Changed::ApiTokens,
        ),
        (
            "DELETE /api/tokens/{id}",
            "/api/tokens/00000000-0000-0000-0000-000000000007",
            Value::Null,
            Changed::ApiTokens,
        ),
        (
            "DELETE /api/sessions/{id}",
            "/api/sessions/00000000-0000-0000-0000-000000000007",
            Value::Null,
            Changed::Sessions,
        ),
        ("DELETE /api/second-factor", "/api/second-factor?admin=bob", Value::Null, Changed::Admins),
        ("DELETE /api/sessions", "/api/sessions?admin=bob", Value::Null, Changed::Admins),
        ("DELETE /api/admins/{username}", "/api/admins/bob", Value::Null, Changed::Admins),
    ]
}

/// Operations with a method that may change something, and that publish nothing themselves.
const OTHERS: &[&str] = &[
    // Reports an edge and when its users fetched: tests/api/edges.rs.
    "POST /api/edge/report",
    // Changes nothing; its position is too long for a URL.
    "POST /api/edge/changes",
    // Shows a host that is not stored.
    "POST /api/inbounds/hosts/preview",
    // Works only while there is no admin.
    "POST /api/setup",
    // Begins a session, which it publishes: tests/api/sessions.rs.
    "POST /api/admins/token",
    // Ends the sessions of the admin whose tokens this test uses.
    "PUT /api/password",
    // The same, for the second factor: tests/api/second_factor.rs.
    "POST /api/second-factor/totp",
    "PUT /api/second-factor/totp",
    "POST /api/second-factor/totp/remove",
    "POST /api/second-factor/recovery-codes",
    // The same, for passkeys: tests/api/passkeys.rs.
    "POST /api/second-factor/passkeys",
    "POST /api/second-factor/passkey-options",
    "PUT /api/second-factor/passkeys/{id}",
    "POST /api/second-factor/passkeys/{id}/remove",
    "POST /api/passkey-sign-in/options",
    "POST /api/passkey-sign-in",
    // Changes a node, not the database; then it requests a sync, as the resync above does.
    "PUT /api/nodes/{node_id}/{backend}/config",
    "POST /api/nodes/{node_id}/{backend}/config/restore",
    "POST /api/nodes/{node_id}/{backend}/restart",
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
    start_session(&db, "bob").await;
    insert_token(&db, "bob").await;
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

/// Inserts a session with the id that [`operations`] name.
pub(super) async fn start_session(db: &Db, admin: &str) {
    let admin = admins::by_username(db, admin).await.expect("read").expect("an admin");
    let at = Moment::from_micros(1);
    let session = Session {
        id: Uuid::from_u128(7),
        created_at: at,
        last_used_at: at,
        expires_at: None,
        address: None,
        user_agent: String::new(),
    };
    assert!(db.transaction("start", async |tx| sessions::start(tx, &admin, &session).await).await.expect("started"));
}

/// Inserts an API token with the id that [`operations`] name.
pub async fn insert_token(db: &Db, admin: &str) {
    let admin = admins::by_username(db, admin).await.expect("read").expect("an admin");
    let id = Uuid::from_u128(7);
    let token = ApiToken {
        id,
        name: "bot".to_owned(),
        scopes: Scopes::default(),
        addresses: Vec::new(),
        created_at: Moment::from_micros(1),
        expires_at: None,
        last_used_at: None,
        last_address: None,
        secret: new_secret(id).0,
    };
    db.transaction("insert", async |tx| api_tokens::insert(tx, admin.id, &token).await).await.expect("inserted");
}

/// A user that has expired, old rules of subscriptions, a second factor of bob, an inbound and two absent ones of the node that every panel has, and notifications that were not delivered.
pub(super) const SEED: &str = r#"
    INSERT INTO settings (id, subscription) VALUES (1, '{"template_on_acceptance": true, "profile_title": "t",
        "support_link": "s", "update_interval": 1, "rules": [{"pattern": ".*", "result": "base64-links"}]}');
    UPDATE users SET expire_strategy = 'fixed_date', expire_date = 1 WHERE username = 'old';
    INSERT INTO totp (admin_id, secret) SELECT id, 'GEZDGNBVGY3TQOJQ' FROM admins WHERE username = 'bob';
    INSERT INTO inbounds (node_id, tag, protocol, config) SELECT id, 'tag', 'vless', '{}' FROM nodes;
    INSERT INTO inbounds (node_id, tag, protocol, config, absent_since) SELECT id, 'one', 'vless', '{}', 1 FROM nodes;
    INSERT INTO inbounds (node_id, tag, protocol, config, absent_since) SELECT id, 'two', 'vless', '{}', 1 FROM nodes;
    INSERT INTO outbox (channel, recipient, cause, action, user_id, payload, created_at, state, attempts,
                        next_attempt_at, finished_at, error, keep_until)
        VALUES ('webhook', '', 'a', 'user_created', 7, '{}', 1, 'dead', 3, 1, 2, 'the answer was 500', 9),
            ('telegram', '5', 'b', 'user_created', 7, '{}', 1, 'dead', 3, 1, 2, 'the answer was 500', 9),
            ('webhook', '', 'c', 'user_created', 7, '{}', 1, 'dead', 3, 1, 2, 'the answer was 500', 9)"#;

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
