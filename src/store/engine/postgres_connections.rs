//! PostgreSQL's connections, lent for a statement or a transaction.
//!
//! Not sqlx's pool: that one pings each connection that is returned to it, a round trip that is a third of the cost of a
//! small statement, and it waits for the answer of a connection that is cut off for as long as TCP retries, with its
//! place in the pool taken. Here every wait has a limit, and a connection that misses one is closed at once.

use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::condition::Condition;
use super::lent_connection::Lent;
use super::postgres_sessions::Sessions;

/// Time limit of the last attempt to get any answer from the server: a connection at 200 ms per round trip takes 1.6 s.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
/// Time limit of closing connections, and of waiting for those that are lent.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(10);

/// The connections. Cheap to clone.
#[derive(Clone)]
pub(in crate::store) struct PgConnections {
    sessions: Arc<Sessions>,
    /// One permit per connection that may be open.
    permits: Arc<Semaphore>,
    max: u32,
    acquire_timeout: Duration,
}

impl PgConnections {
    /// At most `max` connections, and none yet. `direct`: they are connections to the server, not to a pgbouncer in
    /// transaction mode. A statement waits for a connection for at most `acquire_timeout`.
    pub(in crate::store) fn new(connect: PgConnectOptions, max: u32, acquire_timeout: Duration, direct: bool) -> Self {
        let max = max.max(1);
        let (sessions, permits) = (Arc::new(Sessions::new(connect, direct)), Arc::new(Semaphore::new(max as usize)));
        Self { sessions, permits, max, acquire_timeout }
    }

    /// Opens the first connection, unless there is one.
    pub(in crate::store) async fn open(&self) -> sqlx::Result<()> {
        self.acquire().await?.release();
        Ok(())
    }

    pub(in crate::store) async fn acquire(&self) -> sqlx::Result<Lent> {
        self.lend(false).await
    }

    /// Lends a connection that has just answered, for a statement that may take long: on one that is cut off, it would wait
    /// for its whole limit.
    pub(super) async fn acquire_proven(&self) -> sqlx::Result<Lent> {
        self.lend(true).await
    }

    async fn lend(&self, proven: bool) -> sqlx::Result<Lent> {
        let until = Instant::now() + self.acquire_timeout;
        let permit = match self.permits.clone().try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => timeout_at(until, self.permits.clone().acquire_owned())
                .await
                .map_err(|_| sqlx::Error::PoolTimedOut)?
                .map_err(|_| sqlx::Error::PoolClosed)?,
        };
        let session = match (!proven).then(|| self.sessions.trusted()).flatten() {
            Some(session) => session,
            None => timeout_at(until, self.sessions.proven(until)).await.map_err(|_| sqlx::Error::PoolTimedOut)??,
        };
        Ok(Lent::new(self.sessions.clone(), session, permit))
    }

    /// Uses none of the open connections again.
    pub(in crate::store) fn discard(&self) {
        self.sessions.distrust_all();
    }

    /// Abandons every long statement if nothing was answered on any connection since `asked`, and uses none of the open
    /// connections again. All connections may wait for the same lock on a healthy server, so a new one is tried first.
    pub(in crate::store) async fn abandon_if_silent(&self, asked: Instant) {
        if self.sessions.has_answered_since(asked) {
            return;
        }
        let _ = timeout(ANSWER_TIMEOUT, self.sessions.try_connecting()).await;
        if !self.sessions.has_answered_since(asked) {
            self.sessions.distrust_all();
            self.sessions.lost.notify_waiters();
        }
    }

    /// Returns why the server refused a connection since then, if it did.
    pub(in crate::store) fn refusal_since(&self, asked: Instant) -> Option<Condition> {
        self.sessions.refusal_since(asked)
    }

    /// Closes all connections when their current statements are done.
    pub(in crate::store) async fn close(&self) {
        self.permits.close();
        let returned = async {
            while self.permits.available_permits() < self.max as usize {
                sleep(Duration::from_millis(2)).await;
            }
        };
        // A statement that takes longer is cut off.
        let _ = timeout(CLOSE_TIMEOUT, returned).await;
        let _ = timeout(CLOSE_TIMEOUT, self.sessions.close()).await;
    }
}

impl std::fmt::Debug for PgConnections {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "at most {} connections to {:?}", self.max, self.sessions)
    }
}
