//! Transactions as closures: begin, run, commit, and repeat after a transient error.

use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::BoxFuture;

use super::db::{Db, Tx};
use super::error::StoreError;
use super::retry::{Retries, Transient};
use super::time_limits;

/// An async closure over `&mut X` whose futures are `Send`, a bound that `AsyncFnMut` can't express.
pub trait Work<'t, X, T, E>: Send {
    /// The future of one run.
    type Future: Future<Output = Result<T, E>> + Send;

    /// Runs the closure.
    fn run(&mut self, tx: &'t mut X) -> Self::Future;
}

impl<'t, X: 't, T, E, W, F> Work<'t, X, T, E> for W
where
    W: FnMut(&'t mut X) -> F + Send,
    F: Future<Output = Result<T, E>> + Send,
{
    type Future = F;

    fn run(&mut self, tx: &'t mut X) -> F {
        self(tx)
    }
}

impl Db {
    /// Runs `work` in a transaction and commits it. An error rolls the transaction back; after a transient error the
    /// transaction is repeated, up to three times within 8 s, or within the time limit of its statements. `name` describes the transaction in the log and in
    /// `transaction_retries_total`.
    ///
    /// `work` may run more than once, so it must have no effects outside the transaction. On SQLite all other writers
    /// wait for it: keep it short (250 ms at most), without network I/O.
    pub fn transaction<'a, T, E>(
        &'a self,
        name: &'static str,
        work: impl AsyncFnMut(&mut Tx) -> Result<T, E> + for<'t> Work<'t, Tx, T, E> + 'a,
    ) -> BoxFuture<'a, Result<T, E>>
    where
        T: Send + 'a,
        E: From<StoreError> + Transient + Send + 'a,
    {
        self.transaction_watched(name, None, work)
    }

    /// Like [`Db::transaction`]. `committing` becomes true when a commit begins and false when another attempt begins:
    /// if the future fails or is dropped while it is true, the commit may have happened.
    pub fn transaction_watched<'a, T, E>(
        &'a self,
        name: &'static str,
        committing: Option<&'a AtomicBool>,
        mut work: impl AsyncFnMut(&mut Tx) -> Result<T, E> + for<'t> Work<'t, Tx, T, E> + 'a,
    ) -> BoxFuture<'a, Result<T, E>>
    where
        T: Send + 'a,
        E: From<StoreError> + Transient + Send + 'a,
    {
        Box::pin(async move {
            let set_committing = |begun| {
                if let Some(committing) = committing {
                    committing.store(begun, Ordering::Relaxed);
                }
            };
            let (mut retries, limit) = (Retries::of(name), time_limits::of_transaction(name));
            loop {
                let attempt = async {
                    set_committing(false);
                    let mut tx = match limit {
                        Some(limit) => self.begin_long(limit).await?,
                        None => self.begin().await?,
                    };
                    let done = work.run(&mut tx).await?;
                    set_committing(true);
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
}
