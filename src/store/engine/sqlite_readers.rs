//! SQLite's readers: connections that are checked out for one statement each. sqlx's pool would ping a connection
//! before and after each statement, which costs as much as a small statement, and a connection to a file does not break
//! while it is idle.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, StreamExt, TryStreamExt};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteQueryResult, SqliteRow, SqliteStatement, SqliteTypeInfo,
};
use sqlx::{ConnectOptions, Connection, Either, Execute, Executor, SqlStr, Sqlite};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::sqlite_file::SqliteFile;
use crate::foundation::lock;

/// The pool of readers; a statement runs on `&Readers`. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Readers(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    connect: SqliteConnectOptions,
    /// `None` for a database in memory.
    file: Option<SqliteFile>,
    max: u32,
    acquire_timeout: Duration,
    permits: Arc<Semaphore>,
    /// The last used connection is taken first: its pages are in memory, and connections that are never needed are
    /// never opened.
    idle: Mutex<Vec<SqliteConnection>>,
}

/// A connection in use.
struct Checkout {
    shared: Arc<Shared>,
    /// `None` once it has been returned.
    held: Option<(SqliteConnection, OwnedSemaphorePermit)>,
    /// True if the statement completed.
    done: bool,
}

type Step = Either<SqliteQueryResult, SqliteRow>;

impl Readers {
    /// Opens the first of at most `max` connections. A statement waits for a connection for at most `acquire_timeout`.
    pub(in crate::store) async fn open(
        connect: SqliteConnectOptions,
        max: u32,
        acquire_timeout: Duration,
        file: Option<SqliteFile>,
    ) -> sqlx::Result<Self> {
        let max = max.max(1);
        let idle = Mutex::new(vec![connect.connect().await?]);
        Ok(Self(Arc::new(Shared {
            connect,
            file,
            max,
            acquire_timeout,
            permits: Arc::new(Semaphore::new(max as usize)),
            idle,
        })))
    }

    /// Closes all connections when their current statements are done.
    pub(in crate::store) async fn close(&self) {
        // An error means that they are closed already.
        let Ok(_all) = self.0.permits.acquire_many(self.0.max).await else { return };
        self.0.permits.close();
        let idle = std::mem::take(&mut *self.0.idle());
        for connection in idle {
            // A connection that fails to close is closed as well.
            let _ = connection.close().await;
        }
    }

    /// True if a statement would not have to wait for a connection. Fails if the file is not the same any more.
    pub(super) fn is_free(&self) -> sqlx::Result<bool> {
        self.0.file.as_ref().map_or(Ok(()), SqliteFile::check_now_and_then)?;
        Ok(!self.0.permits.is_closed() && self.0.permits.available_permits() > 0)
    }

    async fn acquire(&self) -> sqlx::Result<Checkout> {
        let permits = &self.0.permits;
        // The last connection to be closed removes files that are watched.
        if permits.is_closed() {
            return Err(sqlx::Error::PoolClosed);
        }
        if let Some(file) = &self.0.file {
            file.check_now_and_then()?;
        }
        let permit = match permits.clone().try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => timeout(self.0.acquire_timeout, permits.clone().acquire_owned())
                .await
                .map_err(|_| sqlx::Error::PoolTimedOut)?
                .map_err(|_| sqlx::Error::PoolClosed)?,
        };
        let idle = self.0.idle().pop();
        let connection = match idle {
            Some(connection) => connection,
            None => {
                let connection = self.0.connect.connect().await?;
                // It could be a connection to another file.
                self.0.file.as_ref().map_or(Ok(()), SqliteFile::check)?;
                connection
            }
        };
        Ok(Checkout { shared: self.0.clone(), held: Some((connection, permit)), done: false })
    }
}

impl Shared {
    fn idle(&self) -> MutexGuard<'_, Vec<SqliteConnection>> {
        lock(&self.idle)
    }
}

impl Checkout {
    /// Marks the statement as completed.
    fn end<T>(mut self, result: sqlx::Result<T>) -> sqlx::Result<T> {
        self.done = !matches!(result, Err(sqlx::Error::WorkerCrashed));
        result
    }

    fn connection(&mut self) -> sqlx::Result<&mut SqliteConnection> {
        self.held.as_mut().map(|(connection, _)| connection).ok_or(sqlx::Error::WorkerCrashed)
    }
}

