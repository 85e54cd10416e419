//! Migrations run once, whoever comes first, and a program knows a database that is too new for it.

use sarban::store::migrate::{LATEST, MigrationError, migrate, pending};
use sarban::store::{Db, OpenOptions};
use tokio::runtime::Handle;
use tokio::task::JoinSet;

use crate::support::database::{execute, number, on_both_engines};

on_both_engines! {
    empty five_that_start_together_migrate_once,
    empty an_empty_database_waits_for_all,
    a_newer_schema_is_used_down_to_its_floor,
    a_schema_whose_floor_is_higher_is_refused,
}

const A_LATER_MIGRATION: &str = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
    SELECT version + 1, 'of a newer program', TRUE, checksum, 0 FROM _sqlx_migrations ORDER BY version DESC LIMIT 1";

async fn five_that_start_together_migrate_once(options: OpenOptions) {
    let mut starts = JoinSet::new();
    for _ in 0..5 {
        let options = options.clone();
        starts.spawn_blocking(move || Handle::current().block_on(start(&options)));
    }
    let mut applied = starts.join_all().await;
    applied.sort_unstable();
    assert_eq!(applied, [0, 0, 0, 0, usize::try_from(LATEST).unwrap()]);
    let db = Db::open(&options).await.unwrap();
    assert_eq!(number(&db, "SELECT COUNT(*) FROM _sqlx_migrations").await, LATEST);
    assert_eq!(number(&db, "SELECT epoch FROM scheduler_epoch").await, 0);
    db.close().await;
}

/// A start as in a process of its own: on pools of its own.
async fn start(options: &OpenOptions) -> usize {
    let db = Db::open(options).await.unwrap();
    let applied = migrate(&db).await.unwrap();
    db.close().await;
    applied
}

async fn an_empty_database_waits_for_all(db: Db) {
    assert_eq!(pending(&db).await.unwrap(), usize::try_from(LATEST).unwrap());
    migrate(&db).await.unwrap();
    assert_eq!(pending(&db).await.unwrap(), 0);
}

async fn a_newer_schema_is_used_down_to_its_floor(db: Db) {
    execute(&db, A_LATER_MIGRATION).await;
    assert_eq!(migrate(&db).await.unwrap(), 0);
    assert_eq!(number(&db, "SELECT MAX(version) FROM _sqlx_migrations").await, LATEST + 1);
}

async fn a_schema_whose_floor_is_higher_is_refused(db: Db) {
    execute(&db, A_LATER_MIGRATION).await;
    execute(&db, "UPDATE schema_floor SET minimum = (SELECT MAX(version) FROM _sqlx_migrations)").await;
    match migrate(&db).await {
        Err(MigrationError::TooNew { minimum }) => assert_eq!(minimum, LATEST + 1),
        other => panic!("{other:?}"),
    }
}
