//! Status of Redis as the lease's thread sees it: the only thread that talks to Redis at least every two seconds. Health,
//! `GET /api/cluster` and the metrics `redis_up` and `redis_subscription_up` read it; nobody asks Redis for them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use redis::RedisError;
use tokio::sync::watch;

use crate::foundation::with_sources;

/// Logged when Redis stops answering.
pub const NO_ANSWER: &str = "redis does not answer; until it does, the database alone decides who leads";

/// Status of Redis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RedisStatus {
    /// `REDIS_URL` is not set.
    Off,
    /// Redis answered the last command, and the subscription to wake-ups stands.
    Ok,
    /// The last command failed, and leader election uses the database alone; or the subscription to wake-ups is lost.
    Down,
}

/// Publishes the status. Cheap to clone; clones share the status.
#[derive(Clone, Debug)]
pub struct RedisMonitor {
    status: watch::Sender<RedisStatus>,
    commands: Arc<AtomicBool>,
    subscription: Arc<AtomicBool>,
}

impl RedisMonitor {
    /// A monitor with an initial status.
    pub fn new(status: RedisStatus) -> Self {
        let (commands, subscription) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicBool::new(true)));
        Self { status: watch::Sender::new(status), commands, subscription }
    }

    /// Subscribes to the status.
    pub fn subscribe(&self) -> watch::Receiver<RedisStatus> {
        self.status.subscribe()
    }

    /// Records that Redis answered; logs it if the status changes.
    pub(super) fn succeeded(&self) {
        if self.set(&self.commands, metrics::gauge!("redis_up"), true) {
            tracing::info!("redis answers again");
        }
    }

    /// Records that a command failed; logs it if the status changes.
    pub(super) fn failed(&self, error: &RedisError) {
        if self.set(&self.commands, metrics::gauge!("redis_up"), false) {
            tracing::warn!(%error, "{NO_ANSWER}");
        }
    }

    /// Records that the subscription to wake-ups stands; logs it if that changes.
    pub(super) fn subscribed(&self) {
        if self.set(&self.subscription, metrics::gauge!("redis_subscription_up"), true) {
            tracing::info!("subscribed to wake-ups of other processes again");
        }
    }

    /// Records that the subscription to wake-ups is lost; logs it if that changes.
    pub(super) fn unsubscribed(&self, reason: &RedisError) {
        if self.set(&self.subscription, metrics::gauge!("redis_subscription_up"), false) {
            let error = with_sources(reason);
            tracing::warn!(error, "wake-ups of other processes do not arrive; changes are found by polling meanwhile");
        }
    }

    /// Sets one part of the status. Returns true if the part changed.
    fn set(&self, part: &AtomicBool, metric: metrics::Gauge, up: bool) -> bool {
        metric.set(if up { 1.0 } else { 0.0 });
        let changed = part.swap(up, Ordering::Relaxed) != up;
        let both = self.commands.load(Ordering::Relaxed) && self.subscription.load(Ordering::Relaxed);
        let status = if both { RedisStatus::Ok } else { RedisStatus::Down };
        self.status.send_if_modified(|current| std::mem::replace(current, status) != status);
        changed
    }
}
