//! Transient errors, and the retries of a transaction.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::time_limits;

/// Errors that may be transient.
pub trait Transient {
    /// True if the transaction was rolled back because of a conflict with another one (deadlock, serialization failure,
    /// busy file), so that the same work may succeed when it is repeated.
    fn is_transient(&self) -> bool;
}

/// Time after which no further attempt begins: the caller has given up by then, or soon will.
const WITHIN: Duration = Duration::from_secs(8);

/// The retries of one transaction: three at most, within a time limit.
pub(in crate::store) struct Retries {
    name: &'static str,
    used: u32,
    until: Instant,
}

impl Retries {
    pub(in crate::store) fn of(name: &'static str) -> Self {
        let within = time_limits::of_transaction(name).unwrap_or(WITHIN);
        Self { name, used: 0, until: Instant::now() + within }
    }

    /// True if the transaction may be repeated after this error.
    pub(in crate::store) fn allow(&self, error: &impl Transient) -> bool {
        self.used < 3 && Instant::now() < self.until && error.is_transient()
    }

    /// Counts a retry and pauses before it: 5, 25, then 125 ms.
    pub(in crate::store) async fn pause(&mut self) {
        metrics::counter!("transaction_retries_total", "transaction" => self.name).increment(1);
        tracing::debug!(transaction = self.name, "transaction conflicted with another one, repeating it");
        sleep(Duration::from_millis(5 * 5_u64.pow(self.used))).await;
        self.used += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Conflict;

    impl Transient for Conflict {
        fn is_transient(&self) -> bool {
            true
        }
    }

    #[tokio::test]
    async fn no_attempt_begins_after_the_third_retry_or_the_time_limit() {
        let mut counted = Retries::of("update user");
        for _ in 0..3 {
            assert!(counted.allow(&Conflict));
            counted.pause().await;
        }
        assert!(!counted.allow(&Conflict), "three retries");

        let began = Instant::now();
        let (mut late, long) = (Retries::of("update user"), Retries::of("delete service"));
        assert!(late.until <= began + WITHIN + Duration::from_secs(1), "its caller gives up soon");
        assert!(long.until >= began + 10 * WITHIN, "its caller waits for longer");
        late.until = began;
        assert!(!late.allow(&Conflict));
    }
}
