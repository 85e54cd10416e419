//! Status of Redis as the lease's thread sees it: the only thread that talks to Redis at least every two seconds. Health,
//! `GET /api/cluster` and the metric `redis_up` read it; nobody asks Redis for them.

use redis::RedisError;
use tokio::sync::watch;

/// Status of Redis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RedisStatus {
    /// `REDIS_URL` is not set.
    Off,
    /// Redis answered the last command.
    Ok,
    /// The last command failed; leader election uses the database alone.
    Down,
}

/// Publishes the status. Cheap to clone; clones share the status.
#[derive(Clone, Debug)]
pub struct RedisMonitor(watch::Sender<RedisStatus>);

impl RedisMonitor {
    /// A monitor with an initial status.
    pub fn new(status: RedisStatus) -> Self {
        Self(watch::Sender::new(status))
    }

    /// Subscribes to the status.
    pub fn subscribe(&self) -> watch::Receiver<RedisStatus> {
        self.0.subscribe()
    }

    /// Records that Redis answered; logs it if the status changes.
    pub(super) fn succeeded(&self) {
        if self.change_to(RedisStatus::Ok) {
            tracing::info!("redis answers again");
        }
    }

    /// Records that a command failed; logs it if the status changes.
    pub(super) fn failed(&self, error: &RedisError) {
        if self.change_to(RedisStatus::Down) {
            tracing::warn!(%error, "redis does not answer; until it does, the database alone decides who leads");
        }
    }

    fn change_to(&self, status: RedisStatus) -> bool {
        metrics::gauge!("redis_up").set(if status == RedisStatus::Ok { 1.0 } else { 0.0 });
        self.0.send_if_modified(|current| std::mem::replace(current, status) != status)
    }
}
