//! The pools and transactions of the two engines.

use std::path::Path;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use tokio::time::Instant;

use super::condition::{Condition, LastCondition};
use super::error::StoreError;
use super::options::OpenOptions;
use super::postgres::{Pg, PgPoolOptions, PgTx};
use super::sqlite::{Lite, LiteTx};
use super::time_limits;
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

/// An open transaction; it is rolled back when it is dropped without `commit`.
#[derive(Debug)]
pub enum Tx {
    /// PostgreSQL, READ COMMITTED.
    Pg(PgTx),
    /// SQLite, BEGIN IMMEDIATE.
    Lite {
        /// The transaction.
        tx: LiteTx,
        /// Where conditions that statements meet are recorded.
        condition: LastCondition,
    },
}

impl Db {
    /// Opens the pools and makes one connection, so that a wrong address fails at once. Creates a missing SQLite file.
    pub async fn open(options: &OpenOptions) -> Result<Self, StoreError> {
        match &options.url {
            DatabaseUrl::Postgres { url } => {
                let (connect, pool) = postgres_options(url.expose(), options)?;
                Pg::open(connect, pool).await.map(Self::Pg).map_err(connecting)
            }
            DatabaseUrl::Sqlite { path } => Lite::open(path, options).await.map(Self::Lite),
        }
    }

    /// A PostgreSQL database that may be away: the first statement connects. `None` for SQLite.
    pub fn unconnected(options: &OpenOptions) -> Result<Option<Self>, StoreError> {
        let DatabaseUrl::Postgres { url } = &options.url else { return Ok(None) };
        let (connect, pool) = postgres_options(url.expose(), options)?;
        Ok(Some(Self::Pg(Pg::unconnected(connect, pool))))
    }

    /// Creates a missing SQLite file as [`Db::open`] does, and removes it again.
    pub fn probe_new_file(path: &Path) -> Result<(), StoreError> {
        Lite::probe_new(path)
    }

    /// Opens a second set of pools on the same database. On SQLite both share one write lock and one condition.
    pub async fn open_sibling(&self, options: &OpenOptions) -> Result<Self, StoreError> {
        match (self, &options.url) {
            (Self::Lite(lite), DatabaseUrl::Sqlite { path }) => lite.open_sibling(path, options).await.map(Self::Lite),
            _ => Self::open(options).await,
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
                lite.begin().await.map(|tx| Tx::of_sqlite(lite, tx)).map_err(|error| self.record(error))
            }
        }
    }

    /// Begins a transaction whose statements have this time limit. No limit on SQLite.
    pub(super) async fn begin_long(&self, limit: Duration) -> Result<Tx, StoreError> {
        match self {
            Self::Pg(pool) => pool.begin_long(limit).await.map(Tx::Pg).map_err(|source| self.failed("BEGIN", source)),
            Self::Lite(_) => self.begin().await,
        }
    }

    /// Begins the only transaction of a command that takes minutes: its statements have no short time limit, and
    /// PostgreSQL does not end it while it waits for the next statement.
    pub async fn begin_bulk(&self) -> Result<Tx, StoreError> {
        let mut tx = match self {
            Self::Pg(pool) => {
                pool.begin_with(BEGIN_BULK).await.map(Tx::Pg).map_err(|source| self.failed("BEGIN", source))?
            }
            Self::Lite(_) => self.begin().await?,
        };
        tx.allow(time_limits::BULK);
        Ok(tx)
    }

    /// Begins a transaction that reads one state of the database, for however long it takes. It holds no lock that a
    /// writer needs. On SQLite the state is the one at its first statement.
    pub async fn begin_snapshot(&self) -> Result<Tx, StoreError> {
        let mut tx = match self {
            Self::Pg(pool) => {
                pool.begin_with(BEGIN_SNAPSHOT).await.map(Tx::Pg).map_err(|source| self.failed("BEGIN", source))?
            }
            Self::Lite(lite) => lite.begin_snapshot().await.map(|tx| Tx::of_sqlite(lite, tx))?,
        };
        tx.allow(time_limits::BULK);
        Ok(tx)
    }

    /// Begins a transaction ahead of every other writer of this process, without a time limit of its own: for the lease
    /// on SQLite. On PostgreSQL writers do not queue.
    pub async fn begin_first(&self) -> Result<Tx, StoreError> {
        match self {
            Self::Pg(_) => self.begin().await,
            Self::Lite(lite) => {
                let begun = lite.begin_first().await;
                begun.map(|tx| Tx::of_sqlite(lite, tx)).map_err(|error| self.record(error))
            }
        }
    }

    /// Returns the state in which the database can't be used, as the last probe or write found it; `None` if it can.
    /// Cheap. Without probes ([`Db::probe`]) only what writes met is known.
    pub fn condition(&self) -> Option<Condition> {
        self.last_condition().get()
    }

    /// True if the last probe could read, although writes may fail: [`Db::condition`].
    pub fn answers(&self) -> bool {
        self.last_condition().answers()
    }

    /// Returns a moment before which nothing succeeded that the last probe has not seen, if it could not even read. Whatever succeeded since then
    /// is a sign that the database is back.
    pub fn away_as_of(&self) -> Option<Instant> {
        self.last_condition().away_as_of()
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
            Self::Lite(lite) => lite.close().await,
        }
    }
}

