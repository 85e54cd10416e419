//! SQLite's pools: readers, and one writer that is replaced after a transaction that could not be ended.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, Sqlite, SqlitePool, Transaction, query, query_scalar, raw_sql};
use tokio::time::{Instant, sleep};

use super::condition::LastCondition;
use super::error::StoreError;
use super::options::OpenOptions;
use super::retry::Transient;
use super::sqlite_file::{LogState, SqliteFile};
use super::sqlite_readers::Readers;
use super::sqlite_write_lock::{WriteGuard, WriteLock};
use crate::foundation::{private_file, with_sources};

/// SQLite's own wait for another process that writes. It blocks a thread, can't be cancelled and polls ever more
/// rarely, so it is kept short and repeated by `begin`.
const BUSY: Duration = Duration::from_millis(20);
/// Pause between two attempts to begin.
const BUSY_PAUSE: Duration = Duration::from_millis(3);

/// Waits for nobody.
const WRITE_BACK: &str = "PRAGMA wal_checkpoint(PASSIVE)";

/// True from the number of users on from which statistics are worth more than SQLite's assumption that tables are large.
const IS_LARGE: &str = "SELECT COUNT(*) = 10000 FROM (SELECT 1 FROM users LIMIT 10000)";
const OPTIMIZE: &str = "PRAGMA optimize";
/// Removes what earlier versions have collected in a small database.
const FORGET_STATISTICS: &str = "DELETE FROM sqlite_stat1; DELETE FROM sqlite_stat4";

/// SQLite's two pools and what they share.
#[derive(Clone, Debug)]
pub struct Lite {
    pub(in crate::store) read: Readers,
    pub(super) condition: LastCondition,
    write: SqlitePool,
    /// Number of connections that `write` has opened.
    writers: Arc<AtomicU64>,
    /// Connections of long reads, opened when needed.
    snapshots: SqlitePool,
    write_lock: WriteLock,
    file: SqliteFile,
    busy_timeout: Duration,
}

/// A transaction of the writer; a statement runs on the connection inside it.
#[derive(Debug)]
pub struct LiteTx {
    // Fields are dropped in this order: the transaction, then the write lock.
    tx: Transaction<'static, Sqlite>,
    /// `None`: the transaction only reads.
    guard: Option<WriteGuard>,
    file: SqliteFile,
}

/// State that all pools of one process on one file share.
#[derive(Clone, Debug, Default)]
struct Shared {
    write_lock: WriteLock,
    condition: LastCondition,
    /// `None` until the file is open.
    file: Option<SqliteFile>,
}

impl Lite {
    /// Opens the file, and creates it if it is missing.
    pub(super) async fn open(path: &Path, options: &OpenOptions) -> Result<Self, StoreError> {
        Self::open_with(path, options, Shared::default()).await
    }

    /// Opens a second set of pools, with the same write lock.
    pub(super) async fn open_sibling(&self, path: &Path, options: &OpenOptions) -> Result<Self, StoreError> {
        let (write_lock, condition) = (self.write_lock.clone(), self.condition.clone());
        let shared = Shared { write_lock, condition, file: Some(self.file.clone()) };
        Self::open_with(path, options, shared).await
    }

    /// Creates a file beside the missing one, and removes it again. The missing one may be created meanwhile.
    pub(super) fn probe_new(path: &Path) -> Result<(), StoreError> {
        let probe = path.with_added_extension(uuid::Uuid::new_v4().simple().to_string());
        create_file(&probe)?;
        std::fs::remove_file(&probe).map_err(not_created)
    }

