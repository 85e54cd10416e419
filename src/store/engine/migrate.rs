//! Brings the schema up to date: forward only, once, whoever comes first.
//!
//! All pending migrations run in one transaction that holds a lock of that transaction: on PostgreSQL an advisory
//! one (a session lock would not survive pgbouncer), on SQLite the write lock. Hosts that start together wait there.
//!
//! Older programs may go on beside it. So on PostgreSQL the tables that everybody uses are locked first, in the order in
//! which everybody does: whoever locked them as migrations happen to touch them would stand in the others' way.

use std::time::Duration;

use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::{SqlSafeStr, query_scalar};
use tokio::time::sleep;

use super::db::{Db, Engine, Tx};
use super::error::StoreError;
use super::retry::Transient;
use super::statement::{db_execute, db_read, db_run, statements};
use crate::foundation::with_sources;

/// The newest migration of this program.
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

/// In order; the first has version 1.
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
];

/// Why a migration failed.
#[derive(Debug, thiserror::Error)]
pub enum MigrationError {
    /// The database could not be asked.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A migration did not run; nothing of it is left behind.
    #[error("a migration failed; the schema is as it was")]
    Failed(#[source] MigrateError),
    /// The database was migrated by a newer Sarban that does not allow older ones beside it.
    #[error(
        "the database needs Sarban with schema {minimum} or later, and this program knows {LATEST}: update this program"
    )]
    TooNew {
        /// The oldest schema that may still be used.
        minimum: i64,
    },
}

statements! {
    LOCK => pg "SELECT 1 FROM (SELECT pg_advisory_xact_lock(7310303451)) AS held", lite "SELECT 1";
    // While it waits for somebody's long transaction, all others wait behind it.
    NOT_LONG => pg "SET LOCAL lock_timeout = 2000", lite "SELECT 1";
    HOLD => pg "LOCK TABLE users, user_traffic IN ACCESS EXCLUSIVE MODE", lite "SELECT 1";
    FOR_LONG => pg "SET LOCAL lock_timeout TO DEFAULT", lite "SELECT 1";
    MINIMUM = "SELECT minimum FROM schema_floor WHERE id = 1";
    APPLIED = "SELECT CAST(COALESCE(MAX(version), 0) AS BIGINT) FROM _sqlx_migrations";
}

/// How often the tables are asked for, and how long others go first in between.
const ATTEMPTS: usize = 20;
const PAUSE: Duration = Duration::from_secs(1);

/// Applies what is pending. Returns how many migrations that were.
pub async fn migrate(db: &Db) -> Result<usize, MigrationError> {
    migrate_to(db, LATEST).await
}

/// Applies what is pending up to that version: what an older program would have done.
pub async fn migrate_to(db: &Db, version: i64) -> Result<usize, MigrationError> {
    let mut attempts = 1..ATTEMPTS;
    loop {
        match attempt(db, version).await {
            Err(MigrationError::Store(error)) if error.is_transient() && attempts.next().is_some() => {
                tracing::warn!(error = with_sources(&error), "migrations wait for others who use the tables");
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
    if tx.engine() == Engine::Postgres && (1..version).contains(&before) {
        for statement in [NOT_LONG, HOLD, FOR_LONG] {
            db_execute!(&mut tx, statement)?;
        }
    }
    match &mut tx {
        Tx::Pg(tx) => migrator.run(&mut **tx).await,
        Tx::Lite { tx, .. } => migrator.run(&mut **tx).await,
    }
    .map_err(MigrationError::Failed)?;
    tx.commit().await?;
    Ok(usize::try_from(version - before).unwrap_or(0))
}

/// How many migrations wait to be applied; an empty database waits for all.
pub async fn pending(db: &Db) -> Result<usize, MigrationError> {
    let mut tx = begin_locked(db).await?;
    let before = applied(&mut tx, &migrator(db.engine(), LATEST)).await?;
    tx.rollback().await?;
    Ok(usize::try_from(LATEST - before).unwrap_or(0))
}

/// Whether nothing is pending, found out by reading alone: for a database that may not be written to.
pub async fn is_current(db: &Db) -> Result<bool, StoreError> {
    Ok(db_read!(db, APPLIED, |sql, c| query_scalar::<_, i64>(sql).fetch_one(c).await)? >= LATEST)
}

async fn begin_locked(db: &Db) -> Result<Tx, StoreError> {
    let mut tx = db.begin().await?;
    db_run!(&mut tx, LOCK, |sql, c| query_scalar::<_, i32>(sql).fetch_one(c).await)?;
    Ok(tx)
}

/// The newest version that the database has, after making the table of versions where there is none.
async fn applied(tx: &mut Tx, migrator: &Migrator) -> Result<i64, MigrationError> {
    use sqlx::migrate::Migrate;
    match tx {
        Tx::Pg(tx) => (**tx).ensure_migrations_table(&migrator.table_name).await,
        Tx::Lite { tx, .. } => (**tx).ensure_migrations_table(&migrator.table_name).await,
    }
    .map_err(MigrationError::Failed)?;
    Ok(db_run!(tx, APPLIED, |sql, c| query_scalar::<_, i64>(sql).fetch_one(c).await)?)
}

fn migrator(engine: Engine, up_to: i64) -> Migrator {
    let migrations = MIGRATIONS.iter().zip(1..=up_to).map(|(text, version)| {
        let sql = match engine {
            Engine::Postgres => text.pg,
            Engine::Sqlite => text.lite,
        };
        Migration::new(version, text.name.into(), MigrationType::Simple, sql.into_sql_str(), false)
    });
    let mut migrator = Migrator::with_migrations(migrations.collect());
    // We hold a lock of our own, and a newer program may have been here.
    migrator.set_locking(false).set_ignore_missing(true);
    migrator
}
