//! Authorization: a row for every operation of the OpenAPI document, and requests that verify it.

use std::collections::{BTreeMap, BTreeSet};

use reqwest::Method;
use sarban::api::docs::openapi::document;
use sarban::store::Db;
use serde_json::{Value, json};

use crate::api::panel::{Answer, TestPanel, send};
use crate::support::database::{execute, on_both_engines};

on_both_engines!(every_operation_refuses_admins_without_the_right);

/// The admins that may use an operation.
#[derive(Clone, Copy, Debug)]
enum Who {
    /// All clients, without a token. The text is the reason.
    Public(&'static str),
    /// Sudo admins: 401 without a token, 403 for others.
    SudoAdmin,
    /// Sudo admins and the owner of the user: 403 for others.
    Owner,
    /// Sudo admins and admins with `modify_users_access`: 403 for others.
    Modifier,
    /// All admins: 401 without a token, never 403. The text is the reason.
    Admin(&'static str),
}

use Who::{Admin, Modifier, Owner, Public, SudoAdmin};

const ROWS: &[(&str, Who)] = &[
    ("GET /api/admins", SudoAdmin),
    ("POST /api/admins", SudoAdmin),
    ("GET /api/admins/current", Admin("returns the signed-in admin")),
    ("POST /api/admins/token", Public("signs admins in")),
    ("POST /api/passkey-sign-in/options", Public("begins the sign-in of admins; the same for everybody")),
    ("POST /api/passkey-sign-in", Public("signs admins in")),
    ("POST /api/setup", Public("makes the first admin, with a code")),
    ("GET /api/admins/{username}", SudoAdmin),
    ("PUT /api/admins/{username}", SudoAdmin),
    ("DELETE /api/admins/{username}", SudoAdmin),
    ("GET /api/admins/{username}/services", SudoAdmin),
    // The admin itself, too: `tests/api/quotas.rs`.
    ("GET /api/admins/{username}/quota", SudoAdmin),
    ("PUT /api/admins/{username}/quota", SudoAdmin),
    ("POST /api/admins/{username}/quota/reset", SudoAdmin),
    ("GET /api/admins/{username}/users", SudoAdmin),
    ("POST /api/admins/{username}/disable_users", SudoAdmin),
    ("POST /api/admins/{username}/enable_users", SudoAdmin),
    ("GET /api/roles", SudoAdmin),
    ("POST /api/roles", SudoAdmin),
    ("PUT /api/roles/{name}", SudoAdmin),
    ("DELETE /api/roles/{name}", SudoAdmin),
    ("GET /api/sessions", Admin("lists the admin's own sessions")),
    ("DELETE /api/sessions", Admin("ends the admin's own sessions")),
    ("DELETE /api/sessions/{id}", Admin("ends one of the admin's own sessions")),
    ("GET /api/tokens", Admin("lists the admin's own tokens")),
    ("POST /api/tokens", Admin("makes a token for the admin")),
    ("DELETE /api/tokens/{id}", Admin("revokes one of the admin's own tokens")),
    ("POST /api/tokens/{id}/rotate", Admin("gives one of the admin's own tokens a new secret")),
    ("GET /api/second-factor", Admin("shows the admin's own factors")),
    ("DELETE /api/second-factor", SudoAdmin),
    ("POST /api/second-factor/totp", Admin("sets up the admin's own app")),
    ("PUT /api/second-factor/totp", Admin("confirms the admin's own app")),
    ("POST /api/second-factor/totp/remove", Admin("removes the admin's own app")),
    ("POST /api/second-factor/recovery-codes", Admin("replaces the admin's own codes")),
    ("GET /api/second-factor/passkeys", Admin("lists the admin's own passkeys")),
    ("POST /api/second-factor/passkeys", Admin("adds a passkey of the admin's own")),
    ("POST /api/second-factor/passkey-options", Admin("begins to add a passkey of the admin's own")),
    ("PUT /api/second-factor/passkeys/{id}", Admin("renames one of the admin's own passkeys")),
    ("POST /api/second-factor/passkeys/{id}/remove", Admin("removes one of the admin's own passkeys")),
    ("PUT /api/password", Admin("changes the admin's own password")),
    ("PUT /api/admins/{username}/users/set-owner", SudoAdmin),
    ("GET /api/views", Admin("returns the admin's own views")),
    ("PUT /api/views", Admin("stores the admin's own views")),
    ("POST /api/edge/changes", SudoAdmin),
    ("POST /api/edge/report", SudoAdmin),
    ("GET /api/edge/shared", SudoAdmin),
    ("GET /api/edge/start", SudoAdmin),
    ("GET /api/edge/users", SudoAdmin),
    ("GET /api/events", Admin("each hears of what it may see")),
    ("GET /api/audit", SudoAdmin),
    ("GET /api/cluster", SudoAdmin),
    ("GET /api/cluster/runs", SudoAdmin),
    ("POST /api/cluster/step-down", SudoAdmin),
    ("POST /api/cluster/tasks/{name}/run", SudoAdmin),
    ("GET /api/nodes", SudoAdmin),
    ("POST /api/nodes", SudoAdmin),
    ("GET /api/nodes/settings", SudoAdmin),
    ("GET /api/nodes/{node_id}", SudoAdmin),
    ("PUT /api/nodes/{node_id}", SudoAdmin),
    ("DELETE /api/nodes/{node_id}", SudoAdmin),
    ("POST /api/nodes/{node_id}/resync", SudoAdmin),
    ("POST /api/nodes/{node_id}/repin", SudoAdmin),
    ("GET /api/nodes/{node_id}/sync", SudoAdmin),
    ("GET /api/nodes/{node_id}/usage", SudoAdmin),
    ("GET /api/nodes/{node_id}/{backend}/config", SudoAdmin),
    ("GET /api/nodes/{node_id}/{backend}/config/last-good", SudoAdmin),
    ("GET /api/nodes/{node_id}/{backend}/stats", SudoAdmin),
    ("POST /api/nodes/{node_id}/{backend}/config/restore", SudoAdmin),
    ("PUT /api/nodes/{node_id}/{backend}/config", SudoAdmin),
    ("POST /api/nodes/{node_id}/{backend}/restart", SudoAdmin),
    ("GET /api/nodes/{node_id}/stats", SudoAdmin),
    ("GET /api/notifications", SudoAdmin),
    ("POST /api/notifications/{id}/retry", SudoAdmin),
    ("POST /api/notifications/retry", SudoAdmin),
    ("DELETE /api/notifications/{id}", SudoAdmin),
    ("DELETE /api/notifications/dead", SudoAdmin),
    ("GET /api/services", Admin("lists the services that the admin may assign")),
    ("POST /api/services", SudoAdmin),
    ("GET /api/services/{id}", Owner),
    ("PUT /api/services/{id}", SudoAdmin),
    ("DELETE /api/services/{id}", SudoAdmin),
    ("GET /api/services/{id}/users", SudoAdmin),
    ("GET /api/services/{id}/inbounds", SudoAdmin),
    ("GET /api/inbounds", SudoAdmin),
    ("GET /api/inbounds/{id}", SudoAdmin),
    ("DELETE /api/inbounds/{id}", SudoAdmin),
    ("DELETE /api/inbounds/absent", SudoAdmin),
    ("GET /api/inbounds/hosts", SudoAdmin),
    ("POST /api/inbounds/hosts", SudoAdmin),
    ("PUT /api/inbounds/hosts", SudoAdmin),
    ("POST /api/inbounds/hosts/preview", SudoAdmin),
    ("GET /api/inbounds/hosts/{id}", SudoAdmin),
    ("PUT /api/inbounds/hosts/{id}", SudoAdmin),
    ("DELETE /api/inbounds/hosts/{id}", SudoAdmin),
    ("GET /api/inbounds/{id}/hosts", SudoAdmin),
    ("POST /api/inbounds/{id}/hosts", SudoAdmin),
    ("GET /api/system/settings/subscription", SudoAdmin),
    ("PUT /api/system/settings/subscription", SudoAdmin),
    ("PATCH /api/system/settings/subscription", SudoAdmin),
    ("GET /api/system/settings/subscription/offer", SudoAdmin),
    ("POST /api/system/settings/subscription/offer", SudoAdmin),
    ("POST /api/system/settings/subscription/test", SudoAdmin),
    ("GET /api/system/settings/telegram", SudoAdmin),
    ("PUT /api/system/settings/telegram", SudoAdmin),
    ("PATCH /api/system/settings/telegram", SudoAdmin),
    ("POST /api/system/settings/telegram/test", SudoAdmin),
    ("GET /api/system/stats/admins", SudoAdmin),
    ("GET /api/system/stats/backlog", SudoAdmin),
    ("GET /api/system/stats/nodes", SudoAdmin),
    ("GET /api/system/stats/traffic", Admin("counts the admin's own users")),
    ("GET /api/system/stats/traffic/nodes", SudoAdmin),
    ("GET /api/system/stats/users", Admin("counts the admin's own users")),
    ("GET /api/users", Admin("lists the admin's own users")),
    ("POST /api/users", Admin("every admin may create users")),
    ("POST /api/users/reset", SudoAdmin),
    ("DELETE /api/users/expired", Modifier),
    ("POST /api/users/bulk", Modifier),
    ("GET /api/users/{username}", Owner),
    ("PUT /api/users/{username}", Owner),
    ("DELETE /api/users/{username}", Owner),
    ("GET /api/users/{username}/services", Owner),
    ("GET /api/users/{username}/usage", Owner),
    ("GET /api/users/{username}/diagnosis", Owner),
    ("GET /api/users/{username}/nodes", Owner),
    ("GET /api/users/{username}/subscription", Owner),
    ("POST /api/users/{username}/reset", Owner),
    ("POST /api/users/{username}/enable", Owner),
    ("POST /api/users/{username}/disable", Owner),
    ("POST /api/users/{username}/revoke_sub", Owner),
    ("PUT /api/users/{username}/set-owner", SudoAdmin),
    ("GET /sub/{username}/{key}", Public("the key is the authentication")),
    ("GET /sub/{username}/{key}/info", Public("the key is the authentication")),
    ("GET /sub/{username}/{key}/usage", Public("the key is the authentication")),
    ("GET /sub/{username}/{key}/{client_type}", Public("the key is the authentication")),
    ("GET /", Public("reveals nothing")),
    ("GET /docs", Public("the documentation is public, and off by default")),
    ("GET /docs/{asset}", Public("an asset of the documentation")),
    ("GET /redoc", Public("the documentation")),
    ("GET /openapi.json", Public("the documentation")),
    ("GET /health/live", Public("for probes; reveals nothing about the panel")),
    ("GET /health/ready", Public("for proxies; names no host")),
    ("GET /metrics", Public("requires METRICS_TOKEN, or a client on the same machine")),
];

#[test]
fn every_operation_has_a_row_and_every_row_an_operation() {
    let rows: BTreeSet<String> = ROWS.iter().map(|(operation, _)| (*operation).to_owned()).collect();
    assert_eq!(rows.len(), ROWS.len(), "duplicate rows");
    let operations: BTreeSet<String> = operations().into_keys().collect();
    let missing: Vec<&String> = operations.difference(&rows).collect();
    assert_eq!(missing, Vec::<&String>::new(), "add these operations to ROWS");
    let stale: Vec<&String> = rows.difference(&operations).collect();
    assert_eq!(stale, Vec::<&String>::new(), "these operations do not exist");
    for (operation, who) in ROWS {
        let needs_token = operations_need_token(operation);
        assert_eq!(needs_token, !matches!(who, Public(_)), "security of {operation} in the document");
        if let Public(reason) | Admin(reason) = who {
            assert!(!reason.is_empty(), "{operation}");
        }
    }
}

async fn every_operation_refuses_admins_without_the_right(db: Db) {
    let panel = TestPanel::start(db.clone()).await;
    for name in ["alice", "target"] {
        panel.insert_admin(name, false).await;
    }
    execute(&db, "UPDATE admins SET modify_users_access = FALSE WHERE username = 'alice'").await;
    execute(&db, "INSERT INTO services (id, name) VALUES (1, 'one')").await;
    panel.post("root", "/api/users", json!({"username": "bob", "expire_strategy": "never"})).await.ok();
    for (operation, who) in ROWS {
        let (method, path) = operation.split_once(' ').expect("a method and a path");
        let method: Method = method.parse().expect("a method");
        let path = filled(path);
        let without_token = send(panel.request(method.clone(), &path)).await;
        let by = |name: &str| send(panel.request(method.clone(), &path).bearer_auth(panel.token_of(name)));
        match who {
            Public(_) => {
                assert_ne!(without_token.status, 403, "{operation}");
                assert_ne!(without_token.body["detail"], json!("Sign in first"), "{operation}");
            }
            Admin(_) if path == "/api/events" => {
                refuses(&without_token, 401, operation);
                // Its answer does not end.
                let request = panel.request(method.clone(), &path).bearer_auth(panel.token_of("alice"));
                assert_eq!(request.send().await.expect("an answer").status(), 200);
            }
            Admin(_) => {
                refuses(&without_token, 401, operation);
                assert!(![401, 403].contains(&by("alice").await.status.as_u16()), "{operation}");
            }
            SudoAdmin | Owner | Modifier => {
                refuses(&without_token, 401, operation);
                // The request is valid except for the missing right.
                let body = json!({"username": "bob", "action": "enable", "filter": {}});
                let with_body = panel.request(method.clone(), &path).bearer_auth(panel.token_of("alice")).json(&body);
                refuses(&send(with_body).await, 403, operation);
                // The row would prove little if nobody were allowed.
                let root = by("root").await;
                assert!(![401, 403].contains(&root.status.as_u16()), "{operation}: {}", root.body);
            }
        }
        if matches!((who, &method), (Owner | SudoAdmin, &Method::DELETE)) && path.ends_with("/bob") {
            panel.post("root", "/api/users", json!({"username": "bob", "expire_strategy": "never"})).await.ok();
        }
    }
}

#[track_caller]
fn refuses(answer: &Answer, status: u16, operation: &str) {
    assert_eq!(answer.status.as_u16(), status, "{operation}: {}", answer.body);
    assert!(answer.body["detail"].is_string(), "{operation}: {}", answer.body);
    assert_eq!(answer.header("www-authenticate").is_some(), status == 401, "{operation}");
}

/// Replaces each parameter of a path by something that exists.
fn filled(path: &str) -> String {
    let admins = path.starts_with("/api/admins");
    path.replace("{username}", if admins { "target" } else { "bob" })
        .replace("{id}", "1")
        .replace("{node_id}", "1")
        .replace("{backend}", "xray")
        .replace("{name}", "prune")
        .replace("{key}", "00000000000000000000000000000001")
        .replace("{client_type}", "links")
        .replace("{asset}", "swagger-ui.css")
        .replace("/expired", "/expired?passed_time=0")
        .replace("/set-owner", "/set-owner?admin_username=target")
}

fn operations() -> BTreeMap<String, Value> {
    let document = serde_json::to_value(document()).expect("JSON");
    let paths = document["paths"].as_object().expect("paths");
    let named = paths.iter().flat_map(|(path, methods)| {
        let methods = methods.as_object().expect("methods").iter();
        methods.map(move |(method, operation)| (format!("{} {path}", method.to_uppercase()), operation.clone()))
    });
    named.collect()
}

fn operations_need_token(operation: &str) -> bool {
    operations().get(operation).is_some_and(|described| described.get("security").is_none())
}
