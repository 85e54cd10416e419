//! Migrations: applied once by concurrent starts, and a database that is too new is detected.

use std::time::Duration;

use sarban::domain::moment::Moment;
use sarban::store::migrate::{LATEST, MigrationError, is_waiting, migrate, migrate_to, pending};
use sarban::store::users::list::{Names, UserFilter, count};
use sarban::store::{Db, Engine, OpenOptions, StoreError, Tx};
use sqlx::{query_scalar, raw_sql};
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::support::database::{Content, TestDatabase, execute, number, on_both_engines, with_database};

on_both_engines! {
    empty five_concurrent_starts_migrate_once,
    empty empty_database_has_all_migrations_pending,
    empty older_program_keeps_working_during_a_migration,
    newer_schema_is_accepted_down_to_its_floor,
    newer_schema_with_a_higher_floor_is_refused,
}

const A_LATER_MIGRATION: &str = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
    SELECT version + 1, 'of a newer program', TRUE, checksum, 0 FROM _sqlx_migrations ORDER BY version DESC LIMIT 1";

async fn five_concurrent_starts_migrate_once(options: OpenOptions) {
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

/// Starts as a process of its own would, with its own pools.
async fn start(options: &OpenOptions) -> usize {
    let db = Db::open(options).await.unwrap();
    let applied = migrate(&db).await.unwrap();
    db.close().await;
    applied
}

async fn empty_database_has_all_migrations_pending(db: Db) {
    assert_eq!(pending(&db).await.unwrap(), usize::try_from(LATEST).unwrap());
    migrate(&db).await.unwrap();
    assert_eq!(pending(&db).await.unwrap(), 0);
}

/// From a schema whose next migrations touch traffic before users, with users, one removed, and a writer with the usual
/// lock order: users, then their traffic.
async fn older_program_keeps_working_during_a_migration(options: OpenOptions) {
    let old = Db::open(&options).await.unwrap();
    assert_eq!(migrate_to(&old, 9).await.unwrap(), 9);
    execute(
        &old,
        "INSERT INTO users (id, username, key, removed, expire_strategy, created_at) VALUES
            (1, 'ann', 'k1', FALSE, 'never', 0), (2, 'joanna', 'k2', FALSE, 'never', 0), (3, NULL, 'k3', TRUE, 'never', 0);
         INSERT INTO user_traffic (user_id, used_traffic, created_at) SELECT id, id * 10, 0 FROM users",
    )
    .await;
    let mut tx = old.begin().await.unwrap();
    on(&mut tx, "UPDATE users SET note = 'first' WHERE id = 1").await;
    let upgrade = tokio::task::spawn_blocking(move || Handle::current().block_on(start(&options)));
    // The migration is waiting now: the next statement must not conflict with it.
    sleep(Duration::from_millis(300)).await;
    on(&mut tx, "UPDATE user_traffic SET used_traffic = used_traffic + 1 WHERE user_id = 1").await;
    on(&mut tx, "UPDATE users SET username = 'anne' WHERE id = 1").await;
    tx.commit().await.unwrap();
    assert_eq!(i64::try_from(upgrade.await.unwrap()).unwrap(), LATEST - 9);
    execute(&old, "UPDATE users SET username = 'joan' WHERE id = 2").await;
    let found = |text: &str| UserFilter { names: Names::Containing(text.to_owned()), ..UserFilter::default() };
    for (text, expected) in [("ann", 1), ("joa", 1), ("anna", 0), ("an", 2)] {
        assert_eq!(count(&old, &found(text), Moment::from_micros(0)).await.unwrap(), expected, "{text}");
    }
    assert_eq!(number(&old, "SELECT CAST(SUM(used_traffic) AS BIGINT) FROM user_traffic").await, 61);
    old.close().await;
}

/// An older program that is in the middle of a full sync keeps a node locked, longer than the migration waits at a time.
#[test]
fn other_sessions_proceed_while_a_migration_waits() {
    with_database(Engine::Postgres, Content::Empty, async |TestDatabase { options, .. }| {
        a_node_is_locked(options).await;
    });
}

async fn a_node_is_locked(options: OpenOptions) {
    let old = Db::open(&options).await.unwrap();
    assert_eq!(migrate_to(&old, 12).await.unwrap(), 12);
    execute(
        &old,
        "INSERT INTO nodes (name, address, port, status, connection_backend, usage_coefficient, created_at) VALUES
        ('one', '127.0.0.1', 1, 'disabled', 'grpclib', 1, 0)",
    )
    .await;
    let mut tx = old.begin().await.unwrap();
    on(&mut tx, "UPDATE nodes SET message = 'syncing'").await;
    let upgrade = tokio::task::spawn_blocking(move || Handle::current().block_on(start(&options)));
    for _ in 0..4 {
        sleep(Duration::from_secs(1)).await;
        let read = timeout(Duration::from_secs(3), number(&old, "SELECT COUNT(*) FROM users")).await;
        assert_eq!(read.expect("other sessions proceed"), 0);
        assert!(!upgrade.is_finished(), "the node is locked");
    }
    tx.commit().await.unwrap();
    assert_eq!(i64::try_from(upgrade.await.unwrap()).unwrap(), LATEST - 12);
    old.close().await;
}

/// A back-up, or a dump, reads tables in one transaction for as long as it takes.
#[test]
fn migration_asks_for_no_lock_while_a_long_transaction_reads() {
    with_database(Engine::Postgres, Content::Empty, async |TestDatabase { options, .. }| {
        tables_are_read_for_long(options).await;
    });
}

async fn tables_are_read_for_long(options: OpenOptions) {
    const ASKED: &str = "SELECT COUNT(*) FROM pg_locks l JOIN pg_class t ON t.oid = l.relation
        WHERE t.relname = 'users' AND l.mode = 'AccessExclusiveLock'";
    let old = Db::open(&options).await.unwrap();
    assert_eq!(migrate_to(&old, 12).await.unwrap(), 12);
    let mut snapshot = old.begin_snapshot().await.unwrap();
    on(&mut snapshot, "SELECT COUNT(*) FROM users").await;
    let upgrade = tokio::task::spawn_blocking(move || Handle::current().block_on(start(&options)));
    // It tries once, for a moment; then it sees who is in the way. A pause between two attempts is shorter than two seconds.
    let (until, mut quiet) = (Instant::now() + Duration::from_secs(60), Instant::now());
    while !is_waiting(&old).await.unwrap() || quiet.elapsed() < Duration::from_secs(2) {
        assert!(Instant::now() < until, "it asks again and again");
        sleep(Duration::from_millis(20)).await;
        if number(&old, ASKED).await > 0 || !is_waiting(&old).await.unwrap() {
            quiet = Instant::now();
        }
    }
    assert!(!upgrade.is_finished(), "the tables are read");
    snapshot.rollback().await.unwrap();
    assert_eq!(i64::try_from(upgrade.await.unwrap()).unwrap(), LATEST - 12);
    assert!(!is_waiting(&old).await.unwrap());
    old.close().await;
}

/// Managed servers end each statement after a minute or two.
#[test]
fn long_work_has_no_time_limit_of_the_server() {
    with_database(Engine::Postgres, Content::Schema, async |TestDatabase { db, options }| {
        let limit =
            "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET statement_timeout = 60000', current_database()); END $$";
        execute(&db, limit).await;
        let limited = Db::open(&options).await.unwrap();
        let mut short = limited.begin().await.unwrap();
        let (mut bulk, mut snapshot) = (limited.begin_bulk().await.unwrap(), limited.begin_snapshot().await.unwrap());
        assert_eq!((time_limit(&mut bulk).await, time_limit(&mut snapshot).await), ("0".to_owned(), "0".to_owned()));
        let long =
            limited.transaction("delete service", async |tx| -> Result<_, StoreError> { Ok(time_limit(tx).await) });
        assert_eq!(long.await.unwrap(), "0");
        assert_eq!(time_limit(&mut short).await, "1min", "the limit holds for others");
        drop((bulk, snapshot, short));
        limited.close().await;
    });
}

/// The server's time limit of each further statement.
async fn time_limit(tx: &mut Tx) -> String {
    let Tx::Pg(tx) = tx else { panic!("a transaction of PostgreSQL") };
    query_scalar("SHOW statement_timeout").fetch_one(tx.connection().expect("a connection")).await.unwrap()
}

async fn on(tx: &mut Tx, sql: &'static str) {
    match tx {
        Tx::Pg(tx) => raw_sql(sql).execute(tx.connection().expect("a connection")).await.map(drop),
        Tx::Lite { tx, .. } => raw_sql(sql).execute(&mut **tx).await.map(drop),
    }
    .unwrap();
}

async fn newer_schema_is_accepted_down_to_its_floor(db: Db) {
    execute(&db, A_LATER_MIGRATION).await;
    assert_eq!(migrate(&db).await.unwrap(), 0);
    assert_eq!(number(&db, "SELECT MAX(version) FROM _sqlx_migrations").await, LATEST + 1);
}

async fn newer_schema_with_a_higher_floor_is_refused(db: Db) {
    execute(&db, A_LATER_MIGRATION).await;
    execute(&db, "UPDATE schema_floor SET minimum = (SELECT MAX(version) FROM _sqlx_migrations)").await;
    match migrate(&db).await {
        Err(MigrationError::TooNew { minimum }) => assert_eq!(minimum, LATEST + 1),
        other => panic!("{other:?}"),
    }
}
