//! Which errors are worth another attempt, and how often a transaction is repeated.

use std::time::Duration;

use tokio::time::sleep;

/// An error type that can say whether another attempt may succeed.
pub trait Transient {
    /// True if the transaction only conflicted with another one (deadlock, serialization failure, busy file): the
    /// database rolled it back, and the same work may succeed when it is repeated.
    fn is_transient(&self) -> bool;
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
