//! A panel with `SARBAN_READ_ONLY=true`: it answers reads and subscriptions, and writes nothing to the database.

use reqwest::Method;
use sarban::domain::ids::{ServiceId, UserId};
use sarban::domain::moment::Moment;
use sarban::store::access::admins;
use sarban::store::users::changes;
use sarban::store::{Db, Engine, OpenOptions};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::app::panel_process::Setup;
use crate::support::database::{TestDatabase, execute, number, on_both_engines};
use crate::support::ports::free_port;

on_both_engines! {
    read_only_panel_answers_and_writes_nothing,
    empty read_only_panel_leaves_an_empty_database_empty,
    read_only_database_refuses_writes,
}

/// Number of rows that a panel writes without a request.
const OWN_WRITES: &str =
    "SELECT (SELECT COUNT(*) FROM cluster_member) + (SELECT COUNT(*) FROM task) + (SELECT COUNT(*) FROM task_run)
    + (SELECT COUNT(*) FROM subscription_fetches) + (SELECT COUNT(*) FROM outbox) + (SELECT COUNT(*) FROM tls)
    + (SELECT epoch FROM scheduler_lease)";

fn setup<'a>(test: &'a TestDatabase, folder: &'a std::path::Path) -> Setup<'a> {
    let cluster = format!("test-{}", Uuid::new_v4().simple());
    Setup { database: &test.options.url, redis: None, cluster, folder, more: vec![] }
}

async fn read_only_panel_answers_and_writes_nothing(test: TestDatabase) {
    let folder = tempfile::tempdir().expect("a folder");
    let db = &test.db;
    execute(
        db,
        "INSERT INTO jwt (id, secret_key) VALUES (1, 'secret');
         INSERT INTO services (id, name) VALUES (1, 'one');
         INSERT INTO users (id, username, key, expire_strategy, created_at) VALUES (1, 'ann', 'abc', 'never', 0);
         INSERT INTO user_traffic (user_id, created_at) VALUES (1, 0)",
    )
    .await;
    let setup = setup(&test, folder.path());
    let created = setup
        .command()
        .args(["admin", "create", "-u", "root", "--sudo"])
        .env("SARBAN_ADMIN_PASSWORD", "rootpass")
        .output()
        .expect("an admin is created");
    assert!(created.status.success(), "{created:?}");
    let mut panel =
        setup.start_with("shadow", &[("SARBAN_READ_ONLY", "true"), ("WEBHOOK_ADDRESS", "http://127.0.0.1:1")]);
    panel.ready().await;
    assert_eq!(panel.health().await.expect("a report")["scheduler"], "none");

    let form = [("username", "root"), ("password", "rootpass")];
    let signed_in = panel.request(Method::POST, "/api/admins/token").form(&form).send().await.unwrap();
    assert_eq!(signed_in.status(), 200);
    let token = signed_in.json::<Value>().await.unwrap()["access_token"].as_str().expect("a token").to_owned();
    let users = panel.request(Method::GET, "/api/users").bearer_auth(&token).send().await.unwrap();
    assert_eq!(users.json::<Value>().await.unwrap()["total"], 1);
    for path in ["/sub/ann/abc", "/sub/ann/abc/links"] {
        let links = panel.request(Method::GET, path).header("user-agent", "v2rayNG/1.9.5").send().await.unwrap();
        assert_eq!(links.status(), 200, "{path}");
    }
    let new = json!({"username": "bob", "expire_strategy": "never"});
    let refused = panel.request(Method::POST, "/api/users").bearer_auth(&token).json(&new).send().await.unwrap();
    assert_eq!(refused.status(), 503);
    let reason = refused.json::<Value>().await.unwrap()["detail"].to_string();
    assert!(reason.contains("read-only"), "{reason}");
    assert!(panel.stop().await.success());
    assert_eq!(number(db, OWN_WRITES).await, 0);
    assert_eq!(number(db, "SELECT COUNT(*) FROM users").await, 1);
}

/// The panel does not migrate: it exits with an error that names the command.
async fn read_only_panel_leaves_an_empty_database_empty(test: TestDatabase) {
    let folder = tempfile::tempdir().expect("a folder");
    let ran = setup(&test, folder.path())
        .command()
        .arg("serve")
        .env("SARBAN_READ_ONLY", "true")
        .env("UVICORN_HOST", "127.0.0.1")
        .env("UVICORN_PORT", free_port().to_string())
        .output()
        .expect("it runs");
    assert_eq!(ran.status.code(), Some(1));
    let error = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert!(error.contains("SARBAN_READ_ONLY") && error.contains("sarban migrate"), "{error}");
    let tables = match test.db.engine() {
        Engine::Sqlite => "SELECT COUNT(*) FROM sqlite_schema",
        Engine::Postgres => "SELECT COUNT(*) FROM pg_tables WHERE schemaname = 'public'",
    };
    assert_eq!(number(&test.db, tables).await, 0);
}

async fn read_only_database_refuses_writes(options: OpenOptions) {
    let db = Db::open(&OpenOptions { read_only: true, ..options.clone() }).await.expect("it opens");
    assert!(admins::by_username(&db, "root").await.expect("it can be read").is_none());
    let refused = match db.begin().await {
        Ok(mut tx) => changes::mark_users_of(&mut tx, ServiceId(1), UserId(1), Moment::from_micros(0)).await.is_err(),
        Err(_) => true,
    };
    assert!(refused);
    db.close().await;
}
