//! The pools and transactions of the two engines.

use std::path::Path;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Sqlite, SqlitePool, Transaction};
use tokio::time::{Instant, sleep};

use super::error::StoreError;
use super::postgres::{Pg, PgTx};
use super::retry::Transient;
use super::sqlite_readers::Readers;
use super::sqlite_write_lock::{Turn, WriteGate};
use crate::config::database_url::DatabaseUrl;

/// The database: one of two engines, the same functions for both. Cheap to clone.
#[derive(Clone, Debug)]
pub enum Db {
    /// PostgreSQL: one pool.
    Pg(Pg),
    /// SQLite: a pool of readers and one writer.
    Lite(Lite),
}

/// Which engine a [`Db`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// PostgreSQL.
    Postgres,
    /// SQLite.
    Sqlite,
}

/// SQLite's two pools and the gate that its writers pass.
#[derive(Clone, Debug)]
pub struct Lite {
    pub(in crate::store) read: Readers,
    pub(in crate::store) write: SqlitePool,
    gate: WriteGate,
    patience: Duration,
}

/// An open transaction; dropped without `commit`, it is rolled back.
#[derive(Debug)]
pub enum Tx {
    /// PostgreSQL, READ COMMITTED.
    Pg(PgTx),
    /// SQLite, BEGIN IMMEDIATE. Fields drop in this order: first the transaction, then the turn.
    Lite {
        /// The transaction.
        tx: Transaction<'static, Sqlite>,
        /// The place at the gate.
        turn: Turn,
    },
}

/// How to open a database.
#[derive(Clone, Debug)]
pub struct OpenOptions {
    /// Where it is.
    pub url: DatabaseUrl,
    /// At most this many connections (SQLite: readers, besides the one writer).
    pub connections: u32,
    /// Prepared statements kept per connection; 0 behind pgbouncer.
    pub statement_cache: usize,
    /// What PostgreSQL shows in `pg_stat_activity`.
    pub application_name: String,
    /// How long to wait for a free connection before giving up.
    pub acquire_timeout: Duration,
    /// How long a writer waits for another process that writes to the same SQLite file before giving up.
    pub busy_timeout: Duration,
    /// Refuse every write in the database itself: for a panel that only looks on.
    pub read_only: bool,
}

/// How long SQLite itself waits for another process that writes. Its waiting is a blocked thread that can't be called
/// off and that polls ever more rarely: a writer takes little of it and asks again.
const BUSY: Duration = Duration::from_millis(20);
/// Between two questions.
const BUSY_PAUSE: Duration = Duration::from_millis(3);

impl Db {
    /// Opens the pools and makes one connection, so that a wrong address is known at once.
    /// A SQLite file that is not there is created.
    pub async fn open(options: &OpenOptions) -> Result<Self, StoreError> {
        Self::open_behind(options, WriteGate::default()).await
    }

    /// A second set of pools on the same database. On SQLite its writers pass the same gate as this one's.
    pub async fn open_sibling(&self, options: &OpenOptions) -> Result<Self, StoreError> {
        match self {
            Self::Pg(_) => Self::open(options).await,
            Self::Lite(lite) => Self::open_behind(options, lite.gate.clone()).await,
        }
    }

