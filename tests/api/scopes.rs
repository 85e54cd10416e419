//! The table of scopes: a row for every operation, and requests with a token that lacks just that scope.

use std::collections::{BTreeMap, BTreeSet};

use reqwest::Method;
use sarban::api::docs::openapi::document;
use sarban::api::operations::{Need, OPERATIONS};
use sarban::domain::scope::{Action, Resource, Scope};
use sarban::store::Db;
use serde_json::json;

use crate::api::panel::TestPanel;
use crate::support::database::on_both_engines;

on_both_engines!(every_operation_needs_its_scope_and_no_other);

/// The log of an engine, which OpenAPI can't describe.
pub(super) const NOT_DESCRIBED: &str = "GET /api/nodes/{node_id}/{backend}/logs";

#[test]
fn every_operation_has_a_row_and_every_row_an_operation() {
    let document = serde_json::to_value(document()).expect("JSON");
    let mut operations = BTreeSet::from([NOT_DESCRIBED.to_owned()]);
    for (path, methods) in document["paths"].as_object().expect("paths") {
        for (method, operation) in methods.as_object().expect("methods") {
            let operation_name = format!("{} {path}", method.to_uppercase());
            let need = OPERATIONS.iter().find(|(name, _)| *name == operation_name).map(|(_, need)| *need);
            let is_public = operation.get("security").is_some();
            assert_eq!(need == Some(Need::Public), is_public, "{operation_name}: {need:?}");
            operations.insert(operation_name);
        }
    }
    let rows: BTreeSet<String> = OPERATIONS.iter().map(|(operation, _)| (*operation).to_owned()).collect();
    assert_eq!(rows.len(), OPERATIONS.len(), "duplicate rows");
    assert_eq!(operations.difference(&rows).collect::<Vec<_>>(), Vec::<&String>::new(), "add these to OPERATIONS");
    assert_eq!(rows.difference(&operations).collect::<Vec<_>>(), Vec::<&String>::new(), "these do not exist");
    let any: Vec<&str> =
        OPERATIONS.iter().filter(|(_, need)| *need == Need::SignedIn).map(|(operation, _)| *operation).collect();
    assert_eq!(any, ["GET /api/admins/current", "GET /api/views"], "a client must be able to ask for whom it acts");
    assert_eq!(Need::of("GET", "/api/unknown"), Need::Unknown);
    assert_eq!(Need::of("PUT", "/api/users/:username"), Need::Own(Resource::Users, Action::Write));
}

async fn every_operation_needs_its_scope_and_no_other(db: Db) {
    let panel = TestPanel::start(db).await;
    let all: Vec<Scope> = Scope::all().collect();
    let make = async |scopes: Vec<String>| {
        let made = panel.post("root", "/api/tokens", json!({"name": "one", "scopes": scopes})).await.ok();
        made["secret"].as_str().expect("a token").to_owned()
    };
    let mut tokens = BTreeMap::new();
    for scope in &all {
        // Writing includes resets.
        let includes = |other: &Scope| *scope == Scope::USERS_RESET && *other == Scope(Resource::Users, Action::Write);
        let others = all.iter().filter(|other| *other != scope && !includes(other)).map(ToString::to_string).collect();
        tokens.insert(scope.to_string(), (make(others).await, make(vec![scope.to_string()]).await));
    }
    for (operation, need) in OPERATIONS {
        let scopes: Vec<String> = need.rights().map(|(scope, _)| scope.to_string()).collect();
        if scopes.is_empty() {
            continue;
        }
        let (method, path) = operation.split_once(' ').expect("a method and a path");
        let method: Method = method.parse().expect("a method");
        // Those of others need another scope, too.
        let own = if path.ends_with("/quota") && matches!(need, Need::Own(..)) {
            path.replace("{username}", "root")
        } else {
            path.to_owned()
        };
        let path = filled(&own);
        let ask = async |token: &str| {
            let mut request = panel.request(method.clone(), &path).bearer_auth(token);
            if *operation == NOT_DESCRIBED {
                request = request.header("connection", "upgrade").header("upgrade", "websocket");
            }
            let response = request.send().await.expect("an answer");
            let status = response.status().as_u16();
            // Streams have no end.
            let text = if status == 200 { String::new() } else { response.text().await.expect("a body") };
            (status, text)
        };
        for scope in &scopes {
            let lacks = format!("The API token lacks the scope {scope}");
            let (status, text) = ask(&tokens[scope].0).await;
            assert!(status == 403 && text.contains(&lacks), "{operation}: {status} {text}");
        }
        let alone = match scopes.as_slice() {
            [scope] => tokens[scope].1.clone(),
            _ => make(scopes).await,
        };
        let (status, text) = ask(&alone).await;
        assert!(![401, 429].contains(&status) && !text.contains("scope"), "{operation}: {status} {text}");
    }
}

/// Replaces each parameter of a path: nothing of that name exists, so that no operation changes what the next ones need.
pub(super) fn filled(path: &str) -> String {
    path.replace("{username}", "nobody")
        .replace("{id}", "999")
        .replace("{node_id}", "999")
        .replace("{backend}", "xray")
        .replace("{name}", "nothing")
        .replace("/expired", "/expired?passed_time=999999999")
}
