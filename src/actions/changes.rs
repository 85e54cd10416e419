//! Change events: an action that commits publishes once what it changed. Caches of this process are stale at once;
//! the wake-up reaches the background work of this process and all other processes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tokio::time::Instant;

use crate::cluster::wakeup::Wakeup;
use crate::domain::change::{Change, Changed};
use crate::foundation::lock;

/// Publishes changes, and counts them for caches. Clones publish to the same caches.
#[derive(Clone, Debug, Default)]
pub struct Changes(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    /// Published changes, by kind.
    counts: [AtomicU64; Changed::ALL.len()],
    /// When this process last changed something that subscriptions show.
    shown: Mutex<Option<Instant>>,
    wakeup: Wakeup,
}

/// Kinds of changes that subscriptions show.
const SHOWN: [Changed; 4] = [Changed::Users, Changed::Services, Changed::Hosts, Changed::SubscriptionSettings];

/// Numbers of changes that a cached value may depend on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ChangeCounts {
    /// Changes by this process.
    pub local: u64,
    /// Changes by other processes, as far as their wake-ups arrived.
    pub remote: u64,
}

impl Changes {
    /// Publishes a change. Call it after the commit: a cache may read again at once.
    pub fn publish(&self, change: impl Into<Change>) {
        let change = change.into();
        self.0.counts[change.kind as usize].fetch_add(1, Ordering::Release);
        if SHOWN.contains(&change.kind) {
            *lock(&self.0.shown) = Some(Instant::now());
        }
        self.0.wakeup.notify_of(change);
    }

    /// Numbers of changes of these kinds by this process and by others. Equal numbers mean that nothing of
    /// these kinds was published in between.
    pub fn counts(&self, kinds: &[Changed]) -> ChangeCounts {
        let count = |kind: &Changed| self.0.counts[*kind as usize].load(Ordering::Acquire);
        ChangeCounts { local: kinds.iter().map(count).sum(), remote: self.0.wakeup.remote_count(kinds) }
    }

    /// When this process last changed something that subscriptions show.
    pub fn last_shown(&self) -> Option<Instant> {
        *lock(&self.0.shown)
    }

    /// True if this process has published anything.
    pub fn any(&self) -> bool {
        self.counts(&Changed::ALL).local > 0
    }

    /// The wake-up that each published change sends.
    pub fn wakeup(&self) -> &Wakeup {
        &self.0.wakeup
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_change_is_counted_for_its_kind_only() {
        let changes = Changes::default();
        let before = changes.counts(&[Changed::Hosts, Changed::Nodes]);
        changes.publish(Changed::Users);
        assert_eq!(changes.counts(&[Changed::Hosts, Changed::Nodes]), before);
        changes.publish(Changed::Nodes);
        assert_ne!(changes.counts(&[Changed::Hosts, Changed::Nodes]), before);
        assert!(changes.any());
    }
}
