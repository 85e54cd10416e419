//! A panel with `SARBAN_READ_ONLY=true`: it answers reads and subscriptions, and writes nothing to the database.

use std::time::Duration;

use reqwest::Method;
use sarban::config::database_url::DatabaseUrl;
use sarban::domain::ids::{ServiceId, UserId};
use sarban::domain::moment::Moment;
use sarban::store::access::admins;
use sarban::store::users::changes;
use sarban::store::{Db, Engine, OpenOptions};
use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection, raw_sql};
use tokio::time::Instant;
use uuid::Uuid;

use crate::app::edge_world::{self, until};
use crate::app::panel_process::{PanelProcess, Setup};
use crate::support::database::{Content, TestDatabase, execute, number, on_both_engines, with_database};
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

/// A panel's database with one user.
const ROWS: &str = "INSERT INTO jwt (id, secret_key) VALUES (1, 'secret');
    INSERT INTO services (id, name) VALUES (1, 'one');
    INSERT INTO users (id, username, key, expire_strategy, created_at) VALUES (1, 'ann', 'abc', 'never', 0);
    INSERT INTO user_traffic (user_id, created_at) VALUES (1, 0)";

fn setup<'a>(test: &'a TestDatabase, folder: &'a std::path::Path) -> Setup<'a> {
    let cluster = format!("test-{}", Uuid::new_v4().simple());
    Setup { database: &test.options.url, redis: None, cluster, folder, more: vec![] }
}

async fn read_only_panel_answers_and_writes_nothing(test: TestDatabase) {
    let folder = tempfile::tempdir().expect("a folder");
    let db = &test.db;
    execute(db, ROWS).await;
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

    let token = sign_in(&panel).await;
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

/// A service manager kills what takes longer. A statement that waits for a lock is in the way of closing the connections.
#[test]
fn read_only_panel_ends_within_its_grace() {
    const GRACE: Duration = Duration::from_secs(3);
    with_database(Engine::Postgres, Content::Schema, async |test| {
        execute(&test.db, ROWS).await;
        let folder = tempfile::tempdir().expect("a folder");
        let setup = setup(&test, folder.path());
        edge_world::command(&setup, &["admin", "create", "-u", "root", "--sudo"]);
        let mut fastest = Duration::MAX;
        // Of several, because a busy machine adds to some. With all of the grace for requests each took a second more than the grace.
        for _ in 0..3 {
            fastest = fastest.min(stopping_time(&test, &setup).await);
            if fastest < GRACE + Duration::from_millis(900) {
                return;
            }
        }
        panic!("{fastest:?}");
    });
}

/// Time from SIGTERM to the end of a read-only panel that lists users, which waits for a lock.
async fn stopping_time(test: &TestDatabase, setup: &Setup<'_>) -> Duration {
    let mut panel = setup.start_with("shadow", &[("SARBAN_READ_ONLY", "true"), ("SHUTDOWN_GRACE_SECONDS", "3")]);
    panel.ready().await;
    let token = sign_in(&panel).await;
    let mut lock = PgConnection::connect(&address(test)).await.expect("a session");
    raw_sql("BEGIN; LOCK TABLE users").execute(&mut lock).await.expect("locked");
    let asking = tokio::spawn(panel.request(Method::GET, "/api/users").bearer_auth(&token).send());
    let waiting = "SELECT COUNT(*) FROM pg_locks WHERE NOT granted AND relation = 'users'::regclass";
    until("the list waits for the lock", async || number(&test.db, waiting).await > 0).await;
    let began = Instant::now();
    assert!(panel.stop().await.success(), "{}", panel.log());
    let took = began.elapsed();
    assert!(asking.await.expect("no panic").is_err(), "the list had an answer");
    lock.close().await.expect("closed");
    took
}

fn address(test: &TestDatabase) -> String {
    let DatabaseUrl::Postgres { url } = &test.options.url else { panic!("not PostgreSQL") };
    url.expose().to_owned()
}

async fn sign_in(panel: &PanelProcess) -> String {
    let form = [("username", "root"), ("password", "rootpass")];
    let signed_in = panel.request(Method::POST, "/api/admins/token").form(&form).send().await.expect("an answer");
    assert_eq!(signed_in.status(), 200);
    signed_in.json::<Value>().await.expect("JSON")["access_token"].as_str().expect("a token").to_owned()
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
