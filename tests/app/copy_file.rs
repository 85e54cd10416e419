//! The file of a panel's copy on a disk that is full: what is in it is served, attempts to write become rare, the log has one line, and
//! the file is not made again.

use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use rustix::process::Signal;
use sarban::config::database_url::DatabaseUrl;
use sarban::store::copy::file::CopyFile;
use sqlx::{AssertSqlSafe, Connection, PgConnection, raw_sql};
use tokio::time::{Instant, sleep};

use super::without_database::{link, status, until};
use crate::app::panel_process::{PanelProcess, Setup};
use crate::support;
use crate::support::servers::{Postgres, open_folder};

const USERS: u64 = 1_000;
/// The first user whose change can't be written, and one who is changed later.
const REVOKED: u64 = 500;
const LATE: u64 = 2;
const FAILURES: &str = "subscription_copy_failures_total";
/// Part of the line in the log.
const FAILED: &str = "could not write the local copy of subscriptions";
/// Bytes that any file of the process may have: more than its log, and less than a change of all users needs.
const FULL: u64 = 150_000;
/// Longest wait for a write after the disk has space again: attempts are half a minute apart at most.
const RECOVERY: Duration = Duration::from_secs(90);

#[test]
fn copy_on_a_full_disk_serves_what_it_has_and_goes_on_by_itself() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(full_disk());
}

/// Waits until writing has failed so many times.
async fn failures(panel: &PanelProcess, times: f64) {
    let end = Instant::now() + RECOVERY;
    while panel.counter(FAILURES).await < times {
        assert!(Instant::now() < end, "{}", panel.log());
        sleep(Duration::from_millis(100)).await;
    }
}

async fn full_disk() {
    let folder = open_folder().expect("a folder");
    let mut postgres = Postgres::start(support::postgres_bin(), folder.path().join("server")).await.expect("a server");
    let address = format!("postgresql://postgres@127.0.0.1:{}/postgres", postgres.port);
    let database = DatabaseUrl::parse(&address).expect("an address");
    let cluster = format!("test-{}", uuid::Uuid::new_v4().simple());
    let setup = Setup { database: &database, redis: None, cluster, folder: folder.path(), more: Vec::new() };
    let mut panel = setup.start_with_file_limit("panel", 1 << 20);
    panel.ready().await;
    let mut session = PgConnection::connect(&address).await.expect("a session");
    let insert = format!(
        "INSERT INTO users (username, key, expire_strategy, created_at)
             SELECT 'user_' || n, lpad(to_hex(n), 32, '0'), 'never', 0 FROM generate_series(1, {USERS}) AS n;
         INSERT INTO user_traffic (user_id, created_at) SELECT id, 0 FROM users"
    );
    raw_sql(AssertSqlSafe(insert)).execute(&mut session).await.expect("users are inserted");
    let is_full = async || panel.counter("subscription_copy_users").await as u64 == USERS;
    until("all users are in the copy", is_full).await;
    let path = folder.path().join("subscriptions.copy");
    let inode = || std::fs::metadata(&path).expect("the file").ino();
    let before = inode();

    panel.limit_files(Some(FULL));
    let notes = format!("UPDATE users SET note = repeat('x', 1000) WHERE id >= {REVOKED}");
    raw_sql(AssertSqlSafe(notes)).execute(&mut session).await.expect("users are changed");
    // After one, two and four seconds. Four in a row have the file opened again and checked.
    failures(&panel, 3.0).await;
    let late = format!("UPDATE users SET key = 'new' WHERE id = {LATE}");
    raw_sql(AssertSqlSafe(late)).execute(&mut session).await.expect("a user is changed");
    failures(&panel, panel.counter(FAILURES).await + 1.0).await;
    let log = panel.log();
    assert_eq!(log.matches(FAILED).count(), 1, "one line for all failures:\n{log}");
    postgres.stop(Signal::INT).await.expect("it stops");
    until("a subscription is served from the copy", async || status(&panel, &link(1)).await == 200).await;
    assert_eq!(status(&panel, "/health/ready?subscriptions=true").await, 200);
    for user in [REVOKED, LATE] {
        let (wanted, why) =
            if user == LATE { (404, "the key that the file has is over") } else { (200, "only a note changed") };
        assert_eq!(status(&panel, &link(user)).await, wanted, "{why}");
    }

    panel.remove_file_limit();
    postgres.restart(Signal::INT).await.expect("it starts");
    let end = Instant::now() + RECOVERY;
    while !panel.log().contains("the local copy of subscriptions can be written again") {
        assert!(Instant::now() < end, "{}", panel.log());
        sleep(Duration::from_millis(100)).await;
    }
    let has_note = async || {
        let file = CopyFile::open(&path).await.expect("it opens").expect("a copy");
        let found = file.users("user_700").await.expect("it is read");
        file.close().await;
        found.into_iter().any(|user| user.user(|_| None).note.is_some())
    };
    until("the change is in the copy", has_note).await;
    assert_eq!(inode(), before, "a good file is not made again");
    let log = panel.log();
    assert!(!log.contains("a new one is made"), "the file was made again:\n{log}");
    assert_eq!(log.matches(FAILED).count(), 1, "one line for all failures:\n{log}");
}
