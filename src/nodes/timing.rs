//! Intervals and time limits of the supervisor and its sessions.

use std::time::Duration;

/// Longest pause after a poll that failed: the notification that came with it is used up.
pub(super) const AFTER_FAILURE: Duration = Duration::from_millis(200);

/// Intervals and time limits of the supervisor. Production uses the defaults.
#[derive(Clone, Debug)]
pub struct Timing {
    /// Longest interval between two polls for changed users.
    pub poll_changes: Duration,
    /// Longest interval between two polls of the table of nodes.
    pub poll_nodes: Duration,
    /// Interval between two looks at a row of a node that a session waits for.
    pub poll_waiting: Duration,
    /// Interval between two questions whether a node's engines run, and the time after which an engine that does not run is
    /// asked about again before it counts as ended.
    pub probe_engines: (Duration, Duration),
    /// Interval between two full syncs of a node, plus or minus 10 %.
    pub resync: Duration,
    /// Time limit of a call that changes users, and what each operation adds: the node has an engine add or remove one
    /// user on one inbound. Generous, because a call that is broken off leaves a node stuck.
    pub call: (Duration, Duration),
    /// How long a node that sends no acknowledgement has to fail a batch, before the batch counts as delivered, and what
    /// each operation adds.
    pub settle: (Duration, Duration),
    /// How long a full sync holds memory that other full syncs may be waiting for.
    pub permit: Duration,
    /// The first pause before connecting again, and the longest: the pause doubles with each failure.
    pub backoff: (Duration, Duration),
    /// A session of this length resets the pause, and a node of this length in one state is no longer flapping.
    pub steady: Duration,
    /// How long a node must have refused its users, in every way, before its engines are restarted.
    pub refused: Duration,
    /// Shortest time between two such restarts of a node, of all panels together; `None`: never.
    pub healing: Option<Duration>,
    /// How long such a restart waits for the usage collector: engines that restart may lose their counters.
    pub last_usage: Duration,
    /// Age at which an unserved sync request makes the supervisor connect again. Longer than the full list of a hundred
    /// thousand users takes.
    pub unserved: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            poll_changes: Duration::from_millis(200),
            poll_nodes: Duration::from_secs(1),
            poll_waiting: Duration::from_secs(1),
            probe_engines: (Duration::from_secs(5), Duration::from_secs(1)),
            resync: Duration::from_secs(15 * 60),
            // A node may also have to remove many users that are not in the list. A small one takes 1 ms per operation.
            call: (Duration::from_secs(300), Duration::from_millis(10)),
            settle: (Duration::from_millis(500), Duration::from_millis(1)),
            permit: Duration::from_secs(10),
            backoff: (Duration::from_millis(500), Duration::from_secs(30)),
            steady: Duration::from_secs(60),
            refused: Duration::from_secs(30),
            healing: Some(Duration::from_secs(3_600)),
            last_usage: Duration::from_secs(60),
            unserved: Duration::from_secs(15 * 60),
        }
    }
}

impl Timing {
    /// The usual intervals and limits where commits of others are noticed and announced: polling only makes up for a commit
    /// that was missed.
    pub fn watched() -> Self {
        Self { poll_changes: Duration::from_secs(5), poll_nodes: Duration::from_secs(5), ..Self::default() }
    }

    /// Time limit of a call with this many operations.
    pub(super) fn limit(&self, operations: usize) -> Duration {
        scaled(self.call, operations)
    }

    /// How long a batch with this many operations must go without a failure to count as delivered.
    pub(super) fn quiet(&self, operations: usize) -> Duration {
        scaled(self.settle, operations)
    }
}

fn scaled((base, each): (Duration, Duration), count: usize) -> Duration {
    base.saturating_add(each.saturating_mul(u32::try_from(count).unwrap_or(u32::MAX)))
}