impl Tx {
    fn of_sqlite(lite: &Lite, tx: LiteTx) -> Self {
        Self::Lite { tx, condition: lite.condition.clone() }
    }

    /// Commits. After an error the commit may have happened or not: [`StoreError::outcome_is_unknown`].
    pub async fn commit(self) -> Result<(), StoreError> {
        if let Self::Lite { tx, .. } = &self
            && let Err(source) = tx.check()
        {
            return Err(self.failed("COMMIT", source));
        }
        let condition = self.last_condition().clone();
        match self {
            Self::Pg(tx) => tx.commit().await,
            Self::Lite { tx, .. } => tx.commit().await,
        }
        .map_err(|source| record(&condition, StoreError::of_commit(source)))
    }

    /// Sets the time limit of each further statement, for work that takes long. No effect on SQLite.
    pub fn allow(&mut self, limit: Duration) {
        match self {
            Self::Pg(tx) => tx.set_limit(limit),
            Self::Lite { .. } => {}
        }
    }

    /// Rolls back, and waits for it.
    pub async fn rollback(self) -> Result<(), StoreError> {
        match self {
            Self::Pg(tx) => tx.rollback().await,
            Self::Lite { tx, .. } => tx.rollback().await,
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

/// The server, or the role, may have a short limit for statements.
const BEGIN_BULK: &str = "BEGIN; SET LOCAL idle_in_transaction_session_timeout = 0; SET LOCAL lock_timeout = 0; \
                          SET LOCAL statement_timeout = 0";

/// Also a reader that takes nothing for some minutes, because the place of a back-up is slow, does not look like one that has vanished.
const BEGIN_SNAPSHOT: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL tcp_user_timeout = 900000; \
                              SET LOCAL idle_in_transaction_session_timeout = 0; SET LOCAL statement_timeout = 0";

fn postgres_options(url: &str, options: &OpenOptions) -> Result<(PgConnectOptions, PgPoolOptions), StoreError> {
    let connect = url.parse::<PgConnectOptions>().map_err(connecting)?.application_name(&options.application_name);
    let pool = PgPoolOptions {
        max: options.connections,
        acquire_timeout: options.acquire_timeout,
        statement_timeout: options.statement_timeout,
        statement_cache: options.statement_cache,
        read_only: options.read_only,
    };
    Ok((connect, pool))
}

fn connecting(source: sqlx::Error) -> StoreError {
    StoreError::new("connecting to PostgreSQL", source)
}
