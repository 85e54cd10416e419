//! The pools and transactions of the two engines.

use std::path::Path;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Sqlite, SqlitePool, Transaction};
use tokio::time::{Instant, sleep};

use super::condition::{Condition, LastCondition};
use super::error::StoreError;
use super::postgres::{Pg, PgTx};
use super::retry::Transient;
use super::sqlite_readers::Readers;
use super::sqlite_write_lock::{WriteGuard, WriteLock};
use crate::config::database_url::DatabaseUrl;

/// A database on one of the two engines, with the same functions for both. Cheap to clone.
#[derive(Clone, Debug)]
pub enum Db {
    /// PostgreSQL, with one pool.
    Pg(Pg),
    /// SQLite, with a pool of readers and one writer.
    Lite(Lite),
}

/// The database engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// PostgreSQL.
    Postgres,
    /// SQLite.
    Sqlite,
}

/// SQLite's two pools and the lock of its writers.
#[derive(Clone, Debug)]
pub struct Lite {
    pub(in crate::store) read: Readers,
    pub(in crate::store) write: SqlitePool,
    write_lock: WriteLock,
    busy_timeout: Duration,
    pub(in crate::store) condition: LastCondition,
}

/// An open transaction; it is rolled back when it is dropped without `commit`.
#[derive(Debug)]
pub enum Tx {
    /// PostgreSQL, READ COMMITTED.
    Pg(PgTx),
    /// SQLite, BEGIN IMMEDIATE. Fields are dropped in this order: the transaction, then the write lock.
    Lite {
        /// The transaction.
        tx: Transaction<'static, Sqlite>,
        /// The write lock of this process.
        guard: WriteGuard,
        /// Where conditions that statements meet are recorded.
        condition: LastCondition,
    },
}

/// Options for opening a database.
#[derive(Clone, Debug)]
pub struct OpenOptions {
    /// Address of the database.
    pub url: DatabaseUrl,
    /// Maximum number of connections; on SQLite, of readers besides the one writer.
    pub connections: u32,
    /// Prepared statements cached per connection; 0 behind pgbouncer.
    pub statement_cache: usize,
    /// Name in PostgreSQL's `pg_stat_activity`.
    pub application_name: String,
    /// Maximum wait for a free connection.
    pub acquire_timeout: Duration,
    /// Maximum wait of a writer for another process that writes to the same SQLite file.
    pub busy_timeout: Duration,
    /// Makes the database refuse every write, for a read-only panel.
    pub read_only: bool,
}

/// SQLite's own wait for another process that writes. It blocks a thread, can't be cancelled and polls ever more
/// rarely, so it is kept short and repeated by `begin`.
const BUSY: Duration = Duration::from_millis(20);
/// Pause between two attempts to begin.
const BUSY_PAUSE: Duration = Duration::from_millis(3);

impl Db {
    /// Opens the pools and makes one connection, so that a wrong address fails at once. Creates a missing SQLite file.
    pub async fn open(options: &OpenOptions) -> Result<Self, StoreError> {
        Self::open_with(options, WriteLock::default()).await
    }

    /// Opens a second set of pools on the same database. On SQLite both share one write lock.
    pub async fn open_sibling(&self, options: &OpenOptions) -> Result<Self, StoreError> {
        match self {
            Self::Pg(_) => Self::open(options).await,
            Self::Lite(lite) => Self::open_with(options, lite.write_lock.clone()).await,
        }
    }

