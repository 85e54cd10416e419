//! The wake-up: a hint, sent after a commit, that there may be something to do. Nothing depends on its arrival, because
//! receivers also poll.

use std::sync::Arc;

use tokio::sync::watch;

/// Wakes every process of the cluster. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Wakeup(Arc<watch::Sender<Counts>>);

/// Numbers of wake-ups: sent by this process, and received from the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    local: u64,
    remote: u64,
}

/// Receives wake-ups, also one that was sent between two calls of [`WakeupReceiver::wait`].
#[derive(Clone, Debug)]
pub struct WakeupReceiver {
    counts: watch::Receiver<Counts>,
    known_local: u64,
}

impl Default for Wakeup {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(Counts::default())))
    }
}

impl Wakeup {
    /// Sends a wake-up: never blocks, never fails.
    pub fn notify(&self) {
        self.0.send_modify(|counts| counts.local += 1);
    }

    /// Passes on a wake-up of another process.
    pub(super) fn notify_remote(&self) {
        self.0.send_modify(|counts| counts.remote += 1);
    }

    /// Number of wake-ups of other processes that this process has received.
    pub fn remote_count(&self) -> u64 {
        self.0.borrow().remote
    }

    /// A receiver of every wake-up from now on.
    pub fn subscribe(&self) -> WakeupReceiver {
        let counts = self.0.subscribe();
        let known_local = counts.borrow().local;
        WakeupReceiver { counts, known_local }
    }
}

impl WakeupReceiver {
    /// Waits for a wake-up, or returns at once if there was one since the last call. Several in a row count as one.
    pub async fn wait(&mut self) {
        if self.counts.changed().await.is_err() {
            // The sender is gone: there will be no further wake-up.
            std::future::pending::<()>().await;
        }
    }

    /// Waits for a wake-up of this process, which has to be published to the others.
    pub(super) async fn wait_local(&mut self) {
        let known = self.known_local;
        // The value is copied out at once: a borrow held across an await would block the sender.
        let woken = self.counts.wait_for(|counts| counts.local != known).await.map(|counts| counts.local);
        match woken {
            Ok(local) => self.known_local = local,
            Err(_) => std::future::pending::<()>().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn wakeup_between_two_waits_is_received_once() {
        let wakeup = Wakeup::default();
        let mut wakeups = wakeup.subscribe();
        wakeup.notify();
        wakeup.notify();
        wakeups.wait().await;
        let second = tokio::time::timeout(std::time::Duration::from_millis(20), wakeups.wait()).await;
        assert!(second.is_err(), "several wake-ups in a row count as one");
    }
}
