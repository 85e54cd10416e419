//! The task that writes back-ups: complete files only, of the leader only, and not more of them than wanted.

use std::io::Cursor;
use std::path::Path;
use std::time::Duration;

use age::secrecy::ExposeSecret;
use age::x25519::Identity;
use sarban::backup::{Identities, Place, Scratch, restore};
use sarban::config::backup::{BackupSettings, parse_recipient};
use sarban::domain::moment::{DAY, Moment, SECOND};
use sarban::domain::schedule::Task;
use sarban::nodes::spool::FOLDER;
use sarban::scheduler::tasks::TaskError;
use sarban::store::{Db, Engine, Tx};
use serde_json::{Value, json};
use sqlx::raw_sql;
use tempfile::tempdir;
use tokio::time::timeout;

use super::task::Leader;
use crate::support::database::{Content, TestDatabase, number, on_both_engines, texts, with_database};

on_both_engines!(
    each_run_writes_one_and_the_oldest_are_removed,
    each_run_writes_what_the_settings_say,
    new_back_up_stays_although_others_have_later_names,
    deposed_leader_leaves_no_file,
    failure_is_notified_once_a_day
);

const NOW: Moment = Moment::from_micros(1_700_000_000 * SECOND);

fn settings(folder: &Path) -> BackupSettings {
    BackupSettings {
        to: Some(folder.display().to_string()),
        period: Duration::from_secs(86_400),
        keep: 2,
        recipients: Vec::new(),
        with_secrets: true,
    }
}

fn files(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("the folder");
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("a name")).collect();
    names.sort();
    names
}

async fn each_run_writes_one_and_the_oldest_are_removed(db: Db) {
    let folder = tempdir().expect("a folder");
    std::fs::write(folder.path().join("other.txt"), "not a back-up").expect("a file");
    let mut leader = Leader::with_back_ups(&db, &settings(folder.path())).await;
    for day in 0..3 {
        let bytes = leader.run(Task::BackUp, NOW.plus(day * DAY)).await.expect("a back-up");
        let newest = files(folder.path()).pop().expect("a file");
        let length = std::fs::metadata(folder.path().join(&newest)).expect("its size").len();
        assert_eq!(i64::try_from(length), Ok(bytes), "{newest}");
    }
    let names = ["other.txt", "sarban-2023-11-15T22-13-20Z.backup", "sarban-2023-11-16T22-13-20Z.backup"];
    assert_eq!(files(folder.path()), names);
    let (path, file) = Place::Folder(folder.path().to_owned()).open().await.expect("the newest");
    assert!(path.ends_with(names[2]));
    let scratch = Scratch::create().await.expect("a scratch database");
    let manifest = restore(scratch.target(), file, Identities::default()).await.expect("a good back-up").manifest;
    scratch.remove().await;
    assert_eq!(manifest.rows("nodes"), 1);
}

async fn new_back_up_stays_although_others_have_later_names(db: Db) {
    let folder = tempdir().expect("a folder");
    let later = ["sarban-2036-01-01T03-00-00Z.backup", "sarban-2036-01-02T03-00-00Z.backup"];
    for name in later {
        std::fs::write(folder.path().join(name), "made when a clock was ahead").expect("a file");
    }
    let mut leader = Leader::with_back_ups(&db, &settings(folder.path())).await;
    for (day, name) in [(0, "sarban-2023-11-14T22-13-20Z.backup"), (1, "sarban-2023-11-15T22-13-20Z.backup")] {
        leader.run(Task::BackUp, NOW.plus(day * DAY)).await.expect("a back-up");
        assert_eq!(files(folder.path()), [name, later[1]]);
    }
}

