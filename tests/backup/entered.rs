//! A restore is entered in the audit log together with what it restores, whatever the schema of the back-up.

use std::io::Cursor;
use std::path::Path;

use sarban::backup::{AuditNote, BackupError, Identities, Manifest, Target, restore};
use sarban::domain::moment::Moment;
use sarban::store::audit::entries::SINCE;
use sarban::store::migrate::{LATEST, migrate, migrate_to};
use sarban::store::{Db, Engine};
use tempfile::tempdir;

use super::filled::filled_in;
use super::{back_up, sqlite_in, with_secrets};
use crate::support::database::{execute, number, on_both_engines};

on_both_engines!(
    empty restore_is_entered_or_nothing_is_restored,
    empty restore_of_an_older_schema_is_entered,
    empty failed_migration_after_a_restore_says_that_it_is_restored,
);

/// Entries of restores, all of which name the file.
const ENTERED: &str =
    "SELECT COUNT(*) FROM audit_entry WHERE actor = 'command' AND action = 'database.restore' AND at = 5
    AND after_change LIKE '%\"file\":\"a.backup\"%' AND id = (SELECT MAX(id) FROM audit_entry)";

async fn restore_noted(db: &Db, folder: &Path, bytes: &[u8]) -> Result<Manifest, BackupError> {
    let note = Some(AuditNote { file: "a.backup".to_owned(), now: Moment::from_micros(5) });
    let target = Target { db: db.clone(), direct: db.clone(), data_dir: folder.to_owned(), note };
    restore(&target, Cursor::new(bytes.to_vec()), Identities::default()).await.map(|restored| restored.manifest)
}

/// Refuses entries of restores.
const fn refuses_entries(engine: Engine) -> &'static str {
    match engine {
        Engine::Sqlite => {
            "CREATE TRIGGER refuse BEFORE INSERT ON audit_entry WHEN NEW.action = 'database.restore'
             BEGIN SELECT RAISE(ABORT, 'refused'); END"
        }
        Engine::Postgres => {
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''refused''; END';
             CREATE TRIGGER refuse BEFORE INSERT ON audit_entry FOR EACH ROW WHEN (NEW.action = 'database.restore')
                 EXECUTE FUNCTION refuse()"
        }
    }
}

async fn restore_is_entered_or_nothing_is_restored(db: Db) {
    let folder = tempdir().expect("a folder");
    let source = filled_in(folder.path()).await;
    let (_, bytes) = back_up(&source, with_secrets()).await;
    source.close().await;

    migrate(&db).await.expect("a schema");
    execute(&db, refuses_entries(db.engine())).await;
    let error = restore_noted(&db, folder.path(), &bytes).await.expect_err("it can't be entered").to_string();
    assert_eq!(error, "could not enter the restore in the audit log");
    assert_eq!(number(&db, "SELECT (SELECT COUNT(*) FROM users) + (SELECT COUNT(*) FROM audit_entry)").await, 0);

    let drop = match db.engine() {
        Engine::Sqlite => "DROP TRIGGER refuse",
        Engine::Postgres => "DROP TRIGGER refuse ON audit_entry",
    };
    execute(&db, drop).await;
    restore_noted(&db, folder.path(), &bytes).await.expect("restored");
    assert_eq!(number(&db, "SELECT COUNT(*) FROM users").await, 3);
    assert_eq!(number(&db, ENTERED).await, 1, "behind the restored entries");
}

async fn restore_of_an_older_schema_is_entered(db: Db) {
    let mut targets = vec![db];
    for version in [SINCE, SINCE - 1, LATEST - 1] {
        let folder = tempdir().expect("a folder");
        let source = sqlite_in(folder.path()).await;
        migrate_to(&source, version).await.expect("an older schema");
        let (_, bytes) = back_up(&source, with_secrets()).await;
        source.close().await;
        let fresh = tempdir().expect("a folder");
        let target = match targets.pop() {
            Some(target) => target,
            None => sqlite_in(fresh.path()).await,
        };
        restore_noted(&target, fresh.path(), &bytes).await.expect("restored");
        assert_eq!(number(&target, ENTERED).await, 1, "version {version}");
        target.close().await;
    }
}

async fn failed_migration_after_a_restore_says_that_it_is_restored(db: Db) {
    let folder = tempdir().expect("a folder");
    let source = sqlite_in(folder.path()).await;
    migrate_to(&source, SINCE).await.expect("an older schema");
    let (_, bytes) = back_up(&source, with_secrets()).await;
    source.close().await;
    // What a later migration creates is there already.
    execute(&db, "CREATE TABLE edge (id BIGINT)").await;
    let error = restore_noted(&db, folder.path(), &bytes).await.expect_err("a migration fails").to_string();
    assert!(error.starts_with("the back-up is restored, but"), "{error}");
    assert_eq!(number(&db, ENTERED).await, 1);
}
