//! Schema migrations: forward only, each applied once, by the first process that starts.
//!
//! All pending migrations run in one transaction that holds a transaction-scoped lock: an advisory lock on PostgreSQL
//! (a session lock would not survive pgbouncer), the write lock on SQLite. Hosts that start at the same time wait for
//! it.
//!
//! Older programs may keep running meanwhile. On PostgreSQL the tables that migrations change are therefore locked first,
//! in the usual lock order: locks taken in the order in which migrations touch tables would cause deadlocks. No lock is
//! waited for long, because all other sessions wait behind it (`table_locks`).

use std::time::Duration;

use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::{SqlSafeStr, query_scalar};
use tokio::time::{Instant, sleep};

use super::condition::Condition;
use super::db::{Db, Engine, Tx};
use super::error::StoreError;
use super::options::OpenOptions;
use super::retry::Transient;
use super::statement::{db_read, db_run, statements};
use super::table_locks;
pub use super::table_locks::{is_waiting, until_one_waits};
use crate::config::database_url::DatabaseUrl;
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
    "0018_engine_change_attempts",
    "0019_panel_address",
    "0020_setup_code",
    "0021_admin_session",
    "0022_audit",
    "0023_node_counts",
    "0024_api_token",
    "0025_admin_role",
    "0026_saved_views",
    "0027_second_factor",
    "0028_admin_quota",
    "0029_passkey",
    "0030_copy_change",
    "0031_edge",
    "0032_doubtful_users",
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
    /// The database has the old panel's tables.
    #[error(
        "the database of SQLALCHEMY_DATABASE_URL is Marzneshin's own: set SQLALCHEMY_DATABASE_URL to a new database, and \
         copy the old one into it with `sarban import`"
    )]
    OldPanel,
    /// A newer Sarban migrated the database and does not allow this version to use it.
    #[error(
        "the database requires schema version {minimum} or later, and this program has {LATEST}: update Sarban on this host"
    )]
    TooNew {
        /// Oldest schema version that the database allows.
        minimum: i64,
    },
}

impl MigrationError {
    /// Returns the state of the database that made the migration fail, if that is the reason.
    pub fn condition(&self) -> Option<Condition> {
        match self {
            Self::Store(error) => error.condition(),
            _ => None,
        }
    }
}

statements! {
    LOCK => pg "SELECT 1 FROM (SELECT pg_advisory_xact_lock(7310303451)) AS held", lite "SELECT 1";
    MINIMUM = "SELECT minimum FROM schema_floor WHERE id = 1";
    // Both tables, because other programs have a table of the first name, too.
    OLD_TABLES =>
        pg "SELECT CAST(COUNT(*) AS BIGINT) FROM (VALUES ('alembic_version'), ('users')) AS old (name)
            WHERE to_regclass(name) IS NOT NULL",
        lite "SELECT COUNT(*) FROM sqlite_master WHERE type = 'table' AND name IN ('alembic_version', 'users')";
    APPLIED = "SELECT CAST(COALESCE(MAX(version), 0) AS BIGINT) FROM _sqlx_migrations";
}

/// The first version that has all tables that are locked. Nothing runs on an older one.
const WITH_ALL_TABLES: i64 = 3;

/// Time for which a migration waits for other sessions before it fails, and the pause between two attempts.
const PATIENCE: Duration = Duration::from_secs(10 * 60);
const PAUSE: Duration = Duration::from_secs(1);

/// Applies all pending migrations. Returns their number.
pub async fn migrate(db: &Db) -> Result<usize, MigrationError> {
    migrate_to(db, LATEST).await
}

/// Applies the pending migrations up to a version, as an older program would.
pub async fn migrate_to(db: &Db, version: i64) -> Result<usize, MigrationError> {
    let until = Instant::now() + PATIENCE;
    loop {
        match attempt(db, version, until).await {
            Err(MigrationError::Store(error)) if error.is_transient() && Instant::now() < until => {
                tracing::warn!(
                    error = with_sources(&error),
                    "migrations are waiting for a table that another session uses"
                );
                sleep(PAUSE).await;
            }
            other => return other,
        }
    }
}

