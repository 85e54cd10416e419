//! PostgreSQL's connections, checked out for a statement or a transaction. sqlx's pool opens, tests and closes them,
//! but idle connections are kept here: sqlx pings each connection that is returned to its pool, a round trip that is a
//! third of the cost of a small statement.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection, Executor, PgConnection, PgPool, Postgres, SqlSafeStr, Transaction};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

use crate::foundation::lock;

/// A connection used this recently is used again without a ping.
const TRUSTED_FOR: Duration = Duration::from_millis(250);
/// Time limit of a ping.
const PING_TIMEOUT: Duration = Duration::from_secs(1);
/// Time after which a connection is returned to sqlx's pool, which closes old ones; also the time after which an idle
/// one is.
const RECYCLE_AFTER: Duration = Duration::from_secs(60);
/// With a million users PostgreSQL's cost estimates trigger JIT compilation, which takes longer than it saves. It is no
/// start-up parameter, because pgbouncer rejects unknown ones, and it is not set through a pgbouncer in transaction
/// mode, where it would reach a random server connection.
const SETTINGS: &str = "SET jit = off";

/// The connections. Cheap to clone. Must be dropped inside a runtime, because sqlx closes connections in tasks.
#[derive(Clone, Debug)]
pub(in crate::store) struct PgConnections(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    pool: PgPool,
    acquire_timeout: Duration,
    /// One permit per connection, so that a holder never waits inside sqlx's pool for a connection that is idle here.
    permits: Arc<Semaphore>,
    /// Idle connections outside sqlx's pool, the last used one at the end.
    idle: Mutex<Vec<IdleConnection>>,
}

#[derive(Debug)]
struct IdleConnection {
    connection: PoolConnection<Postgres>,
    out_since: Instant,
    last_used: Instant,
}

/// A connection that may be broken. Dropped before it answers a ping, it is closed: sqlx's pool would ping it again,
/// and wait as long as TCP retries.
struct Unproven(Option<IdleConnection>);

/// A connection in use. Dropped without `release`, it goes to sqlx's pool, which rolls back open work and tests it.
#[derive(Debug)]
pub(in crate::store) struct Checkout {
    shared: Arc<Shared>,
    connection: IdleConnection,
    permit: OwnedSemaphorePermit,
}

impl PgConnections {
    /// Opens the first of at most `max` connections. `direct`: they are connections to the server, not to a pgbouncer
    /// in transaction mode. A statement waits for a connection for at most `acquire_timeout`.
    pub(in crate::store) async fn open(
        connect: PgConnectOptions,
        max: u32,
        acquire_timeout: Duration,
        direct: bool,
    ) -> sqlx::Result<Self> {
        let max = max.max(1);
        let pool = PgPoolOptions::new()
            .max_connections(max)
            .acquire_timeout(acquire_timeout)
            .after_connect(move |connection, _| {
                Box::pin(async move { if direct { connection.execute(SETTINGS).await.map(drop) } else { Ok(()) } })
            })
            // sqlx pinged it when it was returned; it is pinged again only if it was idle since.
            .test_before_acquire(false)
            .before_acquire(|connection, idle| {
                Box::pin(async move {
                    if idle.idle_for > TRUSTED_FOR {
                        connection.ping().await?;
                    }
                    Ok(true)
                })
            });
        let pool = pool.connect_with(connect).await?;
        let permits = Arc::new(Semaphore::new(max as usize));
        Ok(Self(Arc::new(Shared { pool, acquire_timeout, permits, idle: Mutex::default() })))
    }

    pub(in crate::store) async fn acquire(&self) -> sqlx::Result<Checkout> {
        let found = timeout(self.0.acquire_timeout, async {
            let permit = self.0.permits.clone().acquire_owned().await.map_err(|_| sqlx::Error::PoolClosed)?;
            Ok(Checkout { shared: self.0.clone(), connection: self.0.connection().await?, permit })
        });
        found.await.map_err(|_| sqlx::Error::PoolTimedOut)?
    }

    /// Closes all connections when their current statements are done.
    pub(in crate::store) async fn close(&self) {
        self.0.permits.close();
        drop(std::mem::take(&mut *self.0.idle()));
        self.0.pool.close().await;
    }
}

impl Shared {
    async fn connection(&self) -> sqlx::Result<IdleConnection> {
        while let Some(idle) = self.take() {
            if idle.last_used.elapsed() < TRUSTED_FOR {
                return Ok(idle);
            }
            if let Some(idle) = Unproven(Some(idle)).ping().await {
                return Ok(idle);
            }
        }
        let now = Instant::now();
        Ok(IdleConnection { connection: self.pool.acquire().await?, out_since: now, last_used: now })
    }

    fn take(&self) -> Option<IdleConnection> {
        self.idle().pop()
    }

    fn release(&self, mut back: IdleConnection) {
        let now = Instant::now();
        back.last_used = now;
        let mut idle = self.idle();
        let has_unused = idle.first().is_some_and(|first| now - first.last_used > RECYCLE_AFTER);
        // sqlx's pool closes connections that are idle or old.
        let unused = has_unused.then(|| idle.remove(0));
        let old = if self.permits.is_closed() || now - back.out_since > RECYCLE_AFTER {
            Some(back)
        } else {
            idle.push(back);
            None
        };
        drop(idle);
        drop((unused, old));
    }

    fn idle(&self) -> MutexGuard<'_, Vec<IdleConnection>> {
        lock(&self.idle)
    }
}

impl Unproven {
    async fn ping(mut self) -> Option<IdleConnection> {
        let answer = timeout(PING_TIMEOUT, self.0.as_mut()?.connection.ping()).await;
        answer.is_ok_and(|pinged| pinged.is_ok()).then(|| self.0.take()).flatten()
    }
}

impl Drop for Unproven {
    fn drop(&mut self) {
        if let Some(lost) = &mut self.0 {
            lost.connection.close_on_drop();
        }
    }
}

impl Checkout {
    pub(in crate::store) fn connection(&mut self) -> &mut PgConnection {
        &mut self.connection.connection
    }

    /// Returns the connection after a statement that succeeded.
    pub(in crate::store) fn release(self) {
        let Self { shared, connection, permit } = self;
        shared.release(connection);
        drop(permit);
    }

    /// Begins a transaction with these statements, sent as one message. The permit must outlive the transaction.
    pub(in crate::store) async fn begin(
        self,
        statements: &'static str,
    ) -> sqlx::Result<(Transaction<'static, Postgres>, OwnedSemaphorePermit)> {
        let tx = Transaction::begin(self.connection.connection, Some(statements.into_sql_str())).await?;
        Ok((tx, self.permit))
    }
}
