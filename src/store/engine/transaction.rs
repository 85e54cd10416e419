//! Transactions that run a closure, commit, and repeat the closure after a transient error.

use futures_util::future::BoxFuture;

use super::db::{Db, Tx};
use super::error::StoreError;
use super::retry::{Retries, Transient};

/// An async closure over `&mut X` whose futures can be sent between threads, which `AsyncFnMut` alone can't promise.
pub trait Work<'t, X, T, E>: Send {
    /// One run of the closure.
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
    /// transaction is repeated, up to three times. `name` says what the transaction does, for the log.
    ///
    /// `work` must have no effects outside of the transaction, because it may run more than once. On SQLite all writers
    /// wait for it: 250 ms at most, and no network I/O.
    pub fn transaction<'a, T, E>(
        &'a self,
        name: &'static str,
        mut work: impl AsyncFnMut(&mut Tx) -> Result<T, E> + for<'t> Work<'t, Tx, T, E> + 'a,
    ) -> BoxFuture<'a, Result<T, E>>
    where
        T: Send + 'a,
        E: From<StoreError> + Transient + Send + 'a,
    {
        Box::pin(async move {
            let mut retries = Retries::of(name);
            loop {
                let attempt = async {
                    let mut tx = self.begin().await?;
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
}