async fn attempt(db: &Db, version: i64, until: Instant) -> Result<usize, MigrationError> {
    let mut tx = begin_locked(db).await?;
    let migrator = migrator(db.engine(), version);
    let before = applied(&mut tx, &migrator).await?;
    if before > version {
        refuse_newer(&mut tx, version).await?;
        tx.rollback().await?;
        return Ok(0);
    }
    if tx.engine() == Engine::Postgres && (WITH_ALL_TABLES..version).contains(&before) {
        table_locks::lock(&mut tx, until).await?;
    }
    run(&mut tx, &migrator).await?;
    tx.commit().await?;
    Ok(usize::try_from(version - before).unwrap_or(0))
}

async fn run(tx: &mut Tx, migrator: &Migrator) -> Result<(), MigrationError> {
    match tx {
        Tx::Pg(tx) => migrator.run(tx.connection().map_err(of_driver)?).await,
        Tx::Lite { tx, .. } => migrator.run(&mut **tx).await,
    }
    .map_err(failed)
}

/// Fails if a newer program has set a minimum that this version does not reach.
async fn refuse_newer(tx: &mut Tx, version: i64) -> Result<(), MigrationError> {
    let minimum = db_run!(tx, MINIMUM, |sql, c| query_scalar::<_, i64>(sql).fetch_one(c).await)?;
    if minimum > version { Err(MigrationError::TooNew { minimum }) } else { Ok(()) }
}

/// Returns the number of pending migrations; for an empty database, of all.
pub async fn pending(db: &Db) -> Result<usize, MigrationError> {
    let mut tx = begin_locked(db).await?;
    let before = applied(&mut tx, &migrator(db.engine(), LATEST)).await?;
    if before > LATEST {
        refuse_newer(&mut tx, LATEST).await?;
    }
    tx.rollback().await?;
    Ok(usize::try_from(LATEST - before).unwrap_or(0))
}

/// Returns the newest applied version; 0 for an empty database.
pub async fn version(db: &Db) -> Result<i64, MigrationError> {
    let mut tx = begin_locked(db).await?;
    let version = applied(&mut tx, &migrator(db.engine(), LATEST)).await?;
    tx.rollback().await?;
    Ok(version)
}

/// Tries what [`migrate`] does and rolls it back: an empty database gets all migrations for a moment, and one in use is
/// only looked at, because its tables would be locked.
pub async fn rehearse(db: &Db) -> Result<(), MigrationError> {
    let mut tx = begin_locked(db).await?;
    let migrator = migrator(db.engine(), LATEST);
    match applied(&mut tx, &migrator).await? {
        0 => run(&mut tx, &migrator).await?,
        before if before > LATEST => refuse_newer(&mut tx, LATEST).await?,
        _ => {}
    }
    Ok(tx.rollback().await?)
}

/// Fails for a SQLite file of the old panel, before anything opens it for writing, which would change its journal mode.
/// Other faults of the file are left to the caller's own opening.
pub async fn refuse_old_panel(options: &OpenOptions) -> Result<(), MigrationError> {
    match &options.url {
        DatabaseUrl::Sqlite { path } if path.exists() => {}
        _ => return Ok(()),
    }
    let Ok(db) = Db::open(&OpenOptions { read_only: true, ..options.clone() }).await else { return Ok(()) };
    let migrated = is_current(&db).await.is_ok();
    let found = db_read!(&db, OLD_TABLES, |sql, c| query_scalar::<_, i64>(sql).fetch_one(c).await);
    db.close().await;
    if !migrated && matches!(found, Ok(2)) { Err(MigrationError::OldPanel) } else { Ok(()) }
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

/// Returns the newest applied version, after creating the table of versions if it is missing. Refuses a database of the
/// old panel.
async fn applied(tx: &mut Tx, migrator: &Migrator) -> Result<i64, MigrationError> {
    use sqlx::migrate::Migrate;
    match tx {
        Tx::Pg(tx) => tx.connection().map_err(of_driver)?.ensure_migrations_table(&migrator.table_name).await,
        Tx::Lite { tx, .. } => (**tx).ensure_migrations_table(&migrator.table_name).await,
    }
    .map_err(failed)?;
    let applied = db_run!(&mut *tx, APPLIED, |sql, c| query_scalar::<_, i64>(sql).fetch_one(c).await)?;
    if applied == 0 && db_run!(tx, OLD_TABLES, |sql, c| query_scalar::<_, i64>(sql).fetch_one(c).await)? == 2 {
        return Err(MigrationError::OldPanel);
    }
    Ok(applied)
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
