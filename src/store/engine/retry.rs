//! Transient errors, and the retries of a transaction.

use std::time::Duration;

use tokio::time::sleep;

/// Errors that may be transient.
pub trait Transient {
    /// True if the transaction was rolled back because of a conflict with another one (deadlock, serialization failure,
    /// busy file), so that the same work may succeed when it is repeated.
    fn is_transient(&self) -> bool;
}

/// The retries of one transaction: three at most.
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

    /// Counts a retry and pauses before it: 5, 25, then 125 ms.
    pub(in crate::store) async fn pause(&mut self) {
        metrics::counter!("transaction_retries_total", "transaction" => self.name).increment(1);
        tracing::debug!(transaction = self.name, "transaction conflicted with another one, repeating it");
        sleep(Duration::from_millis(5 * 5_u64.pow(self.used))).await;
        self.used += 1;
    }
}
