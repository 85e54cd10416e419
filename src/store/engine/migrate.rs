//! Schema migrations: forward only, each applied once, by the first process that starts.
//!
//! All pending migrations run in one transaction that holds a transaction-scoped lock: an advisory lock on PostgreSQL
//! (a session lock would not survive pgbouncer), the write lock on SQLite. Hosts that start at the same time wait for
//! it.
//!
//! Older programs may keep running meanwhile. On PostgreSQL the tables that migrations change are therefore locked first,
//! in the usual lock order: locks taken in the order in which migrations touch tables would cause deadlocks. No lock is
//! waited for longer than two seconds, because all other sessions wait behind it; then all is rolled back and tried again.

use std::time::Duration;

use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::{SqlSafeStr, query_scalar};
use tokio::time::sleep;

use super::db::{Db, Engine, Tx};
use super::error::StoreError;
use super::retry::Transient;
use super::statement::{db_execute, db_read, db_run, statements};
use crate::foundation::with_sources;

/// Version of this program's newest migration.
pub const LATEST: i64 = MIGRATIONS.len() as i64;

struct Text {
    name: &'static str,
    pg: &'static str,
    lite: &'static str,
}

macro_rules! migrations {
    ($($name:literal),* $(,)?) => { &[$(Text {
        name: $name,
        pg: include_str!(concat!("../../../migrations/postgres/", $name, ".sql")),
        lite: include_str!(concat!("../../../migrations/sqlite/", $name, ".sql")),
    }),*] };
}

/// All migrations in order, from version 1.
const MIGRATIONS: &[Text] = migrations![
    "0001_panel",
    "0002_usage",
    "0003_coordination",
    "0004_usage_queue",
    "0005_usage_days",
    "0006_large_panels",
    "0007_node_visits",
    "0008_outbox",
    "0009_member_tasks",
    "0010_traffic_rank",
    "0011_user_names",
    "0012_owner_index",
    "0013_absent_inbounds",
    "0014_engine_config",
    "0015_stuck_nodes",
    "0016_member_report",
    "0017_engine_change",
];

/// An error of a migration.
#[derive(Debug, thiserror::Error)]
pub enum MigrationError {
    /// A statement failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A migration failed and was rolled back.
    #[error("a migration failed and was rolled back")]
    Failed(#[source] MigrateError),
    /// A newer Sarban migrated the database and does not allow this version to use it.
    #[error(
        "the database requires schema version {minimum} or later, and this program has {LATEST}: update Sarban on this host"
    )]
    TooNew {
        /// Oldest schema version that the database allows.
        minimum: i64,
    },
}

statements! {
    LOCK => pg "SELECT 1 FROM (SELECT pg_advisory_xact_lock(7310303451)) AS held", lite "SELECT 1";
    // Statements of other sessions queue behind a waiting lock, so the wait is short.
    SHORT_LOCK_TIMEOUT => pg "SET LOCAL lock_timeout = 2000", lite "SELECT 1";
    LOCK_TABLES =>
        pg "LOCK TABLE users, user_traffic, nodes, inbounds, cluster_member IN ACCESS EXCLUSIVE MODE",
        lite "SELECT 1";
    MINIMUM = "SELECT minimum FROM schema_floor WHERE id = 1";
    APPLIED = "SELECT CAST(COALESCE(MAX(version), 0) AS BIGINT) FROM _sqlx_migrations";
}

/// The first version that has all tables of `LOCK_TABLES`. Nothing runs on an older one.
const WITH_ALL_TABLES: i64 = 3;

/// Attempts to lock the tables, and the pause in between, in which other sessions proceed.
const ATTEMPTS: usize = 20;
const PAUSE: Duration = Duration::from_secs(1);

/// Applies all pending migrations. Returns their number.
pub async fn migrate(db: &Db) -> Result<usize, MigrationError> {
    migrate_to(db, LATEST).await
}

/// Applies the pending migrations up to a version, as an older program would.
pub async fn migrate_to(db: &Db, version: i64) -> Result<usize, MigrationError> {
    let mut attempts = 1..ATTEMPTS;
    loop {
        match attempt(db, version).await {
            Err(MigrationError::Store(error)) if error.is_transient() && attempts.next().is_some() => {
                tracing::warn!(
                    error = with_sources(&error),
                    "migrations are waiting for table locks that other sessions hold"
                );
                sleep(PAUSE).await;
            }
            other => return other,
        }
    }
}