    async fn open_with(options: &OpenOptions, write_lock: WriteLock) -> Result<Self, StoreError> {
        match &options.url {
            DatabaseUrl::Postgres { url } => open_postgres(url.expose(), options).await.map(Self::Pg),
            DatabaseUrl::Sqlite { path } => {
                if options.read_only {
                    return open_sqlite_read_only(path, options, write_lock).await;
                }
                let connect = SqliteConnectOptions::new()
                    .filename(path)
                    .create_if_missing(true)
                    .journal_mode(SqliteJournalMode::Wal)
                    .synchronous(SqliteSynchronous::Normal)
                    .foreign_keys(true)
                    .busy_timeout(BUSY)
                    .statement_cache_capacity(options.statement_cache.max(1))
                    .pragma("cache_size", "-16000")
                    .optimize_on_close(true, None);
                // The writer goes first, because it creates the file and switches it to WAL.
                let write = repeat_while_busy(options, || writer(options).connect_with(connect.clone())).await?;
                // Each reader has its own page cache: 1 MB holds the upper levels of the B-trees that requests use, and
                // the kernel caches the rest. 2 MB made only reads deep inside a table faster.
                let reader = connect.read_only(true).busy_timeout(options.busy_timeout).pragma("cache_size", "-1000");
                let read = repeat_while_busy(options, || readers(options, &reader)).await?;
                let condition = LastCondition::default();
                Ok(Self::Lite(Lite { read, write, write_lock, busy_timeout: options.busy_timeout, condition }))
            }
        }
    }

    /// Returns the engine.
    pub const fn engine(&self) -> Engine {
        match self {
            Self::Pg(_) => Engine::Postgres,
            Self::Lite(_) => Engine::Sqlite,
        }
    }

    /// Begins a transaction that may write. On SQLite it waits for the write lock: keep the transaction short (250 ms
    /// at most), without network I/O. Most callers want [`Db::transaction`].
    pub async fn begin(&self) -> Result<Tx, StoreError> {
        match self {
            Self::Pg(pool) => pool.begin().await.map(Tx::Pg).map_err(|source| self.failed("BEGIN", source)),
            Self::Lite(lite) => {
                let until = Instant::now() + lite.busy_timeout;
                let mut head = lite.write_lock.queue().await;
                loop {
                    match begin_sqlite(lite, head.acquire().await).await {
                        // The write lock has been released, so the lease does not wait behind this writer.
                        Err((busy, guard)) if busy.is_transient() && Instant::now() < until => head = guard.release(),
                        other => return other.map_err(|(error, _)| self.record(error)),
                    }
                    sleep(BUSY_PAUSE).await;
                }
            }
        }
    }

    /// Begins a transaction of the lease, ahead of every other writer of this process, without a time limit of its own.
    /// On PostgreSQL every statement in it has a short time-out.
    pub async fn begin_first(&self) -> Result<Tx, StoreError> {
        match self {
            Self::Pg(pool) => {
                let begun = pool.begin_with(BEGIN_FOR_LEASE).await;
                begun.map(Tx::Pg).map_err(|source| self.failed("BEGIN", source))
            }
            Self::Lite(lite) => loop {
                match begin_sqlite(lite, lite.write_lock.acquire_first().await).await {
                    Err((busy, _)) if busy.is_transient() => sleep(BUSY_PAUSE).await,
                    other => return other.map_err(|(error, _)| self.record(error)),
                }
            },
        }
    }

    /// Returns the state in which the database can't be used, as the last probe or write found it; `None` if it can.
    /// Cheap. Without probes ([`Db::probe`]) only what writes met is known.
    pub fn condition(&self) -> Option<Condition> {
        self.last_condition().get()
    }

    pub(super) const fn last_condition(&self) -> &LastCondition {
        match self {
            Self::Pg(pool) => pool.condition(),
            Self::Lite(lite) => &lite.condition,
        }
    }

    /// The error of a statement outside a transaction.
    pub(in crate::store) fn failed(&self, operation: &'static str, source: sqlx::Error) -> StoreError {
        self.record(StoreError::new(operation, source))
    }

    fn record(&self, error: StoreError) -> StoreError {
        record(self.last_condition(), error)
    }

    /// Closes all connections when their current statements are done.
    pub async fn close(&self) {
        match self {
            Self::Pg(pool) => pool.close().await,
            Self::Lite(lite) => {
                lite.read.close().await;
                lite.write.close().await;
            }
        }
    }
}

impl Tx {
    /// Commits. After an error the commit may have happened or not: [`StoreError::outcome_is_unknown`].
    pub async fn commit(self) -> Result<(), StoreError> {
        let condition = self.last_condition().clone();
        match self {
            Self::Pg(tx) => tx.commit().await,
            Self::Lite { tx, guard, .. } => {
                let done = tx.commit().await;
                drop(guard);
                done
            }
        }
        .map_err(|source| record(&condition, StoreError::of_commit(source)))
    }

