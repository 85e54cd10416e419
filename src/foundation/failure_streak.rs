//! A series of failures, logged once per kind and counted, so that a loop that tries again does not fill the log.

use std::collections::BTreeSet;

/// Failures since the last success.
#[derive(Debug, Default)]
pub struct FailureStreak {
    count: u64,
    kinds: BTreeSet<&'static str>,
}

impl FailureStreak {
    /// Counts a failure. Returns true if it is to be logged: the first of its kind in this series.
    pub fn failed(&mut self, kind: &'static str) -> bool {
        self.count += 1;
        self.kinds.insert(kind)
    }

    /// Ends the series with a success. Returns the number of failures; `None` if there was none.
    pub fn ended(&mut self) -> Option<u64> {
        let count = std::mem::take(self).count;
        (count > 0).then_some(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_logged_once_until_a_success() {
        let mut streak = FailureStreak::default();
        assert_eq!(streak.ended(), None);
        let logged: Vec<bool> = ["down", "down", "full", "down"].map(|kind| streak.failed(kind)).into();
        assert_eq!(logged, [true, false, true, false]);
        assert_eq!(streak.ended(), Some(4));
        assert_eq!(streak.ended(), None);
        assert!(streak.failed("down"));
    }
}
