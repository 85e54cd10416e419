//! Intervals and limits of delivery.

use std::time::Duration;

/// Intervals and limits of delivery. Production uses the defaults, except for the settings `retry_after` and
/// `attempts`.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// Pause between two attempts to deliver an entry.
    pub retry_after: Duration,
    /// Attempts before an entry becomes a dead letter.
    pub attempts: u32,
    /// Longest interval between two polls of the outbox.
    pub poll: Duration,
    /// Pause after a destination did not answer, or after the database did not.
    pub silence: Duration,
    /// How long more events are awaited before a digest.
    pub gather: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            retry_after: Duration::from_secs(180),
            attempts: 3,
            poll: Duration::from_secs(1),
            silence: Duration::from_secs(30),
            gather: Duration::from_secs(3),
        }
    }
}

impl Timing {
    /// Pause after a destination did not answer at all.
    pub(super) fn pause(&self) -> Duration {
        self.silence.min(self.retry_after)
    }
}