async fn attempt(db: &Db, version: i64) -> Result<usize, MigrationError> {
    let mut tx = begin_locked(db).await?;
    let migrator = migrator(db.engine(), version);
    let before = applied(&mut tx, &migrator).await?;
    if before > version {
        let minimum = db_run!(&mut tx, MINIMUM, |sql, c| query_scalar::<_, i64>(sql).fetch_one(c).await)?;
        tx.rollback().await?;
        return if minimum > version { Err(MigrationError::TooNew { minimum }) } else { Ok(0) };
    }
    if tx.engine() == Engine::Postgres && (WITH_ALL_TABLES..version).contains(&before) {
        for statement in [SHORT_LOCK_TIMEOUT, LOCK_TABLES] {
            db_execute!(&mut tx, statement)?;
        }
    }
    match &mut tx {
        Tx::Pg(tx) => migrator.run(tx.connection().map_err(of_driver)?).await,
        Tx::Lite { tx, .. } => migrator.run(&mut **tx).await,
    }
    .map_err(failed)?;
    tx.commit().await?;
    Ok(usize::try_from(version - before).unwrap_or(0))
}

/// Returns the number of pending migrations; for an empty database, of all.
pub async fn pending(db: &Db) -> Result<usize, MigrationError> {
    let mut tx = begin_locked(db).await?;
    let before = applied(&mut tx, &migrator(db.engine(), LATEST)).await?;
    tx.rollback().await?;
    Ok(usize::try_from(LATEST - before).unwrap_or(0))
}

/// True if no migration is pending. Only reads, so that it works on a read-only database.
pub async fn is_current(db: &Db) -> Result<bool, StoreError> {
    Ok(db_read!(db, APPLIED, |sql, c| query_scalar::<_, i64>(sql).fetch_one(c).await)? >= LATEST)
}

async fn begin_locked(db: &Db) -> Result<Tx, StoreError> {
    let mut tx = db.begin_bulk().await?;
    db_run!(&mut tx, LOCK, |sql, c| query_scalar::<_, i32>(sql).fetch_one(c).await)?;
    Ok(tx)
}

/// Returns the newest applied version, after creating the table of versions if it is missing.
async fn applied(tx: &mut Tx, migrator: &Migrator) -> Result<i64, MigrationError> {
    use sqlx::migrate::Migrate;
    match tx {
        Tx::Pg(tx) => tx.connection().map_err(of_driver)?.ensure_migrations_table(&migrator.table_name).await,
        Tx::Lite { tx, .. } => (**tx).ensure_migrations_table(&migrator.table_name).await,
    }
    .map_err(MigrationError::Failed)?;
    Ok(db_run!(tx, APPLIED, |sql, c| query_scalar::<_, i64>(sql).fetch_one(c).await)?)
}

/// The error of a migration: one that meets another session's lock can be repeated.
fn failed(error: MigrateError) -> MigrationError {
    match error {
        MigrateError::Execute(source) | MigrateError::ExecuteMigration(source, _) => {
            StoreError::new("a migration, which was rolled back,", source).into()
        }
        other => MigrationError::Failed(other),
    }
}

fn of_driver(source: sqlx::Error) -> MigrationError {
    StoreError::new("migrating", source).into()
}

fn migrator(engine: Engine, up_to: i64) -> Migrator {
    let migrations = MIGRATIONS.iter().zip(1..=up_to).map(|(text, version)| {
        let sql = match engine {
            Engine::Postgres => text.pg,
            Engine::Sqlite => text.lite,
        };
        // All migrations share one transaction; on SQLite each has a savepoint in it.
        let without_own = engine == Engine::Postgres;
        Migration::new(version, text.name.into(), MigrationType::Simple, sql.into_sql_str(), without_own)
    });
    let mut migrator = Migrator::with_migrations(migrations.collect());
    // This module holds a lock already, and a newer program may have applied migrations unknown here.
    migrator.set_locking(false).set_ignore_missing(true);
    migrator
}
