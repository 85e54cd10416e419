//! What was backed up is there after a restore, whichever the engines.

use std::fs;
use std::path::Path;

use sarban::backup::{CreateOptions, Manifest, TableSummary};
use sarban::store::migrate::{LATEST, migrate, version};
use sarban::store::{Db, Engine, users};
use tempfile::tempdir;

use super::filled::{fill, filled_in};
use super::{back_up, restore_bytes, sqlite_in, with_secrets};
use crate::support::database::{execute, number, on_both_engines};

on_both_engines!(
    empty sqlite_is_restored_into_either_engine,
    either_engine_is_restored_into_sqlite,
    empty back_up_without_secrets_has_none,
    empty spool_is_restored_once,
    empty database_that_loses_a_row_is_left_empty,
    empty database_in_use_is_refused,
    empty database_with_a_newer_schema_is_refused,
);

async fn sqlite_is_restored_into_either_engine(db: Db) {
    let folder = tempdir().expect("a folder");
    let source = filled_in(folder.path()).await;
    assert_restores(&source, &db, folder.path()).await;
    source.close().await;
}

async fn either_engine_is_restored_into_sqlite(db: Db) {
    let folder = tempdir().expect("a folder");
    fill(&db).await;
    let target = sqlite_in(folder.path()).await;
    assert_restores(&db, &target, folder.path()).await;
    target.close().await;
}

async fn assert_restores(source: &Db, target: &Db, folder: &Path) {
    let (manifest, bytes) = back_up(source, with_secrets()).await;
    let empty: Vec<&TableSummary> = manifest.tables.iter().filter(|table| table.rows == 0).collect();
    assert_eq!(empty, Vec::<&TableSummary>::new(), "tables without rows prove nothing");
    assert_eq!(restore_bytes(target, folder, &bytes).await.expect("restored"), manifest);

    let (again, _) = back_up(target, with_secrets()).await;
    assert_eq!(unchanged(&again), unchanged(&manifest), "the restored database has the same rows");
    let sums = &manifest.tables.iter().find(|table| table.name == "user_traffic").expect("traffic").sums;
    assert_eq!(sums["lifetime_used_traffic"], "9223372036854775810", "beyond the range of one number");

    // Where the engines' texts could differ, and what is derived.
    let user = users::by_username(target, "سرباز \"7\" \\N").await.expect("read").expect("user 7");
    assert_eq!((user.id.0, user.key.as_str()), (7, "key-7"));
    assert_eq!(
        number(target, "SELECT CAST(SUM(users) AS BIGINT) FROM owner_totals").await,
        2,
        "one of three is removed"
    );
    // The next id follows the last one ever assigned, not the largest.
    execute(target, "INSERT INTO users (username, key, expire_strategy, created_at) VALUES ('new', 'k', 'never', 5)")
        .await;
    assert_eq!(number(target, "SELECT id FROM users WHERE username = 'new'").await, 42);
    assert_eq!(
        number(target, "SELECT epoch FROM scheduler_lease WHERE released = TRUE").await,
        1,
        "as scheduler_epoch"
    );
    assert_eq!(number(target, "SELECT key_synced_seq FROM nodes").await, -1, "every key is sent again");
    if target.engine() == Engine::Postgres {
        let known = "SELECT CAST(reltuples AS BIGINT) FROM pg_class WHERE oid = 'users'::regclass";
        assert_eq!(number(target, known).await, 3, "the server plans with the restored rows");
    }
}

/// The tables that a restore does not adjust.
fn unchanged(manifest: &Manifest) -> Vec<&TableSummary> {
    manifest.tables.iter().filter(|table| table.name != "nodes").collect()
}

async fn back_up_without_secrets_has_none(db: Db) {
    let folder = tempdir().expect("a folder");
    let source = filled_in(folder.path()).await;
    let (manifest, bytes) = back_up(&source, CreateOptions::default()).await;
    assert!(!manifest.head.with_secrets && manifest.tables.iter().all(|it| it.name != "jwt" && it.name != "tls"));
    restore_bytes(&db, folder.path(), &bytes).await.expect("restored");
    assert_eq!(number(&db, "SELECT (SELECT COUNT(*) FROM tls) + (SELECT COUNT(*) FROM jwt)").await, 0);
    source.close().await;
}

