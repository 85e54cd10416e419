//! The OpenAPI document: the committed file, and the operations that clients of the old panel use.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use sarban::api::docs::openapi::document;
use sarban::store::Db;
use serde_json::Value;

use crate::api::panel::TestPanel;
use crate::support::database::{execute, on_both_engines};

on_both_engines!(documentation_is_served_only_with_docs_on);

/// The operations of the old panel.
const COMPATIBLE: &[&str] = &[
    "DELETE /api/admins/{username}",
    "DELETE /api/inbounds/hosts/{id}",
    "DELETE /api/nodes/{node_id}",
    "DELETE /api/services/{id}",
    "DELETE /api/users/expired",
    "DELETE /api/users/{username}",
    "GET /",
    "GET /api/admins",
    "GET /api/admins/current",
    "GET /api/admins/{username}",
    "GET /api/admins/{username}/services",
    "GET /api/admins/{username}/users",
    "GET /api/inbounds",
    "GET /api/inbounds/hosts",
    "GET /api/inbounds/hosts/{id}",
    "GET /api/inbounds/{id}",
    "GET /api/inbounds/{id}/hosts",
    "GET /api/nodes",
    "GET /api/nodes/settings",
    "GET /api/nodes/{node_id}",
    "GET /api/nodes/{node_id}/usage",
    "GET /api/nodes/{node_id}/{backend}/config",
    "GET /api/nodes/{node_id}/{backend}/stats",
    "GET /api/services",
    "GET /api/services/{id}",
    "GET /api/services/{id}/inbounds",
    "GET /api/services/{id}/users",
    "GET /api/system/settings/subscription",
    "GET /api/system/settings/telegram",
    "GET /api/system/stats/admins",
    "GET /api/system/stats/nodes",
    "GET /api/system/stats/traffic",
    "GET /api/system/stats/users",
    "GET /api/users",
    "GET /api/users/{username}",
    "GET /api/users/{username}/services",
    "GET /api/users/{username}/usage",
    "GET /sub/{username}/{key}",
    "GET /sub/{username}/{key}/info",
    "GET /sub/{username}/{key}/usage",
    "GET /sub/{username}/{key}/{client_type}",
    "POST /api/admins",
    "POST /api/admins/token",
    "POST /api/admins/{username}/disable_users",
    "POST /api/admins/{username}/enable_users",
    "POST /api/inbounds/hosts",
    "POST /api/inbounds/{id}/hosts",
    "POST /api/nodes",
    "POST /api/nodes/{node_id}/resync",
    "POST /api/services",
    "POST /api/users",
    "POST /api/users/reset",
    "POST /api/users/{username}/disable",
    "POST /api/users/{username}/enable",
    "POST /api/users/{username}/reset",
    "POST /api/users/{username}/revoke_sub",
    "PUT /api/admins/{username}",
    "PUT /api/inbounds/hosts/{id}",
    "PUT /api/nodes/{node_id}",
    "PUT /api/nodes/{node_id}/{backend}/config",
    "PUT /api/services/{id}",
    "PUT /api/system/settings/subscription",
    "PUT /api/system/settings/telegram",
    "PUT /api/users/{username}",
    "PUT /api/users/{username}/set-owner",
];

fn ours() -> Value {
    serde_json::to_value(document()).expect("JSON")
}

/// Operations such as `GET /api/users/{username}`, and their parameters such as `GET /api/users/{username} query start`.
fn operations(document: &Value) -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut operations, mut parameters) = (BTreeSet::new(), BTreeSet::new());
    for (path, methods) in document["paths"].as_object().expect("paths") {
        for (method, operation) in methods.as_object().expect("methods") {
            let name = format!("{} {path}", method.to_uppercase());
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                let text = |key: &str| parameter[key].as_str().unwrap_or_default().to_lowercase();
                parameters.insert(format!("{name} {} {}", text("in"), text("name")));
            }
            operations.insert(name);
        }
    }
    (operations, parameters)
}

#[test]
fn operations_of_the_old_panel_exist() {
    let (operations, _) = operations(&ours());
    let missing: Vec<_> = COMPATIBLE.iter().filter(|operation| !operations.contains(**operation)).collect();
    assert_eq!(missing, Vec::<&&str>::new());
}

/// Compares the list above, and the parameters, with the recorded document of the old panel, if it is available.
#[test]
#[expect(clippy::disallowed_methods, reason = "only this test reads the variable")]
fn operations_of_the_old_panel_match_the_recorded_document() {
    let Some(folder) = std::env::var_os("SARBAN_CONTRACT_DIR") else {
        eprintln!("skipped: SARBAN_CONTRACT_DIR does not name a folder with an openapi.json");
        return;
    };
    let text = std::fs::read_to_string(Path::new(&folder).join("openapi.json")).expect("the older document");
    let older = serde_json::from_str(&text).expect("JSON");
    let (theirs, their_parameters) = operations(&older);
    assert_eq!(theirs, COMPATIBLE.iter().map(|operation| (*operation).to_owned()).collect());
    let (_, our_parameters) = operations(&ours());
    let missing: Vec<_> = their_parameters.difference(&our_parameters).collect();
    assert_eq!(missing, Vec::<&String>::new());
}

/// `make openapi` writes the file.
#[test]
#[expect(clippy::disallowed_methods, reason = "only this test reads the variable")]
fn the_committed_document_is_current() {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("openapi.json");
    let now = serde_json::to_string_pretty(&ours()).expect("JSON") + "\n";
    if std::env::var_os("SARBAN_WRITE_OPENAPI").is_some() {
        std::fs::write(&file, &now).expect("openapi.json is writable");
    }
    let committed = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(committed == now, "openapi.json is out of date: run `make openapi` and review its changes");
}

async fn documentation_is_served_only_with_docs_on(db: Db) {
    let pages = ["/openapi.json", "/docs", "/redoc", "/docs/swagger-ui-bundle.js", "/docs/redoc.standalone.js"];
    let without = TestPanel::start(db.clone()).await;
    for page in pages {
        without.get("root", page).await.refused(404);
    }
    drop(without);
    execute(&db, "DELETE FROM admins").await;
    let panel = TestPanel::start_with(db, &[("DOCS", "true")]).await;
    assert_eq!(panel.get("root", "/openapi.json").await.ok(), ours());
    for page in &pages[1..3] {
        let answer = panel.get("root", page).await;
        assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"), "{page}");
        // The panel itself serves all assets of a page.
        let html = answer.ok();
        let html = html.as_str().expect("text");
        assert!(!html.contains("http://") && !html.contains("https://"), "{page}");
        for part in html.split(['"', '\'']).filter(|part| part.starts_with("/docs/")) {
            assert_eq!(panel.get("root", part).await.status, 200, "{part}");
        }
    }
    panel.get("root", "/docs/nothing.js").await.refused(404);
}
