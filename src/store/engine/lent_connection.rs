//! A connection to PostgreSQL in use: time limits of its statements, and where it goes afterwards.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use sqlx::{Connection, Executor, PgConnection};
use tokio::runtime::Handle;
use tokio::time::{Instant, timeout};

use super::condition::Condition;
use super::error_codes;
use super::postgres_sessions::{PING_TIMEOUT, Permit, Session, Sessions, no_answer};

/// A connection in use. Dropped without [`Lent::release`], because its statement failed or its caller was cancelled, it is
/// used again only if it answers within [`PING_TIMEOUT`]; until then its place in the pool is taken.
pub(in crate::store) struct Lent {
    sessions: Arc<Sessions>,
    held: Option<(Session, Permit)>,
    when_dropped: WhenDropped,
}

/// Ends a transaction without its changes.
pub(super) const ROLLBACK: &str = "ROLLBACK";

/// The way of a connection that is dropped.
#[derive(Clone, Copy, Debug)]
enum WhenDropped {
    /// Used again after a ping, which also awaits the answer to a cancelled statement.
    Ping,
    /// Used again after a ROLLBACK.
    RollBack,
    /// Closed: its state is not known.
    Close,
}

impl Lent {
    pub(super) const fn new(sessions: Arc<Sessions>, session: Session, permit: Permit) -> Self {
        Self { sessions, held: Some((session, permit)), when_dropped: WhenDropped::Ping }
    }

    /// The connection itself, without time limits.
    pub(in crate::store) fn connection(&mut self) -> sqlx::Result<&mut PgConnection> {
        self.held.as_mut().map(|(session, _)| &mut session.connection).ok_or(sqlx::Error::WorkerCrashed)
    }

    /// Runs a statement: `ask` starts it and `limit` bounds it.
    pub(super) async fn run<'a, T, F>(
        &'a mut self,
        limit: Limit,
        ask: impl FnOnce(&'a mut PgConnection) -> F,
    ) -> sqlx::Result<T>
    where
        F: Future<Output = sqlx::Result<T>> + 'a,
    {
        let Self { sessions, held, when_dropped } = self;
        let (session, _) = held.as_mut().ok_or(sqlx::Error::WorkerCrashed)?;
        let generation = session.generation();
        let result = within(sessions, limit, ask(&mut session.connection)).await;
        if let Ok(_) | Err(sqlx::Error::Database(_)) = &result {
            sessions.answered(Instant::now());
        }
        if let Err(error) = &result {
            match usability(error) {
                Usability::Good => {}
                Usability::MissedLimit => {
                    *when_dropped = WhenDropped::Close;
                    sessions.suspect();
                }
                Usability::Broken => {
                    *when_dropped = WhenDropped::Close;
                    sessions.distrust(generation);
                }
            }
        }
        result
    }

    /// Begins a transaction with these statements, sent as one message.
    pub(super) async fn begin(&mut self, limit: Limit, statements: &'static str) -> sqlx::Result<()> {
        // If the caller is cancelled, the server may have begun it or not.
        self.when_dropped = WhenDropped::Close;
        self.run(limit, |connection| connection.execute(statements)).await?;
        self.when_dropped = WhenDropped::RollBack;
        Ok(())
    }

    /// Ends the transaction, and returns the connection. If that fails, the connection is closed.
    pub(super) async fn end(mut self, limit: Limit, statement: &'static str) -> sqlx::Result<()> {
        self.when_dropped = WhenDropped::Close;
        self.run(limit, |connection| connection.execute(statement)).await?;
        self.release();
        Ok(())
    }

    /// Returns the connection after a statement that succeeded.
    pub(super) fn release(mut self) {
        if let Some((session, permit)) = self.held.take() {
            self.sessions.put_back(session);
            drop(permit);
        }
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let Some((mut session, permit)) = self.held.take() else { return };
        // Dropping a session closes its socket at once, without waiting for a server that may be gone.
        let (WhenDropped::Ping | WhenDropped::RollBack) = self.when_dropped else { return };
        let (sessions, when_dropped) = (self.sessions.clone(), self.when_dropped);
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async move {
                let connection = &mut session.connection;
                let cleaned = timeout(PING_TIMEOUT, async {
                    match when_dropped {
                        WhenDropped::RollBack => connection.execute(ROLLBACK).await.map(drop),
                        _ => connection.ping().await,
                    }
                });
                match cleaned.await {
                    Ok(Ok(())) => sessions.put_back(session),
                    Ok(Err(_)) => sessions.distrust(session.generation()),
                    Err(_) => sessions.suspect(),
                }
                drop(permit);
            });
        }
    }
}

impl std::fmt::Debug for Lent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a connection in use, when dropped: {:?}", self.when_dropped)
    }
}

/// Time limit of a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limit {
    pub(super) time: Duration,
    /// Longer than other statements: abandoned when the database answers nothing at all.
    pub(super) is_long: bool,
}

/// Awaits an answer within its time limit.
async fn within<T>(
    sessions: &Sessions,
    limit: Limit,
    answer: impl Future<Output = sqlx::Result<T>>,
) -> sqlx::Result<T> {
    let answer = timeout(limit.time, answer);
    if !limit.is_long {
        return answer.await.unwrap_or_else(|_| Err(no_answer(limit.time)));
    }
    tokio::select! {
        answered = answer => answered.unwrap_or_else(|_| Err(no_answer(limit.time))),
        () = sessions.lost.notified() => Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "the database answers nothing on any connection, so the statement was abandoned",
        ).into()),
    }
}

/// Usability of a connection after an error.
enum Usability {
    /// The server refused the statement and awaits the next one.
    Good,
    /// The statement may still run, or the server is gone.
    MissedLimit,
    /// The session is over or of no use, and the others probably too.
    Broken,
}

fn usability(error: &sqlx::Error) -> Usability {
    let condition = error_codes::condition(error);
    match error {
        sqlx::Error::Io(error) if error.kind() == io::ErrorKind::TimedOut => Usability::MissedLimit,
        sqlx::Error::Database(_) => match condition {
            Some(
                Condition::Unreachable | Condition::ShuttingDown | Condition::ReadOnly | Condition::OutOfConnections,
            ) => Usability::Broken,
            _ => Usability::Good,
        },
        _ if condition.is_some() => Usability::Broken,
        _ => Usability::Good,
    }
}