async fn spool_is_restored_once(db: Db) {
    let (from, into) = (tempdir().expect("a folder"), tempdir().expect("a folder"));
    let source = sqlite_in(from.path()).await;
    migrate(&source).await.expect("a schema");
    let spool = from.path().join("spool");
    fs::create_dir(&spool).expect("a folder");
    fs::write(spool.join("reply.log"), vec![5; 3_000_000]).expect("a spool file");
    fs::write(spool.join("empty.log"), "").expect("a spool file");
    let options = CreateOptions { data_dir: Some(from.path().to_owned()), ..CreateOptions::default() };
    let (manifest, bytes) = back_up(&source, options).await;
    assert_eq!((manifest.spool_files, manifest.spool_bytes), (1, 3_000_000));

    let cut = restore_bytes(&db, into.path(), &bytes[..bytes.len() - 1]).await;
    assert!(cut.is_err());
    let files = || fs::read_dir(into.path().join("spool")).expect("the spool").map(|it| it.expect("a file").path());
    assert_eq!(files().count(), 0, "a restore that failed leaves no file");
    restore_bytes(&db, into.path(), &bytes).await.expect("restored");
    let found: Vec<_> = files().collect();
    assert_eq!(found.len(), 1);
    assert!(found[0].extension().is_some_and(|it| it == "log"), "panels look for these: {found:?}");
    assert_eq!(fs::read(&found[0]).expect("the reply"), vec![5; 3_000_000]);
    source.close().await;
}

/// Hosts that are inserted are gone.
const fn loses_hosts(engine: Engine) -> &'static str {
    match engine {
        Engine::Sqlite => "CREATE TRIGGER lose AFTER INSERT ON hosts BEGIN DELETE FROM hosts WHERE id = NEW.id; END",
        Engine::Postgres => {
            "CREATE FUNCTION lose() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
             CREATE TRIGGER lose BEFORE INSERT ON hosts FOR EACH ROW EXECUTE FUNCTION lose()"
        }
    }
}

async fn database_that_loses_a_row_is_left_empty(db: Db) {
    let folder = tempdir().expect("a folder");
    let source = sqlite_in(folder.path()).await;
    migrate(&source).await.expect("a schema");
    execute(&source, "INSERT INTO hosts (universal, spec) VALUES (TRUE, '{}')").await;
    let (_, bytes) = back_up(&source, with_secrets()).await;
    source.close().await;
    migrate(&db).await.expect("a schema");
    execute(&db, loses_hosts(db.engine())).await;
    let error = restore_bytes(&db, folder.path(), &bytes).await.expect_err("a host is missing").to_string();
    assert!(
        error.contains("the table hosts") && error.contains("with 1 rows") && error.contains("the database has 0 of"),
        "{error}"
    );
    assert_eq!(number(&db, "SELECT (SELECT COUNT(*) FROM hosts) + (SELECT COUNT(*) FROM admins)").await, 0);
}

async fn database_in_use_is_refused(db: Db) {
    let folder = tempdir().expect("a folder");
    let source = filled_in(folder.path()).await;
    let (_, bytes) = back_up(&source, with_secrets()).await;
    restore_bytes(&db, folder.path(), &bytes).await.expect("the first");
    let refused = restore_bytes(&db, folder.path(), &bytes).await.expect_err("the second").to_string();
    assert!(refused.contains("is not empty: it has 1 admin, 1 service, 3 users, 1 node"), "{refused}");
    source.close().await;
}

async fn database_with_a_newer_schema_is_refused(db: Db) {
    let folder = tempdir().expect("a folder");
    let source = sqlite_in(folder.path()).await;
    sarban::store::migrate::migrate_to(&source, LATEST - 1).await.expect("an older schema");
    let (manifest, bytes) = back_up(&source, CreateOptions::default()).await;
    assert_eq!(manifest.head.schema_version, LATEST - 1);
    // An empty database gets the schema of the back-up, and then the newest.
    let fresh = tempdir().expect("a folder");
    let target = sqlite_in(fresh.path()).await;
    restore_bytes(&target, fresh.path(), &bytes).await.expect("restored");
    assert_eq!(version(&target).await.expect("the version"), LATEST);
    target.close().await;

    migrate(&db).await.expect("the newest schema");
    let refused = restore_bytes(&db, folder.path(), &bytes).await.expect_err("refused").to_string();
    assert!(refused.contains(&format!("has schema version {LATEST} already")), "{refused}");
    source.close().await;
}
