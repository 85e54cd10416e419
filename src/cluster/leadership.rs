//! What a leader hands to those who work under it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::domain::moment::BootTime;
use crate::domain::term::Term;

/// One term, with the sign to stop and the heartbeat by which the scheduler shows that it is not stuck.
#[derive(Clone, Debug)]
pub struct Leadership {
    /// The term.
    pub term: Term,
    /// Cancelled when no new work may begin: the term is over, or is being handed over.
    pub stop: CancellationToken,
    /// To be beaten by the scheduler's loop.
    pub heartbeat: LoopHeartbeat,
    /// Notified when somebody asks the leader to hand over.
    pub hand_over: Arc<Notify>,
}

/// The last sign of life of the scheduler's loop.
#[derive(Clone, Debug)]
pub struct LoopHeartbeat(Arc<AtomicI64>);

impl LoopHeartbeat {
    /// A heartbeat that beat at `now`.
    pub fn new(now: BootTime) -> Self {
        Self(Arc::new(AtomicI64::new(now.micros())))
    }

    /// Beats.
    pub fn beat(&self, now: BootTime) {
        self.0.store(now.micros(), Ordering::Relaxed);
    }

    /// Microseconds since the last beat.
    pub fn silence(&self, now: BootTime) -> i64 {
        now.micros() - self.0.load(Ordering::Relaxed)
    }
}

/// Where a process stands, for health and the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// Nobody leads as far as this process knows, or it can't tell.
    None,
    /// Somebody else leads.
    Follower,
    /// This process leads.
    Leader,
}
