//! Transactions that run a closure, commit, and repeat the closure after a transient error.

use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::time::sleep;

use super::db::{Db, Tx};
use super::error::StoreError;

/// An error type that can say whether another attempt may succeed.
pub trait Transient {
    /// True if the transaction only conflicted with another one (deadlock, serialization failure, busy file): the
    /// database rolled it back, and the same work may succeed when it is repeated.
    fn is_transient(&self) -> bool;
}

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

/// The retries that a transaction has left: three at first.
pub(in crate::store) struct Retries {
    name: &'static str,
    used: u32,
}

impl Retries {
    pub(in crate::store) const fn of(name: &'static str) -> Self {
        Self { name, used: 0 }
    }

    /// True if the transaction may be repeated after this error.
    pub(in crate::store) fn allow(&self, error: &impl Transient) -> bool {
        self.used < 3 && error.is_transient()
    }

    /// Takes one retry: 5, 25 or 125 ms of pause.
    pub(in crate::store) async fn pause(&mut self) {
        metrics::counter!("transaction_retries_total", "transaction" => self.name).increment(1);
        tracing::debug!(transaction = self.name, "transaction conflicted with another one; repeating it");
        sleep(Duration::from_millis(5 * 5_u64.pow(self.used))).await;
        self.used += 1;
    }
}
