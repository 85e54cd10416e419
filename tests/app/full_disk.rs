//! A panel whose SQLite file can't grow: changes are refused with the reason, reads go on, and the panel recovers
//! without a restart.

use reqwest::{Method, StatusCode};
use sarban::store::Engine;
use serde_json::{Value, json};
use tokio::time::{Duration, Instant, sleep};

use crate::app::panel_process::PanelProcess;
use crate::app::processes::{first_admin, setup};
use crate::support::database::{Content, number, with_database};

/// Bytes that any file of the process may have. SQLite's log of changes grows beyond it after some changes, and the
/// panel's log does not.
const FULL: u64 = 400_000;

async fn create_user(panel: &PanelProcess, token: &str, number: usize) -> (StatusCode, bool, String) {
    let user = json!({"username": format!("user{number}"), "expire_strategy": "never"});
    let request = panel.request(Method::POST, "/api/users").bearer_auth(token).json(&user);
    let answer = request.send().await.expect("an answer");
    let may_retry = answer.headers().contains_key("retry-after");
    (answer.status(), may_retry, answer.text().await.expect("a text"))
}

#[test]
fn full_disk_refuses_changes_with_the_reason_and_heals_by_itself() {
    with_database(Engine::Sqlite, Content::Schema, async |test| {
        let folder = tempfile::tempdir().expect("a folder");
        let setup = setup(&test, folder.path());
        let mut panel = setup.start_with_file_limit("ann", 1 << 20);
        panel.ready().await;
        let token = first_admin(&setup, &panel).await;
        panel.limit_files(Some(FULL));
        let (mut created, mut refused) = (0, 0);
        let limit = Instant::now() + Duration::from_secs(60);
        for number in 0.. {
            let (status, may_retry, text) = create_user(&panel, &token, number).await;
            match status.as_u16() {
                200 => created += 1,
                503 => {
                    assert!(may_retry && text.contains("The disk of the database"), "{text}");
                    refused += 1;
                }
                other => panic!("{other}: {text}"),
            }
            if refused == 10 {
                break;
            }
            assert!(Instant::now() < limit, "{created} users were created on a full disk");
        }
        let health = panel.health().await.expect("an answer");
        assert_eq!((&health["status"], &health["database"]), (&json!("degraded"), &json!("read_only")), "{health}");
        assert!(health["database_reason"].as_str().is_some_and(|reason| reason.contains("disk")), "{health}");
        let users =
            panel.request(Method::GET, "/api/users?size=1").bearer_auth(&token).send().await.expect("an answer");
        assert_eq!(users.status(), 200, "reads go on");
        assert_eq!(users.json::<Value>().await.expect("a page")["total"], created);

        panel.remove_file_limit();
        // A transaction that began before may still fail.
        let limit = Instant::now() + Duration::from_secs(5);
        loop {
            let (status, _, text) = create_user(&panel, &token, 1_000_000).await;
            if status == 200 {
                break;
            }
            assert!(Instant::now() < limit, "{status} after the disk has space again: {text}");
            sleep(Duration::from_millis(100)).await;
        }
        panel.ready().await;
        // The next probe logs it.
        let limit = Instant::now() + Duration::from_secs(10);
        while !panel.log().contains("the database can be used again") {
            assert!(Instant::now() < limit, "{}", panel.log());
            sleep(Duration::from_millis(100)).await;
        }
        let log = panel.log();
        assert_eq!(log.matches("usage stays on the nodes until it is usable").count(), 1, "{log}");
        assert!(panel.stop().await.success());
        assert_eq!(number(&test.db, "SELECT COUNT(*) FROM users").await, created + 1);
    });
}