async fn each_run_writes_what_the_settings_say(db: Db) {
    let (folder, key) = (tempdir().expect("a folder"), Identity::generate());
    let recipient = parse_recipient(&key.to_public().to_string()).expect("a recipient");
    for (day, with_secrets, recipients) in
        [(0, false, Vec::new()), (1, true, Vec::new()), (2, true, vec![recipient.clone()]), (3, false, vec![recipient])]
    {
        let is_encrypted = !recipients.is_empty();
        // 0: all of them stay.
        let settings = BackupSettings { keep: 0, recipients, with_secrets, ..settings(folder.path()) };
        let mut leader = Leader::with_back_ups(&db, &settings).await;
        let spool = leader.data_dir().join(FOLDER);
        std::fs::create_dir_all(&spool).expect("a folder");
        std::fs::write(spool.join("reply.log"), "a reply that waits").expect("a spool file");
        leader.run(Task::BackUp, NOW.plus(day * DAY)).await.expect("a back-up");
        assert_eq!(files(folder.path()).len(), usize::try_from(day).expect("a number") + 1, "all stay");
        let (path, _) = Place::Folder(folder.path().to_owned()).open().await.expect("the newest");
        let bytes = std::fs::read(&path).expect("it is read");
        let (is_age, has_suffix) = (bytes.starts_with(b"age-encryption.org/"), path.ends_with(".backup.age"));
        assert_eq!((is_age, has_suffix), (is_encrypted, is_encrypted), "{path}");

        let keys = leader.data_dir().join("keys.txt");
        std::fs::write(&keys, key.to_string().expose_secret()).expect("written");
        let keys = Identities::read(&keys).expect("keys");
        let scratch = Scratch::create().await.expect("a scratch database");
        let manifest = restore(scratch.target(), Cursor::new(bytes), keys).await.expect("a good back-up").manifest;
        scratch.remove().await;
        assert_eq!(
            (manifest.head.with_secrets, manifest.rows("tls")),
            (with_secrets, u64::from(with_secrets)),
            "{path}"
        );
        assert_eq!(manifest.spool_files, 1, "replies that are in no table yet");
    }
}

async fn deposed_leader_leaves_no_file(db: Db) {
    let folder = tempdir().expect("a folder");
    let mut old = Leader::with_back_ups(&db, &settings(folder.path())).await;
    let mut new = Leader::with_back_ups(&db, &settings(folder.path())).await;
    let written = old.run(Task::BackUp, NOW).await;
    assert!(written.is_err(), "a leader that was deposed wrote a back-up: {written:?}");
    assert_eq!(files(folder.path()), Vec::<String>::new());
    new.run(Task::BackUp, NOW).await.expect("the leader's");
    assert_eq!(files(folder.path()).len(), 1);
}

#[test]
fn back_up_waits_for_a_migration_and_begins_again() {
    with_database(Engine::Postgres, Content::Schema, async |TestDatabase { db, .. }| waits(db).await);
}

async fn waits(db: Db) {
    let folder = tempdir().expect("a folder");
    let mut leader = Leader::with_back_ups(&db, &settings(folder.path())).await;
    // A migration that waits for its locks says so.
    let mut migration = db.begin_bulk().await.expect("a transaction");
    let Tx::Pg(pg) = &mut migration else { panic!("this is about PostgreSQL") };
    let announce = raw_sql("SELECT pg_advisory_xact_lock(7310303452)");
    announce.execute(pg.connection().expect("a connection")).await.expect("announced");
    let mut run = std::pin::pin!(leader.run(Task::BackUp, NOW));
    let early = timeout(Duration::from_secs(2), &mut run).await;
    assert!(early.is_err(), "the back-up did not wait for the migration: {early:?}");
    migration.rollback().await.expect("it is over");
    run.await.expect("a back-up");
    assert_eq!(files(folder.path()).len(), 1);
    assert_eq!(number(&db, "SELECT COUNT(*) FROM outbox").await, 0, "nothing failed");
}

async fn failure_is_notified_once_a_day(db: Db) {
    let folder = tempdir().expect("a folder");
    let missing = folder.path().join("missing");
    let mut leader = Leader::with_back_ups(&db, &settings(&missing)).await;
    for later in [0, 2 * 3_600 * SECOND, 4 * 3_600 * SECOND, DAY] {
        let failed = leader.run(Task::BackUp, NOW.day().plus(later)).await;
        assert!(matches!(failed, Err(TaskError::BackUp(_))), "{failed:?}");
    }
    assert_eq!(
        number(&db, "SELECT COUNT(*) FROM outbox WHERE action = 'back_up_failed' AND user_id = 0").await,
        2,
        "one a day"
    );
    let payload = texts(&db, "SELECT payload FROM outbox ORDER BY id").await.remove(0);
    let payload: Value = serde_json::from_str(&payload).expect("JSON");
    assert_eq!(payload["place"], json!(missing.display().to_string()));
    let error = payload["error"].as_str().expect("an error");
    assert!(error.starts_with("could not create ") && error.contains("No such file"), "{error}");
}