    /// Rolls back, and waits for it.
    pub async fn rollback(self) -> Result<(), StoreError> {
        match self {
            Self::Pg(tx) => tx.rollback().await,
            Self::Lite { tx, guard, .. } => {
                let done = tx.rollback().await;
                drop(guard);
                done
            }
        }
        .map_err(|source| StoreError::new("ROLLBACK", source))
    }

    /// The error of a statement in this transaction.
    pub(in crate::store) fn failed(&self, operation: &'static str, source: sqlx::Error) -> StoreError {
        record(self.last_condition(), StoreError::new(operation, source))
    }

    const fn last_condition(&self) -> &LastCondition {
        match self {
            Self::Pg(tx) => tx.condition(),
            Self::Lite { condition, .. } => condition,
        }
    }

    /// Returns the engine.
    pub const fn engine(&self) -> Engine {
        match self {
            Self::Pg(_) => Engine::Postgres,
            Self::Lite { .. } => Engine::Sqlite,
        }
    }
}

fn record(last: &LastCondition, error: StoreError) -> StoreError {
    if let Some(condition) = error.condition() {
        last.record(condition);
    }
    error
}

/// All in one message, because each round trip costs milliseconds on a busy machine. The last setting: a host that
/// vanishes between two statements must not keep the lease's row locked.
const BEGIN_FOR_LEASE: &str = "BEGIN; SET LOCAL lock_timeout = 1000; SET LOCAL statement_timeout = 2000;
    SET LOCAL idle_in_transaction_session_timeout = 1000";

async fn begin_sqlite(lite: &Lite, guard: WriteGuard) -> Result<Tx, (StoreError, WriteGuard)> {
    match lite.write.begin_with("BEGIN IMMEDIATE").await {
        Ok(tx) => Ok(Tx::Lite { tx, guard, condition: lite.condition.clone() }),
        Err(source) => Err((StoreError::new("BEGIN IMMEDIATE", source), guard)),
    }
}

/// Opens the file, and repeats it while the file is busy: the last process to close a database locks it during its
/// clean-up.
async fn repeat_while_busy<T, F: Future<Output = sqlx::Result<T>>>(
    options: &OpenOptions,
    open: impl Fn() -> F,
) -> Result<T, StoreError> {
    let until = Instant::now() + options.busy_timeout;
    loop {
        match open().await.map_err(|source| StoreError::new("opening the SQLite database", source)) {
            Err(busy) if busy.is_transient() && Instant::now() < until => sleep(BUSY_PAUSE).await,
            other => return other,
        }
    }
}

fn writer(options: &OpenOptions) -> SqlitePoolOptions {
    // A connection to a file does not break while it is idle.
    SqlitePoolOptions::new().max_connections(1).acquire_timeout(options.acquire_timeout).test_before_acquire(false)
}

fn readers(options: &OpenOptions, connect: &SqliteConnectOptions) -> impl Future<Output = sqlx::Result<Readers>> {
    Readers::open(connect.clone(), options.connections, options.acquire_timeout)
}

/// Opens an existing file without changing it. Its writer can't begin a transaction.
async fn open_sqlite_read_only(path: &Path, options: &OpenOptions, write_lock: WriteLock) -> Result<Db, StoreError> {
    let connect = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        .read_only(true)
        .busy_timeout(options.busy_timeout)
        .statement_cache_capacity(options.statement_cache.max(1));
    let read = readers(options, &connect).await;
    let read = read.map_err(|source| StoreError::new("opening the SQLite database read-only", source))?;
    let write = writer(options).connect_lazy_with(connect);
    let condition = LastCondition::default();
    Ok(Db::Lite(Lite { read, write, write_lock, busy_timeout: options.busy_timeout, condition }))
}

async fn open_postgres(url: &str, options: &OpenOptions) -> Result<Pg, StoreError> {
    let opening = |source| StoreError::new("connecting to PostgreSQL", source);
    let connect = url.parse::<PgConnectOptions>().map_err(opening)?.application_name(&options.application_name);
    let (timeout, cache) = (options.acquire_timeout, options.statement_cache);
    Pg::open(connect, options.connections, timeout, cache, options.read_only).await.map_err(opening)
}
