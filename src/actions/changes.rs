//! Change events: an action that commits publishes once what it changed. Caches of this process are stale at once;
//! the wake-up reaches the background work of this process and all other processes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::cluster::wakeup::Wakeup;

/// A kind of data that a commit changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Changed {
    /// Users, or whom they belong to.
    Users,
    /// Admins, or their rights.
    Admins,
    /// Services, or who has them.
    Services,
    /// Hosts.
    Hosts,
    /// Nodes, with their inbounds and hosts, or what the leader should do with them.
    Nodes,
    /// The settings of subscriptions.
    SubscriptionSettings,
    /// The settings of Telegram.
    TelegramSettings,
    /// When a notification is due.
    Notifications,
    /// Requests to the leader: to run a task, to step down.
    LeaderRequests,
}

impl Changed {
    /// All kinds.
    pub const ALL: [Self; 9] = [
        Self::Users,
        Self::Admins,
        Self::Services,
        Self::Hosts,
        Self::Nodes,
        Self::SubscriptionSettings,
        Self::TelegramSettings,
        Self::Notifications,
        Self::LeaderRequests,
    ];
}

/// Publishes changes, and counts them for caches. Clones publish to the same caches.
#[derive(Clone, Debug, Default)]
pub struct Changes(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    /// Published changes, by kind.
    counts: [AtomicU64; Changed::ALL.len()],
    wakeup: Wakeup,
}

/// Numbers of changes that a cached value may depend on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ChangeCounts {
    /// Changes by this process.
    pub local: u64,
    /// Wake-ups by other processes, which don't say what they changed.
    pub remote: u64,
}

impl Changes {
    /// Publishes a change. Call it after the commit: a cache may read again at once.
    pub fn publish(&self, changed: Changed) {
        self.0.counts[changed as usize].fetch_add(1, Ordering::Release);
        self.0.wakeup.notify();
    }

    /// Number of changes of these kinds by this process, and of wake-ups by others. Equal numbers mean that nothing of
    /// these kinds was published in between.
    pub fn counts(&self, kinds: &[Changed]) -> ChangeCounts {
        let count = |kind: &Changed| self.0.counts[*kind as usize].load(Ordering::Acquire);
        ChangeCounts { local: kinds.iter().map(count).sum(), remote: self.0.wakeup.remote_count() }
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

    #[test]
    fn every_kind_has_a_count_of_its_own() {
        for (index, changed) in Changed::ALL.into_iter().enumerate() {
            assert_eq!(changed as usize, index);
        }
    }
}
