//! Intervals and time limits of the supervisor and its sessions.

use std::time::Duration;

/// Intervals and time limits of the supervisor. Production uses the defaults.
#[derive(Clone, Debug)]
pub struct Timing {
    /// Longest interval between two polls for changed users.
    pub poll_changes: Duration,
    /// Longest interval between two polls of the table of nodes.
    pub poll_nodes: Duration,
    /// Interval between two full syncs of a node, plus or minus 10 %.
    pub resync: Duration,
    /// Time limit of a full list, and what each of its users adds: the node hands every user to an engine.
    pub list: (Duration, Duration),
    /// Time limit of a change, and of the end of a batch.
    pub batch: Duration,
    /// How long a node that sends no acknowledgement has to fail a batch, before the batch counts as delivered.
    pub settle: Duration,
    /// How long a full sync holds memory that other full syncs may be waiting for.
    pub permit: Duration,
    /// The first pause before connecting again, and the longest: the pause doubles with each failure.
    pub backoff: (Duration, Duration),
    /// A session of this length resets the pause, and a node of this length in one state is no longer flapping.
    pub steady: Duration,
    /// Age at which an unserved sync request makes the supervisor connect again. Longer than any full list takes: a
    /// list has time limits of its own.
    pub unserved: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            poll_changes: Duration::from_millis(200),
            poll_nodes: Duration::from_secs(1),
            resync: Duration::from_secs(15 * 60),
            list: (Duration::from_secs(60), Duration::from_millis(20)),
            batch: Duration::from_secs(60),
            settle: Duration::from_millis(500),
            permit: Duration::from_secs(10),
            backoff: (Duration::from_millis(500), Duration::from_secs(30)),
            steady: Duration::from_secs(60),
            unserved: Duration::from_secs(15 * 60),
        }
    }
}

impl Timing {
    /// Time limit of a full list of `users` users.
    pub(super) fn list_limit(&self, users: usize) -> Duration {
        let (base, per_user) = self.list;
        base.saturating_add(per_user.saturating_mul(u32::try_from(users).unwrap_or(u32::MAX)))
    }
}
