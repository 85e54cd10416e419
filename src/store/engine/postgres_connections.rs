//! PostgreSQL's connections, lent for a statement or a transaction. (sqlx's pool pings one that comes back, which is a
//! message and an answer more for each statement, a third of what a small one costs. It makes, tests and ends the
//! connections here; those that are in use stay out of it.)

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection, Executor, PgConnection, PgPool, Postgres, SqlSafeStr, Transaction};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

use crate::foundation::lock;

/// So long after it was last heard of, a connection is taken to be there still.
const PROVEN: Duration = Duration::from_millis(250);
/// So long it has to answer.
const ANSWER: Duration = Duration::from_secs(1);
/// So long one stays out of the pool, which knows its age and tests it; and so long one that nobody needs.
const OUT: Duration = Duration::from_secs(60);
/// A million users make PostgreSQL expect much work of a statement, and compiling it takes longer than it saves. Not a
/// start-up parameter: pgbouncer refuses those that it does not know. Nor through a pgbouncer that lends its connections for
/// a transaction each: it would be said to one of many.
const SETTINGS: &str = "SET jit = off";

/// The connections. Cheap to clone. To be dropped on a runtime: sqlx ends connections in tasks.
#[derive(Clone, Debug)]
pub(in crate::store) struct PgConnections(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    pool: PgPool,
    patience: Duration,
    /// As many as there may be connections: whoever has one never waits at the pool for those that are ready.
    places: Arc<Semaphore>,
    /// Out of the pool and free, the last one back at the end.
    ready: Mutex<Vec<Ready>>,
}

#[derive(Debug)]
struct Ready {
    connection: PoolConnection<Postgres>,
    out_since: Instant,
    heard_of: Instant,
}

/// One that may be lost. Unless it is proven it is closed, also if nobody waits for the answer any more: the pool would ask
/// it again, and wait for as long as the network tries.
struct Tested(Option<Ready>);

/// A connection on loan. Dropped, it goes to the pool, which brings to an end what was begun on it, and tests it.
#[derive(Debug)]
pub(in crate::store) struct Lent {
    shared: Arc<Shared>,
    ready: Ready,
    place: OwnedSemaphorePermit,
}

impl PgConnections {
    /// Makes the first of at most `most`, each of which is one of the server's own or lent by a pgbouncer. A statement waits for its connection for `patience`.
    pub(in crate::store) async fn open(
        connect: PgConnectOptions,
        most: u32,
        patience: Duration,
        own: bool,
    ) -> sqlx::Result<Self> {
        let most = most.max(1);
        let pool = PgPoolOptions::new()
            .max_connections(most)
            .acquire_timeout(patience)
            .after_connect(move |connection, _| {
                Box::pin(async move { if own { connection.execute(SETTINGS).await.map(drop) } else { Ok(()) } })
            })
            // It was pinged as it came back; once more is for those that lay idle.
            .test_before_acquire(false)
            .before_acquire(|connection, idle| {
                Box::pin(async move {
                    if idle.idle_for > PROVEN {
                        connection.ping().await?;
                    }
                    Ok(true)
                })
            });
        let pool = pool.connect_with(connect).await?;
        let places = Arc::new(Semaphore::new(most as usize));
        Ok(Self(Arc::new(Shared { pool, patience, places, ready: Mutex::default() })))
    }

    pub(in crate::store) async fn lend(&self) -> sqlx::Result<Lent> {
        let found = timeout(self.0.patience, async {
            let place = self.0.places.clone().acquire_owned().await.map_err(|_| sqlx::Error::PoolClosed)?;
            Ok(Lent { shared: self.0.clone(), ready: self.0.connection().await?, place })
        });
        found.await.map_err(|_| sqlx::Error::PoolTimedOut)?
    }

    /// Closes them after what they are doing.
    pub(in crate::store) async fn close(&self) {
        self.0.places.close();
        drop(std::mem::take(&mut *self.0.ready()));
        self.0.pool.close().await;
    }
}

impl Shared {
    async fn connection(&self) -> sqlx::Result<Ready> {
        while let Some(ready) = self.take() {
            if ready.heard_of.elapsed() < PROVEN {
                return Ok(ready);
            }
            if let Some(ready) = Tested(Some(ready)).proven().await {
                return Ok(ready);
            }
        }
        let now = Instant::now();
        Ok(Ready { connection: self.pool.acquire().await?, out_since: now, heard_of: now })
    }

    fn take(&self) -> Option<Ready> {
        self.ready().pop()
    }

    fn give_back(&self, mut back: Ready) {
        let now = Instant::now();
        back.heard_of = now;
        let mut ready = self.ready();
        let idle = ready.first().is_some_and(|one| now - one.heard_of > OUT);
        // To the pool, which closes those that nobody needs and those that are old.
        let not_needed = idle.then(|| ready.remove(0));
        let too_long = if self.places.is_closed() || now - back.out_since > OUT {
            Some(back)
        } else {
            ready.push(back);
            None
        };
        drop(ready);
        drop((not_needed, too_long));
    }

    fn ready(&self) -> MutexGuard<'_, Vec<Ready>> {
        lock(&self.ready)
    }
}

impl Tested {
    async fn proven(mut self) -> Option<Ready> {
        let answer = timeout(ANSWER, self.0.as_mut()?.connection.ping()).await;
        answer.is_ok_and(|pinged| pinged.is_ok()).then(|| self.0.take()).flatten()
    }
}

impl Drop for Tested {
    fn drop(&mut self) {
        if let Some(lost) = &mut self.0 {
            lost.connection.close_on_drop();
        }
    }
}

impl Lent {
    pub(in crate::store) fn connection(&mut self) -> &mut PgConnection {
        &mut self.ready.connection
    }

    /// After what was done on it has come to a good end.
    pub(in crate::store) fn give_back(self) {
        let Self { shared, ready, place } = self;
        shared.give_back(ready);
        drop(place);
    }

    /// Begins with these statements, as one message. The place goes after the transaction.
    pub(in crate::store) async fn begin(
        self,
        statements: &'static str,
    ) -> sqlx::Result<(Transaction<'static, Postgres>, OwnedSemaphorePermit)> {
        let tx = Transaction::begin(self.ready.connection, Some(statements.into_sql_str())).await?;
        Ok((tx, self.place))
    }
}