    async fn open_behind(options: &OpenOptions, gate: WriteGate) -> Result<Self, StoreError> {
        match &options.url {
            DatabaseUrl::Postgres { url } => open_postgres(url.expose(), options).await.map(Self::Pg),
            DatabaseUrl::Sqlite { path } => {
                if options.read_only {
                    return open_sqlite_to_read(path, options, gate).await;
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
                // The writer first: it creates the file and switches it to WAL.
                let write = once_it_may(options, || one_writer(options).connect_with(connect.clone())).await?;
                // Each reader has pages of its own: enough for the upper levels of the trees that requests go down.
                // The kernel has the rest; twice as much makes no request quicker but those for pages far inside.
                let reader = connect.read_only(true).busy_timeout(options.busy_timeout).pragma("cache_size", "-1000");
                let read = once_it_may(options, || readers(options, &reader)).await?;
                Ok(Self::Lite(Lite { read, write, gate, patience: options.busy_timeout }))
            }
        }
    }

    /// Which engine this is.
    pub const fn engine(&self) -> Engine {
        match self {
            Self::Pg(_) => Engine::Postgres,
            Self::Lite(_) => Engine::Sqlite,
        }
    }

    /// Begins a transaction that may write. On SQLite it waits for its turn: keep it short (250 ms at most), and never
    /// across network I/O.
    pub async fn begin(&self) -> Result<Tx, StoreError> {
        match self {
            Self::Pg(pool) => begin_postgres(pool).await,
            Self::Lite(lite) => {
                let until = Instant::now() + lite.patience;
                let mut place = lite.gate.place().await;
                loop {
                    let turn = place.turn().await;
                    match begin_sqlite(lite, turn).await {
                        // The pen is back at the gate meanwhile, so that the lease does not wait behind this one.
                        Err((busy, turn)) if busy.is_transient() && Instant::now() < until => place = turn.give_back(),
                        other => return other.map_err(|(error, _)| error),
                    }
                    sleep(BUSY_PAUSE).await;
                }
            }
        }
    }

    /// The same for the lease alone: ahead of every ordinary writer of this process, and for as long as the caller
    /// waits. On PostgreSQL nothing in it takes long.
    pub async fn begin_first(&self) -> Result<Tx, StoreError> {
        match self {
            Self::Pg(pool) => {
                let begun = pool.begin_with(BEGIN_FOR_LEASE).await;
                begun.map(Tx::Pg).map_err(|source| StoreError::new("BEGIN", source))
            }
            Self::Lite(lite) => loop {
                match begin_sqlite(lite, lite.gate.first().await).await {
                    Err((busy, _)) if busy.is_transient() => sleep(BUSY_PAUSE).await,
                    other => return other.map_err(|(error, _)| error),
                }
            },
        }
    }

    /// Closes all connections after what they are doing.
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
    /// Commits. An error leaves it open whether the commit happened: ask the database.
    pub async fn commit(self) -> Result<(), StoreError> {
        match self {
            Self::Pg(tx) => tx.commit().await,
            Self::Lite { tx, turn } => {
                let done = tx.commit().await;
                drop(turn);
                done
            }
        }
        .map_err(|source| StoreError::new("COMMIT", source))
    }

    /// Rolls back and waits until it is done.
    pub async fn rollback(self) -> Result<(), StoreError> {
        match self {
            Self::Pg(tx) => tx.rollback().await,
            Self::Lite { tx, turn } => {
                let done = tx.rollback().await;
                drop(turn);
                done
            }
        }
        .map_err(|source| StoreError::new("ROLLBACK", source))
    }

    /// Which engine this is.
    pub const fn engine(&self) -> Engine {
        match self {
            Self::Pg(_) => Engine::Postgres,
            Self::Lite { .. } => Engine::Sqlite,
        }
    }
}

/// One message to the server and one answer: on a busy machine each costs a hand-over some milliseconds. The last limit:
/// a host that vanishes between two statements must not keep the lease's row from everybody.
const BEGIN_FOR_LEASE: &str = "BEGIN; SET LOCAL lock_timeout = 1000; SET LOCAL statement_timeout = 2000;
    SET LOCAL idle_in_transaction_session_timeout = 1000";

async fn begin_postgres(pool: &Pg) -> Result<Tx, StoreError> {
    pool.begin().await.map(Tx::Pg).map_err(|source| StoreError::new("BEGIN", source))
}

async fn begin_sqlite(lite: &Lite, turn: Turn) -> Result<Tx, (StoreError, Turn)> {
    match lite.write.begin_with("BEGIN IMMEDIATE").await {
        Ok(tx) => Ok(Tx::Lite { tx, turn }),
        Err(source) => Err((StoreError::new("BEGIN IMMEDIATE", source), turn)),
    }
}

/// Opens the file. A process that closes it as the last one has it to itself while it tidies up.
async fn once_it_may<T, F: Future<Output = sqlx::Result<T>>>(
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

fn one_writer(options: &OpenOptions) -> SqlitePoolOptions {
    // SQLite can't have broken off meanwhile.
    SqlitePoolOptions::new().max_connections(1).acquire_timeout(options.acquire_timeout).test_before_acquire(false)
}

fn readers(options: &OpenOptions, connect: &SqliteConnectOptions) -> impl Future<Output = sqlx::Result<Readers>> {
    Readers::open(connect.clone(), options.connections, options.acquire_timeout)
}

/// A file that must be there, as it is. Its writer can begin nothing.
async fn open_sqlite_to_read(path: &Path, options: &OpenOptions, gate: WriteGate) -> Result<Db, StoreError> {
    let connect = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        .read_only(true)
        .busy_timeout(options.busy_timeout)
        .statement_cache_capacity(options.statement_cache.max(1));
    let read = readers(options, &connect).await;
    let read = read.map_err(|source| StoreError::new("opening the SQLite database to read", source))?;
    let write = one_writer(options).connect_lazy_with(connect);
    Ok(Db::Lite(Lite { read, write, gate, patience: options.busy_timeout }))
}

async fn open_postgres(url: &str, options: &OpenOptions) -> Result<Pg, StoreError> {
    let opening = |source| StoreError::new("connecting to PostgreSQL", source);
    let connect = url.parse::<PgConnectOptions>().map_err(opening)?.application_name(&options.application_name);
    let connect = if options.read_only { connect.options([("default_transaction_read_only", "on")]) } else { connect };
    Pg::open(connect, options.connections, options.acquire_timeout, options.statement_cache).await.map_err(opening)
}
