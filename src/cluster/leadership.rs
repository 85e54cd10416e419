//! The leader's term as handed to the work that runs under it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::domain::moment::BootTime;
use crate::domain::term::Term;

/// One term, with the signal to stop and the heartbeat of the scheduler's loop.
#[derive(Clone, Debug)]
pub struct Leadership {
    /// The term.
    pub term: Term,
    /// Cancelled when no new work may begin: the term is over, or is being handed over.
    pub stop: CancellationToken,
    /// Heartbeat of the scheduler's loop.
    pub heartbeat: LoopHeartbeat,
    /// Notified to make the leader hand over.
    pub step_down: Arc<Notify>,
}

/// Time of the last sign of life of the scheduler's loop. Clones share it.
#[derive(Clone, Debug)]
pub struct LoopHeartbeat(Arc<AtomicI64>);

impl LoopHeartbeat {
    /// A heartbeat with its first beat at `now`.
    pub fn new(now: BootTime) -> Self {
        Self(Arc::new(AtomicI64::new(now.micros())))
    }

    /// Records a beat.
    pub fn beat(&self, now: BootTime) {
        self.0.store(now.micros(), Ordering::Relaxed);
    }

    /// Microseconds since the last beat.
    pub fn silence(&self, now: BootTime) -> i64 {
        now.micros() - self.0.load(Ordering::Relaxed)
    }
}

/// Role of a process in its cluster, for health and the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// No leader, as far as this process knows.
    None,
    /// Another process leads.
    Follower,
    /// This process leads.
    Leader,
}
