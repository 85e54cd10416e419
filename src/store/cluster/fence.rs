//! The fence: a transaction commits only under the current epoch, so that a deposed leader can write nothing.
//!
//! The check is the last statement before the commit. On PostgreSQL it is `SELECT … FOR SHARE`: a claim of the next
//! epoch waits for this transaction, or this transaction finds that the epoch has changed. On SQLite, BEGIN IMMEDIATE
//! has the same effect.

use std::time::Duration;

use futures_util::future::BoxFuture;
use sqlx::query_scalar;

use crate::clock::Clock;
use crate::domain::term::{OpenWork, Term};
use crate::store::engine::retry::Retries;
use crate::store::engine::statement::{db_execute, db_run, statements};
use crate::store::engine::time_limits;
use crate::store::engine::transaction::Work;
use crate::store::engine::{Db, StoreError, Transient, Tx};

statements! {
    LIMITS => pg
        "SELECT set_config('statement_timeout', $1, TRUE), set_config('idle_in_transaction_session_timeout', $1, TRUE),
         set_config('lock_timeout', '0', TRUE), set_config('application_name', $2, TRUE)",
        lite "SELECT $1, $2";
    STATEMENT_TIMEOUT => pg "SELECT set_config('statement_timeout', $1, TRUE)", lite "SELECT $1";
    EPOCH_IS_CURRENT =>
        pg "SELECT epoch FROM scheduler_epoch WHERE epoch = $1 FOR SHARE",
        lite "SELECT epoch FROM scheduler_epoch WHERE epoch = $1";
}

/// Access to the database for a leader's tasks; the only way for them to write. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Fence {
    db: Db,
    clock: Clock,
    term: Term,
    limit: Duration,
    session_name: String,
}

/// A transaction that commits only while its term is the current one.
#[derive(Debug)]
pub struct FencedTx {
    tx: Tx,
    term: Term,
    _work: OpenWork,
}

/// An error of fenced work.
#[derive(Debug, thiserror::Error)]
pub enum FenceError {
    /// This process is no longer the leader; nothing was written.
    #[error("this process is no longer the leader")]
    Deposed,
    /// A statement failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Transient for FenceError {
    fn is_transient(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_transient())
    }
}

impl Fence {
    /// Creates the fence of a term. `limit` bounds every statement and every pause in a transaction (PostgreSQL only).
    /// A successor finds the sessions to terminate by `session_name`, in `pg_stat_activity`.
    pub const fn new(db: Db, clock: Clock, term: Term, limit: Duration, session_name: String) -> Self {
        Self { db, clock, term, limit, session_name }
    }

    /// Returns the database, for reads outside a transaction.
    pub const fn db(&self) -> &Db {
        &self.db
    }

    /// Returns the term of this fence.
    pub const fn term(&self) -> &Term {
        &self.term
    }

    /// True while the term is alive. Check it before starting work or sending anything.
    pub fn is_alive(&self) -> bool {
        self.term.is_alive(self.clock.boot())
    }

    /// Announces work that ends with fenced transactions. A hand-over waits for it, a few seconds at most.
    pub fn open_work(&self) -> Result<OpenWork, FenceError> {
        self.term.begin_work(self.clock.boot()).ok_or(FenceError::Deposed)
    }

    /// Runs `work` in a fenced transaction and commits it, with the retries of [`Db::transaction`].
    pub fn transaction<'a, T, E>(
        &'a self,
        name: &'static str,
        work: impl AsyncFnMut(&mut FencedTx) -> Result<T, E> + for<'t> Work<'t, FencedTx, T, E> + 'a,
    ) -> BoxFuture<'a, Result<T, E>>
    where
        T: Send + 'a,
        E: From<FenceError> + Transient + Send + 'a,
    {
        self.transaction_of(None, name, work)
    }

    /// Like [`Fence::transaction`], as part of announced work: it may also begin during a hand-over.
    pub fn transaction_of<'a, T, E>(
        &'a self,
        announced: Option<&'a OpenWork>,
        name: &'static str,
        mut work: impl AsyncFnMut(&mut FencedTx) -> Result<T, E> + for<'t> Work<'t, FencedTx, T, E> + 'a,
    ) -> BoxFuture<'a, Result<T, E>>
    where
        T: Send + 'a,
        E: From<FenceError> + Transient + Send + 'a,
    {
        Box::pin(async move {
            let mut retries = Retries::of(name);
            loop {
                let attempt = async {
                    let mut tx = match announced {
                        Some(announced) => self.begin_part(announced).await?,
                        None => self.begin().await?,
                    };
                    let done = work.run(&mut tx).await?;
                    tx.commit().await?;
                    Ok(done)
                };
                match attempt.await {
                    Err(error) if retries.allow(&error) => retries.pause().await,
                    result => return result,
                }
            }
        })
    }

    /// Begins a fenced transaction.
    pub async fn begin(&self) -> Result<FencedTx, FenceError> {
        self.begin_part(&self.open_work()?).await
    }

    /// Begins a fenced transaction as part of announced work.
    async fn begin_part(&self, of: &OpenWork) -> Result<FencedTx, FenceError> {
        let work = of.part(self.clock.boot()).ok_or(FenceError::Deposed)?;
        let mut tx = self.db.begin().await?;
        if let Tx::Pg(_) = tx {
            // The server's limit is the shorter one, with the better error.
            tx.allow(self.limit + time_limits::MARGIN);
            db_execute!(&mut tx, LIMITS, milliseconds(self.limit), &self.session_name)?;
        }
        Ok(FencedTx { tx, term: self.term.clone(), _work: work })
    }
}

impl FencedTx {
    /// Sets the time limit of each statement in this transaction. A long limit is safe, because the fence is checked
    /// last.
    pub async fn allow(&mut self, limit: Duration) -> Result<(), StoreError> {
        self.tx.allow(limit + time_limits::MARGIN);
        db_execute!(&mut self.tx, STATEMENT_TIMEOUT, milliseconds(limit))
    }

    /// Commits if the term is still current; otherwise rolls back and ends the term.
    pub async fn commit(mut self) -> Result<(), FenceError> {
        let epoch = self.term.epoch().0;
        let current = db_run!(&mut self.tx, EPOCH_IS_CURRENT, |sql, c| {
            query_scalar::<_, i64>(sql).bind(epoch).fetch_optional(c).await
        })?;
        if current.is_none() {
            self.term.end();
            metrics::counter!("fenced_total").increment(1);
            self.tx.rollback().await?;
            return Err(FenceError::Deposed);
        }
        Ok(self.tx.commit().await?)
    }

    /// Rolls back.
    pub async fn rollback(self) -> Result<(), StoreError> {
        self.tx.rollback().await
    }
}

impl std::ops::Deref for FencedTx {
    type Target = Tx;

    fn deref(&self) -> &Tx {
        &self.tx
    }
}

impl std::ops::DerefMut for FencedTx {
    fn deref_mut(&mut self) -> &mut Tx {
        &mut self.tx
    }
}

fn milliseconds(limit: Duration) -> String {
    limit.as_millis().to_string()
}
