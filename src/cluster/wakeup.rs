//! The wake-up: a hint, sent after a commit, that there may be something to do, and what changed. Nothing depends on its
//! arrival, because receivers also poll. On SQLite a look at the file tells them when to poll (`commit_watch`).

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::watch;

use super::recent_changes::{Origin, RecentChanges, Since};
use crate::domain::change::{Change, Changed};
use crate::foundation::lock;

/// Wakes every process of the cluster. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Wakeup(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    counts: watch::Sender<Counts>,
    /// Notified after commits that may have come without a wake-up.
    commits: watch::Sender<()>,
    recent: Mutex<RecentChanges>,
    /// Changes by other processes, by kind.
    remote: [AtomicU64; Changed::ALL.len()],
}

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

/// Receives wake-ups, and hints of commits that may have come without one: for receivers that would poll otherwise.
#[derive(Clone, Debug)]
pub struct PollReceiver {
    wakeups: WakeupReceiver,
    commits: watch::Receiver<()>,
}

impl Wakeup {
    /// Sends a wake-up without a change of data: never blocks, never fails.
    pub fn notify(&self) {
        self.0.counts.send_modify(|counts| counts.local += 1);
    }

    /// Sends a wake-up because of a change.
    pub fn notify_of(&self, change: Change) {
        self.recent().push(Origin::Local, change);
        self.notify();
    }

    /// Passes on a wake-up of another process.
    pub(super) fn notify_remote(&self, changes: impl IntoIterator<Item = Change>) {
        let mut recent = self.recent();
        for change in changes {
            self.0.remote[change.kind as usize].fetch_add(1, Ordering::Release);
            recent.push(Origin::Remote, change);
        }
        drop(recent);
        self.0.counts.send_modify(|counts| counts.remote += 1);
    }

    /// Number of changes of these kinds by other processes, as far as their wake-ups arrived.
    pub fn remote_count(&self, kinds: &[Changed]) -> u64 {
        kinds.iter().map(|kind| self.0.remote[*kind as usize].load(Ordering::Acquire)).sum()
    }

    /// The number of the next change, for [`Self::changes_since`].
    pub fn next_change(&self) -> u64 {
        self.recent().next()
    }

    /// Changes by all processes since that number.
    pub fn changes_since(&self, number: u64) -> Since {
        // Copied first: many streams read the list, and the lease's thread adds to it.
        let tail = self.recent().tail(number);
        tail.since(number, |_| true)
    }

    /// Changes by this process since that number.
    pub(super) fn local_changes_since(&self, number: u64) -> Since {
        let tail = self.recent().tail(number);
        tail.since(number, |origin| origin == Origin::Local)
    }

    /// A receiver of every wake-up from now on.
    pub fn subscribe(&self) -> WakeupReceiver {
        let counts = self.0.counts.subscribe();
        let known_local = counts.borrow().local;
        WakeupReceiver { counts, known_local }
    }

    /// A receiver of every wake-up and every hint of a commit from now on.
    pub fn subscribe_polling(&self) -> PollReceiver {
        PollReceiver { wakeups: self.subscribe(), commits: self.0.commits.subscribe() }
    }

    /// Hints to the receivers that poll that somebody else has committed.
    pub(super) fn notify_pollers(&self) {
        self.0.commits.send_replace(());
    }

    fn recent(&self) -> MutexGuard<'_, RecentChanges> {
        lock(&self.0.recent)
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

impl PollReceiver {
    /// Waits for a wake-up or a hint, or returns at once if there was one since the last call.
    pub async fn wait(&mut self) {
        tokio::select! {
            () = self.wakeups.wait() => {}
            // Without a sender there are no further hints.
            Ok(()) = self.commits.changed() => {}
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
