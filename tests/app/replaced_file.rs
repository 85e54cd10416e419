//! A panel whose SQLite file is deleted while it runs: no change is acknowledged from then on, and everybody is told why.

use std::fs;
use std::path::Path;

use reqwest::Method;
use sarban::config::database_url::DatabaseUrl;
use sarban::store::Engine;
use serde_json::{Value, json};
use tokio::time::{Duration, Instant, sleep};

use crate::app::panel_process::{PanelProcess, Setup};
use crate::app::processes::{call, first_admin, setup};
use crate::support::database::{Content, with_database};

async fn create_user(panel: &PanelProcess, token: &str, name: &str) -> (u16, String) {
    let user = json!({"username": name, "expire_strategy": "never"});
    let request = panel.request(Method::POST, "/api/users").bearer_auth(token).json(&user);
    let answer = request.send().await.expect("an answer");
    (answer.status().as_u16(), answer.text().await.expect("a text"))
}

async fn is_refused(panel: &PanelProcess, token: &str, link: &str) {
    let (status, text) = create_user(panel, token, "ben").await;
    assert!(status == 503 && text.contains("was deleted or replaced"), "{status}: {text}");
    for path in ["/api/users", link] {
        let answer = panel.request(Method::GET, path).bearer_auth(token).send().await.expect("an answer");
        assert_eq!(answer.status(), 503, "{path}");
    }
}

/// Runs a panel on a file of its own, with one user; then `fault`; then a restart after `repair`.
async fn run(setup: &mut Setup<'_>, fault: impl Fn(&Path), repair: impl Fn(&Path)) {
    let file = setup.folder.join("panel.sqlite3");
    let url = DatabaseUrl::Sqlite { path: file.clone() };
    let setup =
        Setup { database: &url, redis: None, cluster: setup.cluster.clone(), folder: setup.folder, more: vec![] };
    let mut panel = setup.start("ann");
    panel.ready().await;
    let token = first_admin(&setup, &panel).await;
    let user = json!({"username": "ann", "expire_strategy": "never"});
    let user = call(&panel, &token, Method::POST, "/api/users", user).await;
    let link = user["subscription_url"].as_str().expect("a link").to_owned();
    fault(&file);
    // A change is refused from the first moment on. Reads notice it a moment later.
    let (status, text) = create_user(&panel, &token, "ben").await;
    assert!(status == 503 && text.contains("was deleted or replaced"), "{status}: {text}");
    let limit = Instant::now() + Duration::from_secs(5);
    loop {
        let health = panel.health().await.expect("an answer");
        if health["status"] == "unavailable" {
            let reason = &health["database_reason"];
            assert!(reason.as_str().is_some_and(|reason| reason.contains("deleted or replaced")), "{health}");
            break;
        }
        assert!(Instant::now() < limit, "not noticed within 5 s: {health}");
        sleep(Duration::from_millis(50)).await;
    }
    // What was cached for a second is forgotten.
    sleep(Duration::from_millis(1_500)).await;
    is_refused(&panel, &token, &link).await;
    repair(&file);
    sleep(Duration::from_millis(1_500)).await;
    is_refused(&panel, &token, &link).await;
    let log = panel.log();
    let lines = log.lines().filter(|line| line.contains(" ERROR ") && line.contains("was deleted or replaced"));
    assert_eq!(lines.count(), 1, "{log}");
    assert!(panel.stop().await.success());
    let mut panel = setup.start("ann");
    panel.ready().await;
    let page: Value = call(&panel, &token, Method::GET, "/api/users", Value::Null).await;
    assert_eq!(page["total"], 1, "the user from before");
    assert!(panel.stop().await.success());
}

#[test]
fn moved_file_is_a_503_until_it_is_back_and_the_panel_restarted() {
    with_database(Engine::Sqlite, Content::Empty, async |test| {
        let folder = tempfile::tempdir().expect("a folder");
        let mut setup = setup(&test, folder.path());
        let moved = folder.path().join("moved");
        let away = |file: &Path| fs::rename(file, &moved).expect("it is moved");
        let back = |file: &Path| fs::rename(&moved, file).expect("it is moved back");
        run(&mut setup, away, back).await;
    });
}

/// The panel's stop writes the log of changes, which is still open, to the database.
#[test]
fn deleted_log_of_changes_is_a_503_until_a_restart_which_loses_nothing() {
    with_database(Engine::Sqlite, Content::Empty, async |test| {
        let folder = tempfile::tempdir().expect("a folder");
        let mut setup = setup(&test, folder.path());
        let delete = |file: &Path| fs::remove_file(file.with_extension("sqlite3-wal")).expect("it is deleted");
        run(&mut setup, delete, |_| {}).await;
    });
}