impl Drop for Checkout {
    fn drop(&mut self) {
        let Some((mut connection, permit)) = self.held.take() else { return };
        if self.done {
            self.shared.idle().push(connection);
            drop(permit);
        } else if let Ok(runtime) = Handle::try_current() {
            // The caller was cancelled, but SQLite's thread may still run the statement.
            let shared = self.shared.clone();
            runtime.spawn(async move {
                if connection.ping().await.is_ok() {
                    shared.idle().push(connection);
                }
                drop(permit);
            });
        }
    }
}

impl<'c> Executor<'c> for &'c Readers {
    type Database = Sqlite;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, sqlx::Result<Step>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Sqlite>,
    {
        let read = async move {
            let mut checkout = self.acquire().await?;
            let steps: sqlx::Result<Vec<Step>> = checkout.connection()?.fetch_many(query).try_collect().await;
            Ok::<_, sqlx::Error>(stream::iter(checkout.end(steps)?.into_iter().map(Ok)))
        };
        stream::once(read).try_flatten().boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, sqlx::Result<Option<SqliteRow>>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Sqlite>,
    {
        Box::pin(async move {
            let mut checkout = self.acquire().await?;
            let row = checkout.connection()?.fetch_optional(query).await;
            checkout.end(row)
        })
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [SqliteTypeInfo],
    ) -> BoxFuture<'e, sqlx::Result<SqliteStatement>>
    where
        'c: 'e,
    {
        Box::pin(async move {
            let mut checkout = self.acquire().await?;
            let statement = checkout.connection()?.prepare_with(sql, parameters).await;
            checkout.end(statement)
        })
    }
}

#[cfg(test)]
mod tests {
    use sqlx::query_scalar;
    use tokio::time::Instant;

    use super::*;

    /// A statement that takes seconds.
    const LONG: &str = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000000)
                        SELECT COUNT(*) FROM n";

    async fn readers(most: u32, patience: Duration) -> Readers {
        Readers::open(SqliteConnectOptions::new(), most, patience, None).await.expect("a database in memory opens")
    }

    #[tokio::test]
    async fn cancelled_statement_keeps_its_permit_until_it_ends() {
        let readers = readers(1, Duration::from_secs(60)).await;
        let given_up = timeout(Duration::from_millis(20), query_scalar::<_, i64>(LONG).fetch_one(&readers)).await;
        assert!(given_up.is_err(), "the statement takes longer");
        assert_eq!(readers.0.permits.available_permits(), 0, "the connection is still busy");
        assert_eq!(query_scalar::<_, i64>("SELECT 7").fetch_one(&readers).await.expect("the next statement waits"), 7);
        assert_eq!(readers.0.permits.available_permits(), 1);
        assert_eq!(readers.0.idle().len(), 1, "the connection was returned");
    }

    #[tokio::test]
    async fn opens_no_more_connections_than_needed_and_allowed() {
        let readers = readers(2, Duration::from_millis(50)).await;
        for _ in 0..10 {
            query_scalar::<_, i64>("SELECT 7").fetch_all(&readers).await.expect("a reader reads");
        }
        assert_eq!(readers.0.idle().len(), 1, "one connection was enough");
        let long = || query_scalar::<_, i64>(LONG).fetch_optional(&readers);
        let began = Instant::now();
        let third = async {
            tokio::task::yield_now().await;
            query_scalar::<_, i64>("SELECT 7").fetch_one(&readers).await
        };
        let (first, second, third) = tokio::join!(long(), long(), third);
        assert!(first.is_ok() && second.is_ok());
        assert!(matches!(third, Err(sqlx::Error::PoolTimedOut)), "{third:?} after {:?}", began.elapsed());
        assert_eq!(readers.0.idle().len(), 2);
    }

    #[tokio::test]
    async fn closed_readers_fail_with_pool_closed() {
        let readers = readers(2, Duration::from_secs(60)).await;
        readers.close().await;
        readers.close().await;
        let read = query_scalar::<_, i64>("SELECT 7").fetch_one(&readers).await;
        assert!(matches!(read, Err(sqlx::Error::PoolClosed)), "{read:?}");
    }
}
