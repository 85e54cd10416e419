//! Failures of a copy's file in a row: each kind is logged once, and each is followed by a longer pause than the one before.

use std::error::Error;
use std::time::Duration;

use crate::foundation::FailureStreak;

/// Pause after the first failure, and the longest one.
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(30);

/// The failures since the last success.
#[derive(Debug, Default)]
pub(super) struct FileFailures {
    in_a_row: u32,
    streak: FailureStreak,
}

impl FileFailures {
    /// Counts a failure, and logs the first one of its kind. Returns the pause until the next attempt.
    pub(super) fn failed(&mut self, what: &'static str, kind: &'static str, error: &(dyn Error + 'static)) -> Duration {
        metrics::counter!("subscription_copy_failures_total").increment(1);
        if self.streak.failed(kind) {
            tracing::error!(error, "{what}; check the disk of DATA_DIR and its permissions");
        }
        let pause = FIRST.saturating_mul(2_u32.saturating_pow(self.in_a_row)).min(LONGEST);
        self.in_a_row += 1;
        pause
    }

    /// Number of failures since the last success.
    pub(super) const fn in_a_row(&self) -> u32 {
        self.in_a_row
    }

    /// Ends the series with a success.
    pub(super) fn ended(&mut self) {
        self.in_a_row = 0;
        if self.streak.ended().is_some() {
            tracing::info!("the local copy of subscriptions can be written again");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_half_a_minute_and_begin_again_after_a_success() {
        let mut failures = FileFailures::default();
        let error = std::io::Error::other("full");
        let seconds: Vec<u64> = (0..8).map(|_| failures.failed("x", "full", &error).as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 16, 30, 30, 30]);
        failures.ended();
        assert_eq!((failures.in_a_row(), failures.failed("x", "full", &error)), (0, FIRST));
    }
}