    async fn open_with(path: &Path, options: &OpenOptions, shared: Shared) -> Result<Self, StoreError> {
        if options.read_only {
            return Self::open_read_only(path, options, shared).await;
        }
        if shared.file.is_none() {
            create_file(path)?;
        }
        let connect = SqliteConnectOptions::new()
            .filename(path)
            // A connection that is opened later must not create another file.
            .create_if_missing(false)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Normal)
            .foreign_keys(true)
            .busy_timeout(BUSY)
            .statement_cache_capacity(options.statement_cache.max(1))
            .pragma("cache_size", "-16000");
        // The writer goes first, because it switches the file to WAL.
        let writers = Arc::default();
        let write = repeat_while_busy(options, || writer(options, &writers).connect_with(connect.clone())).await?;
        let file = shared.file.clone().unwrap_or_else(|| SqliteFile::watch(path, true));
        // Each reader has its own page cache: 1 MB holds the upper levels of the B-trees that requests use, and
        // the kernel caches the rest. 2 MB made only reads deep inside a table faster.
        let reader = connect.read_only(true).busy_timeout(options.busy_timeout).pragma("cache_size", "-1000");
        let read = repeat_while_busy(options, || readers(options, &reader, &file)).await?;
        Ok(Self::new(read, (write, writers), snapshots(options, reader), options, shared, file))
    }

    /// Opens an existing file without changing it. Its writer can't begin a transaction.
    async fn open_read_only(path: &Path, options: &OpenOptions, shared: Shared) -> Result<Self, StoreError> {
        let connect = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(false)
            .read_only(true)
            .busy_timeout(options.busy_timeout)
            .statement_cache_capacity(options.statement_cache.max(1));
        let file = shared.file.clone().unwrap_or_else(|| SqliteFile::watch(path, false));
        let read = readers(options, &connect, &file).await;
        let read = read.map_err(|source| StoreError::new("opening the SQLite database read-only", source))?;
        let writers = Arc::default();
        let write = writer(options, &writers).connect_lazy_with(connect.clone());
        Ok(Self::new(read, (write, writers), snapshots(options, connect), options, shared, file))
    }

    fn new(
        read: Readers,
        (write, writers): (SqlitePool, Arc<AtomicU64>),
        snapshots: SqlitePool,
        options: &OpenOptions,
        shared: Shared,
        file: SqliteFile,
    ) -> Self {
        let Shared { write_lock, condition, .. } = shared;
        Self { read, condition, write, writers, snapshots, write_lock, file, busy_timeout: options.busy_timeout }
    }

    /// The log of changes as it is now; `None` if it can't be told.
    pub(super) fn log_state(&self) -> Option<LogState> {
        self.file.log_state()
    }

    /// The connection of writers, between two transactions, and its number. Not for writing.
    pub(super) async fn writer(&self) -> Result<(u64, PoolConnection<Sqlite>), StoreError> {
        let writer = self.write.acquire().await.map_err(|source| StoreError::new("the writer", source))?;
        Ok((self.writers.load(Ordering::Relaxed), writer))
    }

    /// Begins a transaction after all ordinary writers that came before.
    pub(super) async fn begin(&self) -> Result<LiteTx, StoreError> {
        let until = Instant::now() + self.busy_timeout;
        let mut head = self.write_lock.queue().await;
        loop {
            match self.begin_locked(head.acquire().await).await {
                // The write lock has been released, so the lease does not wait behind this writer.
                Err((busy, guard)) if busy.is_transient() && Instant::now() < until => head = guard.release(),
                other => return other.map_err(|(error, _)| error),
            }
            sleep(BUSY_PAUSE).await;
        }
    }

    /// Begins a transaction of the lease, ahead of every other writer of this process.
    pub(super) async fn begin_first(&self) -> Result<LiteTx, StoreError> {
        loop {
            match self.begin_locked(self.write_lock.acquire_first().await).await {
                Err((busy, _)) if busy.is_transient() => sleep(BUSY_PAUSE).await,
                other => return other.map_err(|(error, _)| error),
            }
        }
    }

    /// Begins a transaction that reads. It holds up nobody but the end of the write-ahead log, which grows meanwhile.
    pub(super) async fn begin_snapshot(&self) -> Result<LiteTx, StoreError> {
        let begun = match self.check() {
            Ok(()) => self.snapshots.begin().await,
            Err(replaced) => Err(replaced),
        };
        let tx = begun.map_err(|source| StoreError::new("BEGIN", source))?;
        Ok(LiteTx { tx, guard: None, file: self.file.clone() })
    }

    async fn begin_locked(&self, guard: WriteGuard) -> Result<LiteTx, (StoreError, WriteGuard)> {
        let begun = match self.check() {
            Ok(()) => self.write.begin_with("BEGIN IMMEDIATE").await,
            Err(replaced) => Err(replaced),
        };
        match begun {
            Ok(tx) => Ok(LiteTx { tx, guard: Some(guard), file: self.file.clone() }),
            Err(source) => Err((StoreError::new("BEGIN IMMEDIATE", source), guard)),
        }
    }

    /// Fails if the file was deleted or replaced. Not so after a close, which removes files that are watched.
    fn check(&self) -> sqlx::Result<()> {
        if self.write.is_closed() { Err(sqlx::Error::PoolClosed) } else { self.file.check() }
    }

    /// Closes all connections when their current statements are done.
    pub(super) async fn close(&self) {
        self.read.close().await;
        self.snapshots.close().await;
        // A pool without a connection has written nothing.
        if self.write.size() > 0
            && let Ok(mut writer) = self.write.acquire().await
        {
            settle_statistics(&mut writer).await;
            write_back(&mut writer).await;
        }
        self.write.close().await;
    }
}

