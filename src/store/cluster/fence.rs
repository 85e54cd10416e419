//! The fence: a transaction that commits only under the current epoch, so that a deposed leader can write nothing.
//!
//! The check is the last statement before the commit, `SELECT … FOR SHARE` on PostgreSQL: a claim of the next epoch
//! then waits for this transaction, or this transaction finds the epoch gone. On SQLite BEGIN IMMEDIATE does as much.

use std::time::Duration;

use futures_util::future::BoxFuture;
use sqlx::query_scalar;

use crate::clock::Clock;
use crate::domain::term::{OpenWork, Term};
use crate::store::engine::retry::Retries;
use crate::store::engine::statement::{db_execute, db_run, statements};
use crate::store::engine::transaction::Work;
use crate::store::engine::{Db, StoreError, Transient, Tx};

statements! {
    LIMITS => pg
        "SELECT set_config('statement_timeout', $1, TRUE), set_config('idle_in_transaction_session_timeout', $1, TRUE),
         set_config('application_name', $2, TRUE)",
        lite "SELECT $1, $2";
    STATEMENT_TIMEOUT => pg "SELECT set_config('statement_timeout', $1, TRUE)", lite "SELECT $1";
    EPOCH_IS_CURRENT =>
        pg "SELECT epoch FROM scheduler_epoch WHERE epoch = $1 FOR SHARE",
        lite "SELECT epoch FROM scheduler_epoch WHERE epoch = $1";
}

/// What a task gets instead of a pool. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Fence {
    db: Db,
    clock: Clock,
    term: Term,
    limit: Duration,
    session_name: String,
}

/// A transaction that commits only while its term is current.
#[derive(Debug)]
pub struct FencedTx {
    tx: Tx,
    term: Term,
    _work: OpenWork,
}

/// Why fenced work came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum FenceError {
    /// Somebody else leads, or nobody: nothing was written.
    #[error("this process does not lead any more")]
    Deposed,
    /// The database refused.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Transient for FenceError {
    fn is_transient(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_transient())
    }
}

impl Fence {
    /// A fence for one term. `limit` bounds every statement and every pause inside a transaction (PostgreSQL);
    /// `session_name` is what a successor finds in `pg_stat_activity` when it has to terminate them.
    pub const fn new(db: Db, clock: Clock, term: Term, limit: Duration, session_name: String) -> Self {
        Self { db, clock, term, limit, session_name }
    }

    /// For reading outside a transaction.
    pub const fn db(&self) -> &Db {
        &self.db
    }

    /// The term that this fence guards.
    pub const fn term(&self) -> &Term {
        &self.term
    }

    /// Whether there is any use in beginning, or sending, anything.
    pub fn is_alive(&self) -> bool {
        self.term.is_alive(self.clock.boot())
    }

    /// Announces work that ends with fenced transactions: a hand-over waits for it, a few seconds at most.
    pub fn open_work(&self) -> Result<OpenWork, FenceError> {
        self.term.begin_work(self.clock.boot()).ok_or(FenceError::Deposed)
    }

    /// Runs `work` in a fenced transaction and commits it; the rules are those of [`Db::transaction`].
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

    /// The same as a part of work that was announced before: it may begin during a hand-over, too.
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

    /// Begins a fenced transaction of work that was announced before; during a hand-over, too.
    async fn begin_part(&self, of: &OpenWork) -> Result<FencedTx, FenceError> {
        let work = of.part(self.clock.boot()).ok_or(FenceError::Deposed)?;
        let mut tx = self.db.begin().await?;
        if let Tx::Pg(_) = tx {
            let limit = milliseconds(self.limit);
            db_execute!(&mut tx, LIMITS, limit, &self.session_name)?;
        }
        Ok(FencedTx { tx, term: self.term.clone(), _work: work })
    }
}

impl FencedTx {
    /// Lets single statements of this transaction take longer: safe, because the fence comes last.
    pub async fn allow(&mut self, limit: Duration) -> Result<(), StoreError> {
        let limit = milliseconds(limit);
        db_execute!(&mut self.tx, STATEMENT_TIMEOUT, limit)
    }

    /// Commits if the term is still the current one; otherwise rolls back and ends the term.
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

    /// Gives up what was written.
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
