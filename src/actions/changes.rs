//! Change events: an action that commits publishes once what it changed. Caches of this process are stale at once;
//! the wake-up reaches the background work of this process and all other processes.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tokio::time::Instant;

use crate::cluster::wakeup::Wakeup;
use crate::domain::change::{Change, Changed};
use crate::domain::ids::UserId;
use crate::foundation::lock;

/// Publishes changes, and counts them for caches. Clones publish to the same caches.
#[derive(Clone, Debug, Default)]
pub struct Changes(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    /// Published changes, by kind.
    counts: [AtomicU64; Changed::ALL.len()],
    shown: Mutex<Shown>,
    wakeup: Wakeup,
}

/// When this process last changed something that subscriptions show.
#[derive(Debug, Default)]
struct Shown {
    /// The last change that may be in anybody's.
    everybody: Option<Instant>,
    /// The last change of one user, by id.
    users: HashMap<i64, Instant>,
    /// The last of those.
    anybody: Option<Instant>,
    /// The last commit that may have happened or not. What it changed is unknown as well.
    unknown: Option<Instant>,
}

/// Users whose last change is remembered: with more, all count as changed.
const MOST_USERS: usize = 10_000;

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
            lock(&self.0.shown).note(change);
        }
        self.0.wakeup.notify_of(change);
    }

    /// Publishes a commit that may have happened or not, as a change of every kind.
    pub fn publish_unknown(&self) {
        for kind in Changed::ALL {
            self.0.counts[kind as usize].fetch_add(1, Ordering::Release);
        }
        lock(&self.0.shown).unknown = Some(Instant::now());
        for kind in Changed::ALL {
            self.0.wakeup.notify_of(kind.into());
        }
    }

    /// Numbers of changes of these kinds by this process and by others. Equal numbers mean that nothing of
    /// these kinds was published in between.
    pub fn counts(&self, kinds: &[Changed]) -> ChangeCounts {
        let count = |kind: &Changed| self.0.counts[*kind as usize].load(Ordering::Acquire);
        ChangeCounts { local: kinds.iter().map(count).sum(), remote: self.0.wakeup.remote_count(kinds) }
    }

    /// When this process last changed something that may be in every subscription, or may have done so.
    pub fn last_shown_to_everybody(&self) -> Option<Instant> {
        let shown = lock(&self.0.shown);
        shown.everybody.max(shown.unknown)
    }

    /// When this process last changed something that this user's subscription shows, or may have done so. `None`: a user whom nobody
    /// knows, and who may be any of those that were changed.
    pub fn last_shown_to(&self, user: Option<UserId>) -> Option<Instant> {
        let shown = lock(&self.0.shown);
        shown.confirmed(user).max(shown.unknown)
    }

    /// Like [`Changes::last_shown_to`], without what may have happened or not: nobody was told that it did.
    pub fn last_confirmed_to(&self, user: Option<UserId>) -> Option<Instant> {
        lock(&self.0.shown).confirmed(user)
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

impl Shown {
    fn note(&mut self, change: Change) {
        let now = Instant::now();
        match change.id.filter(|_| change.kind == Changed::Users && self.users.len() < MOST_USERS) {
            Some(user) => {
                self.users.insert(user, now);
                self.anybody = Some(now);
            }
            None => *self = Self { everybody: Some(now), unknown: self.unknown, ..Self::default() },
        }
    }

    fn confirmed(&self, user: Option<UserId>) -> Option<Instant> {
        let own = match user {
            Some(user) => self.users.get(&user.0).copied(),
            None => self.anybody,
        };
        self.everybody.max(own)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn change_of_a_user_is_shown_to_that_user_and_to_nobody_known() {
        let changes = Changes::default();
        let at = |user: Option<i64>| changes.last_shown_to(user.map(UserId));
        changes.publish(Changed::Nodes.row(1));
        assert_eq!((at(None), at(Some(1))), (None, None));
        changes.publish(Changed::Users.row(1));
        assert!(at(Some(1)).is_some() && at(None) == at(Some(1)));
        assert_eq!((at(Some(2)), changes.last_shown_to_everybody()), (None, None));
        // A service or a host of that number is in other subscriptions, too.
        for change in [Changed::Services.row(2), Changed::Hosts.row(2), Changed::Users.any()] {
            let before = at(Some(3));
            changes.publish(change);
            assert!(at(Some(3)) > before && at(Some(1)) == at(Some(3)) && at(None) == at(Some(3)), "{change}");
        }
        let everybody = changes.last_shown_to_everybody();
        for user in 0..=10_000 {
            changes.publish(Changed::Users.row(user));
        }
        assert!(changes.last_shown_to_everybody() > everybody, "more than are remembered");
        assert_eq!(lock(&changes.0.shown).users.len(), 0);
    }

    #[test]
    fn commit_of_unknown_outcome_is_of_every_kind_and_confirmed_to_nobody() {
        let changes = Changes::default();
        let (user, other) = (Some(UserId(1)), Some(UserId(2)));
        changes.publish(Changed::Users.row(1));
        let confirmed = changes.last_confirmed_to(user);
        changes.publish_unknown();
        for kind in Changed::ALL {
            assert_eq!(changes.counts(&[kind]).local, 1 + u64::from(kind == Changed::Users), "{kind:?}");
        }
        let unknown = changes.last_shown_to_everybody();
        assert!(unknown > confirmed);
        for (of, is_confirmed) in [(user, confirmed), (None, confirmed), (other, None)] {
            assert_eq!((changes.last_shown_to(of), changes.last_confirmed_to(of)), (unknown, is_confirmed), "{of:?}");
        }
        // A later change does not settle what that commit did.
        changes.publish(Changed::Hosts.any());
        assert_eq!(lock(&changes.0.shown).unknown, unknown);
    }

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
