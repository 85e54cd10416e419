//! Who may do what: a row for every operation of the OpenAPI document, and the requests that show it.

use std::collections::{BTreeMap, BTreeSet};

use reqwest::Method;
use sarban::api::docs::openapi::document;
use sarban::store::Db;
use serde_json::{Value, json};

use crate::panel::{Answer, TestPanel, send};
use crate::support::database::{execute, on_both_engines};

on_both_engines!(every_operation_refuses_whom_it_should);

/// Who may use an operation.
#[derive(Clone, Copy, Debug)]
enum Who {
    /// Everybody, without a token, because…
    Public(&'static str),
    /// A sudo: 401 without a token, 403 for others.
    Sudo,
    /// A sudo, and the user's owner: 403 for others.
    Owner,
    /// A sudo, and those that may change users.
    Modifier,
    /// Every admin: 401 without a token, and no 403, because…
    Admin(&'static str),
}

use Who::{Admin, Modifier, Owner, Public, Sudo};

const ROWS: &[(&str, Who)] = &[
    ("GET /api/admins", Sudo),
    ("POST /api/admins", Sudo),
    ("GET /api/admins/current", Admin("it shows oneself")),
    ("POST /api/admins/token", Public("it is how one signs in")),
    ("GET /api/admins/{username}", Sudo),
    ("PUT /api/admins/{username}", Sudo),
    ("DELETE /api/admins/{username}", Sudo),
    ("GET /api/admins/{username}/services", Sudo),
    ("GET /api/admins/{username}/users", Sudo),
    ("POST /api/admins/{username}/disable_users", Sudo),
    ("POST /api/admins/{username}/enable_users", Sudo),
    ("GET /api/cluster", Sudo),
    ("GET /api/cluster/runs", Sudo),
    ("POST /api/cluster/step-down", Sudo),
    ("POST /api/cluster/tasks/{name}/run", Sudo),
    ("GET /api/nodes", Sudo),
    ("POST /api/nodes", Sudo),
    ("GET /api/nodes/settings", Sudo),
    ("GET /api/nodes/{node_id}", Sudo),
    ("PUT /api/nodes/{node_id}", Sudo),
    ("DELETE /api/nodes/{node_id}", Sudo),
    ("POST /api/nodes/{node_id}/resync", Sudo),
    ("POST /api/nodes/{node_id}/repin", Sudo),
    ("GET /api/nodes/{node_id}/usage", Sudo),
    ("GET /api/nodes/{node_id}/{backend}/config", Sudo),
    ("GET /api/nodes/{node_id}/{backend}/stats", Sudo),
    ("PUT /api/nodes/{node_id}/{backend}/config", Sudo),
    ("GET /api/notifications", Sudo),
    ("POST /api/notifications/{id}/retry", Sudo),
    ("GET /api/services", Admin("it lists the services that one may give")),
    ("POST /api/services", Sudo),
    ("GET /api/services/{id}", Owner),
    ("PUT /api/services/{id}", Sudo),
    ("DELETE /api/services/{id}", Sudo),
    ("GET /api/services/{id}/users", Sudo),
    ("GET /api/services/{id}/inbounds", Sudo),
    ("GET /api/inbounds", Sudo),
    ("GET /api/inbounds/{id}", Sudo),
    ("GET /api/inbounds/hosts", Sudo),
    ("POST /api/inbounds/hosts", Sudo),
    ("GET /api/inbounds/hosts/{id}", Sudo),
    ("PUT /api/inbounds/hosts/{id}", Sudo),
    ("DELETE /api/inbounds/hosts/{id}", Sudo),
    ("GET /api/inbounds/{id}/hosts", Sudo),
    ("POST /api/inbounds/{id}/hosts", Sudo),
    ("GET /api/system/settings/subscription", Sudo),
    ("PUT /api/system/settings/subscription", Sudo),
    ("GET /api/system/settings/telegram", Sudo),
    ("PUT /api/system/settings/telegram", Sudo),
    ("GET /api/system/stats/admins", Sudo),
    ("GET /api/system/stats/nodes", Sudo),
    ("GET /api/system/stats/traffic", Admin("it counts one's own users")),
    ("GET /api/system/stats/users", Admin("it counts one's own users")),
    ("GET /api/users", Admin("it lists one's own users")),
    ("POST /api/users", Admin("every admin may make users")),
    ("POST /api/users/reset", Sudo),
    ("DELETE /api/users/expired", Modifier),
    ("GET /api/users/{username}", Owner),
    ("PUT /api/users/{username}", Owner),
    ("DELETE /api/users/{username}", Owner),
    ("GET /api/users/{username}/services", Owner),
    ("GET /api/users/{username}/usage", Owner),
    ("GET /api/users/{username}/nodes", Owner),
    ("POST /api/users/{username}/reset", Owner),
    ("POST /api/users/{username}/enable", Owner),
    ("POST /api/users/{username}/disable", Owner),
    ("POST /api/users/{username}/revoke_sub", Owner),
    ("PUT /api/users/{username}/set-owner", Sudo),
    ("GET /sub/{username}/{key}", Public("the key is the authentication")),
    ("GET /sub/{username}/{key}/info", Public("the key is the authentication")),
    ("GET /sub/{username}/{key}/usage", Public("the key is the authentication")),
    ("GET /sub/{username}/{key}/{client_type}", Public("the key is the authentication")),
    ("GET /", Public("strangers learn nothing from it")),
    ("GET /docs", Public("the documentation is no secret, and off unless asked for")),
    ("GET /docs/{asset}", Public("a part of the documentation")),
    ("GET /redoc", Public("the documentation")),
    ("GET /openapi.json", Public("the documentation")),
    ("GET /health/live", Public("for probes, and says nothing about the panel")),
    ("GET /health/ready", Public("for proxies, and names no host")),
    ("GET /metrics", Public("has a token of its own, or answers the panel's own machine only")),
];

#[test]
fn every_operation_has_a_row_and_every_row_an_operation() {
    let rows: BTreeSet<String> = ROWS.iter().map(|(operation, _)| (*operation).to_owned()).collect();
    assert_eq!(rows.len(), ROWS.len(), "a row stands there twice");
    let operations: BTreeSet<String> = operations().into_keys().collect();
    let lacking: Vec<&String> = operations.difference(&rows).collect();
    assert_eq!(lacking, Vec::<&String>::new(), "say in ROWS who may use these");
    let stale: Vec<&String> = rows.difference(&operations).collect();
    assert_eq!(stale, Vec::<&String>::new(), "there are no such operations");
    for (operation, who) in ROWS {
        let needs_token = operations_need_token(operation);
        assert_eq!(needs_token, !matches!(who, Public(_)), "what the document says of {operation}");
        if let Public(reason) | Admin(reason) = who {
            assert!(!reason.is_empty(), "{operation}");
        }
    }
}

async fn every_operation_refuses_whom_it_should(db: Db) {
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
            Admin(_) => {
                refuses(&without_token, 401, operation);
                assert!(![401, 403].contains(&by("alice").await.status.as_u16()), "{operation}");
            }
            Sudo | Owner | Modifier => {
                refuses(&without_token, 401, operation);
                // With everything right but the right itself.
                let body = json!({"username": "bob"});
                let with_body = panel.request(method.clone(), &path).bearer_auth(panel.token_of("alice")).json(&body);
                refuses(&send(with_body).await, 403, operation);
                // A row would mean little if nobody were let in.
                let root = by("root").await;
                assert!(![401, 403].contains(&root.status.as_u16()), "{operation}: {}", root.body);
            }
        }
        if matches!((who, &method), (Owner | Sudo, &Method::DELETE)) && path.ends_with("/bob") {
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

/// A path with something that exists in the place of each parameter.
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
