//! SQLite's readers: connections that are lent for one statement each. (sqlx's pool pings a connection before and after
//! that. SQLite can't have broken off meanwhile, and a ping hands over to its thread and back, as the statement does.)

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

use crate::foundation::lock;

/// The readers. Cheap to clone. A statement runs on `&Readers`.
#[derive(Clone, Debug)]
pub struct Readers(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    connect: SqliteConnectOptions,
    most: u32,
    patience: Duration,
    places: Arc<Semaphore>,
    /// The last one back is the next to go: its pages are warm, and one that is never needed is never opened.
    free: Mutex<Vec<SqliteConnection>>,
}

/// A connection on loan.
struct Lent {
    shared: Arc<Shared>,
    /// There until the end of the loan.
    held: Option<(SqliteConnection, OwnedSemaphorePermit)>,
    /// Whether the statement came to its end.
    done: bool,
}

type Step = Either<SqliteQueryResult, SqliteRow>;

impl Readers {
    /// Opens the first of at most `most`. A statement waits for its connection for `patience`.
    pub(in crate::store) async fn open(
        connect: SqliteConnectOptions,
        most: u32,
        patience: Duration,
    ) -> sqlx::Result<Self> {
        let most = most.max(1);
        let free = Mutex::new(vec![connect.connect().await?]);
        Ok(Self(Arc::new(Shared { connect, most, patience, places: Arc::new(Semaphore::new(most as usize)), free })))
    }

    /// Closes them after what they are doing.
    pub(in crate::store) async fn close(&self) {
        // An error says that they are closed already.
        let Ok(_all) = self.0.places.acquire_many(self.0.most).await else { return };
        self.0.places.close();
        let free = std::mem::take(&mut *self.0.free());
        for connection in free {
            // Whatever it says, it is gone.
            let _ = connection.close().await;
        }
    }

    async fn lend(&self) -> sqlx::Result<Lent> {
        let places = &self.0.places;
        let place = match places.clone().try_acquire_owned() {
            Ok(place) => place,
            Err(_) => timeout(self.0.patience, places.clone().acquire_owned())
                .await
                .map_err(|_| sqlx::Error::PoolTimedOut)?
                .map_err(|_| sqlx::Error::PoolClosed)?,
        };
        let free = self.0.free().pop();
        let connection = match free {
            Some(connection) => connection,
            None => self.0.connect.connect().await?,
        };
        Ok(Lent { shared: self.0.clone(), held: Some((connection, place)), done: false })
    }
}

impl Shared {
    fn free(&self) -> MutexGuard<'_, Vec<SqliteConnection>> {
        lock(&self.free)
    }
}

impl Lent {
    /// Notes the end of the statement.
    fn end<T>(mut self, result: sqlx::Result<T>) -> sqlx::Result<T> {
        self.done = !matches!(result, Err(sqlx::Error::WorkerCrashed));
        result
    }

    fn connection(&mut self) -> sqlx::Result<&mut SqliteConnection> {
        self.held.as_mut().map(|(connection, _)| connection).ok_or(sqlx::Error::WorkerCrashed)
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let Some((mut connection, place)) = self.held.take() else { return };
        if self.done {
            self.shared.free().push(connection);
            drop(place);
        } else if let Ok(runtime) = Handle::try_current() {
            // Whoever asked has gone; SQLite's thread may be at it still.
            let shared = self.shared.clone();
            runtime.spawn(async move {
                if connection.ping().await.is_ok() {
                    shared.free().push(connection);
                }
                drop(place);
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
            let mut lent = self.lend().await?;
            let steps: sqlx::Result<Vec<Step>> = lent.connection()?.fetch_many(query).try_collect().await;
            Ok::<_, sqlx::Error>(stream::iter(lent.end(steps)?.into_iter().map(Ok)))
        };
        stream::once(read).try_flatten().boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, sqlx::Result<Option<SqliteRow>>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Sqlite>,
    {
        Box::pin(async move {
            let mut lent = self.lend().await?;
            let row = lent.connection()?.fetch_optional(query).await;
            lent.end(row)
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
            let mut lent = self.lend().await?;
            let statement = lent.connection()?.prepare_with(sql, parameters).await;
            lent.end(statement)
        })
    }
}

#[cfg(test)]
mod tests {
    use sqlx::query_scalar;
    use tokio::time::Instant;

    use super::*;

    /// Takes some seconds.
    const LONG: &str = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000000)
                        SELECT COUNT(*) FROM n";

    async fn readers(most: u32, patience: Duration) -> Readers {
        Readers::open(SqliteConnectOptions::new(), most, patience).await.expect("a database in memory opens")
    }

    #[tokio::test]
    async fn a_statement_that_nobody_waits_for_any_more_keeps_its_place_until_it_ends() {
        let readers = readers(1, Duration::from_secs(60)).await;
        let given_up = timeout(Duration::from_millis(20), query_scalar::<_, i64>(LONG).fetch_one(&readers)).await;
        assert!(given_up.is_err(), "it takes longer");
        assert_eq!(readers.0.places.available_permits(), 0, "the connection is still busy");
        assert_eq!(query_scalar::<_, i64>("SELECT 7").fetch_one(&readers).await.expect("the next one waits"), 7);
        assert_eq!(readers.0.places.available_permits(), 1);
        assert_eq!(readers.0.free().len(), 1, "it came back");
    }

    #[tokio::test]
    async fn no_more_are_opened_than_may_be_and_none_that_is_not_needed() {
        let readers = readers(2, Duration::from_millis(50)).await;
        for _ in 0..10 {
            query_scalar::<_, i64>("SELECT 7").fetch_all(&readers).await.expect("it reads");
        }
        assert_eq!(readers.0.free().len(), 1, "one was enough");
        let long = || query_scalar::<_, i64>(LONG).fetch_optional(&readers);
        let began = Instant::now();
        let third = async {
            tokio::task::yield_now().await;
            query_scalar::<_, i64>("SELECT 7").fetch_one(&readers).await
        };
        let (first, second, third) = tokio::join!(long(), long(), third);
        assert!(first.is_ok() && second.is_ok());
        assert!(matches!(third, Err(sqlx::Error::PoolTimedOut)), "{third:?} after {:?}", began.elapsed());
        assert_eq!(readers.0.free().len(), 2);
    }

    #[tokio::test]
    async fn closed_readers_read_nothing() {
        let readers = readers(2, Duration::from_secs(60)).await;
        readers.close().await;
        readers.close().await;
        let read = query_scalar::<_, i64>("SELECT 7").fetch_one(&readers).await;
        assert!(matches!(read, Err(sqlx::Error::PoolClosed)), "{read:?}");
    }
}