/// Collects statistics for SQLite's planner, unless the database is small: statistics say that reading all of a table of a few rows is
/// the fastest way to one of them, and go on saying so when there are thousands.
async fn settle_statistics(writer: &mut SqliteConnection) {
    let Ok(is_large) = query_scalar::<_, bool>(IS_LARGE).fetch_one(&mut *writer).await else { return };
    let statement = if is_large { OPTIMIZE } else { FORGET_STATISTICS };
    // Usually there are none to forget, and no tables of them.
    if let Err(error) = raw_sql(statement).execute(&mut *writer).await {
        tracing::debug!(error = with_sources(&error), "statistics for the planner stay as they were");
    }
}

/// Writes the log of changes to the database. The last connection to a file does so when it closes, but not when
/// another one closes in the same moment; and if the log was deleted while it was open, nobody can do it later.
async fn write_back(writer: &mut SqliteConnection) {
    if let Err(error) = query(WRITE_BACK).execute(&mut *writer).await {
        tracing::debug!(error = with_sources(&error), "the log of changes stays beside the database");
    }
}

impl LiteTx {
    /// Fails if a commit would go to a file that was deleted or replaced.
    pub(super) fn check(&self) -> sqlx::Result<()> {
        self.file.check()
    }

    pub(super) async fn commit(self) -> sqlx::Result<()> {
        let Self { tx, guard, .. } = self;
        let done = tx.commit().await;
        drop(guard);
        done
    }

    pub(super) async fn rollback(self) -> sqlx::Result<()> {
        let Self { tx, guard, .. } = self;
        let done = tx.rollback().await;
        drop(guard);
        done
    }
}

impl std::ops::Deref for LiteTx {
    type Target = SqliteConnection;

    fn deref(&self) -> &SqliteConnection {
        &self.tx
    }
}

impl std::ops::DerefMut for LiteTx {
    fn deref_mut(&mut self) -> &mut SqliteConnection {
        &mut self.tx
    }
}

/// Creates an empty file, which is an empty database, unless there is one. SQLite would give it the mode that the umask
/// allows; it gives the files beside it the mode of this one.
fn create_file(path: &Path) -> Result<(), StoreError> {
    if path.exists() {
        Ok(())
    } else {
        private_file().write(true).create(true).open(path).map(drop).map_err(not_created)
    }
}

fn not_created(error: io::Error) -> StoreError {
    StoreError::new("creating the SQLite database", sqlx::Error::Io(error))
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

/// Connections that are closed soon after a long read: the next one is hours away. No statement of theirs counts as slow.
fn snapshots(options: &OpenOptions, connect: SqliteConnectOptions) -> SqlitePool {
    let pool = SqlitePoolOptions::new().max_connections(2).min_connections(0).acquire_timeout(options.acquire_timeout);
    pool.idle_timeout(Duration::from_secs(5))
        .connect_lazy_with(connect.row_buffer_size(1_000).disable_statement_logging())
}

fn writer(options: &OpenOptions, opened: &Arc<AtomicU64>) -> SqlitePoolOptions {
    let opened = opened.clone();
    SqlitePoolOptions::new()
        .after_connect(move |_, _| {
            opened.fetch_add(1, Ordering::Relaxed);
            Box::pin(std::future::ready(Ok(())))
        })
        .max_connections(1)
        .acquire_timeout(options.acquire_timeout)
        // A connection to a file does not break while it is idle, and only this one can write back a log that was deleted.
        .test_before_acquire(false)
        .max_lifetime(None)
        .idle_timeout(None)
        .after_release(|connection, _| Box::pin(has_ended(connection)))
}

/// False: the connection must be closed, because it would begin no other transaction.
///
/// After a full disk or an I/O error SQLite rolls back by itself. The rollback that follows then fails, and sqlx takes
/// the transaction for an open one from then on.
async fn has_ended(connection: &mut SqliteConnection) -> sqlx::Result<bool> {
    if connection.is_in_transaction() {
        // The rollback of a dropped transaction may still be queued.
        connection.ping().await?;
    }
    Ok(!connection.is_in_transaction())
}

fn readers(
    options: &OpenOptions,
    connect: &SqliteConnectOptions,
    file: &SqliteFile,
) -> impl Future<Output = sqlx::Result<Readers>> {
    Readers::open(connect.clone(), options.connections, options.acquire_timeout, Some(file.clone()))
}
