//! One node's queue: the changes to send, the changes that the node has not confirmed, and the users that it may have.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use tokio::sync::Notify;
use uuid::Uuid;

use crate::domain::ids::UserId;
use crate::domain::user::set::UserSet;
use crate::store::nodes::expected_users::NodeUser;

/// The next thing that a session must do for its node.
#[derive(Debug)]
pub(in crate::nodes) enum Received {
    /// Send this change.
    Change(PendingChange),
    /// Start a full sync: the queue overflowed, and its changes were dropped.
    Overflowed,
}

/// The state that one node should have of one user.
#[derive(Clone, Debug)]
pub(in crate::nodes) struct PendingChange {
    pub user: Arc<NodeUser>,
    /// The user's inbounds on this node. Empty: the node should remove the user.
    pub tags: Vec<String>,
    pub id: Uuid,
}

/// A user and the id of the user's change.
pub(super) type ChangeKey = (UserId, Uuid);

#[derive(Debug, Default)]
pub(super) struct NodeQueue {
    order: VecDeque<UserId>,
    changes: HashMap<UserId, PendingChange>,
    /// The newest change of each user that the node has not confirmed, sent or not.
    unconfirmed: HashMap<UserId, Uuid>,
    /// Users that the node may have: its last full list, and every user enqueued since.
    users: UserSet,
    /// `users` includes a full list. Until then the node may have any user.
    users_known: bool,
    /// Too many changes were enqueued and dropped: the next full list contains them.
    pub(super) overflowed: bool,
    /// The overflow is recorded in the database, or is being recorded.
    pub(super) persisted: bool,
    /// A full sync that replaces dropped changes is starting, and the database does not know of it yet.
    pub(super) starting_resync: bool,
    pub(super) enqueued: Arc<Notify>,
}

impl NodeQueue {
    /// Enqueues a change; it replaces an unsent change of the same user. More than `capacity` changes overflow the
    /// queue.
    ///
    /// `Err`: the node does not need this change, and no longer has to confirm the returned ones.
    pub(super) fn push(&mut self, change: PendingChange, capacity: usize) -> Result<(), Vec<ChangeKey>> {
        let (user, id) = (change.user.id, change.id);
        if self.overflowed || change.tags.is_empty() && !self.may_have(user) {
            return Err(self.unconfirmed.remove(&user).map(|older| (user, older)).into_iter().collect());
        }
        if self.changes.len() >= capacity && !self.changes.contains_key(&user) {
            return Err(self.overflow());
        }
        if !change.tags.is_empty() {
            self.users.insert(user);
        }
        self.unconfirmed.insert(user, id);
        if self.changes.insert(user, change).is_none() {
            self.order.push_back(user);
        }
        self.enqueued.notify_one();
        Ok(())
    }

    /// Takes the next change, if there is one.
    pub(super) fn pop(&mut self) -> Option<Received> {
        if self.overflowed {
            return Some(Received::Overflowed);
        }
        let user = self.order.pop_front()?;
        self.changes.remove(&user).map(Received::Change)
    }

    /// Drops all changes. Returns those that the node no longer has to confirm.
    pub(super) fn overflow(&mut self) -> Vec<ChangeKey> {
        self.overflowed = true;
        self.order = VecDeque::new();
        self.changes = HashMap::new();
        self.enqueued.notify_one();
        std::mem::take(&mut self.unconfirmed).into_iter().collect()
    }

    /// Prepares for a full list: until it is read, the node may have any user. `dropped_before`: an earlier session of
    /// this node ended with unconfirmed changes. Returns whether the list replaces changes that were dropped.
    pub(super) fn start_full_sync(&mut self, dropped_before: bool) -> bool {
        let dropped = dropped_before | std::mem::take(&mut self.overflowed);
        self.starting_resync = dropped;
        self.persisted = false;
        self.users_known = false;
        // The list replaces the node's users; queued changes reach the node after the list.
        self.users = UserSet::default();
        for (user, change) in &self.changes {
            if !change.tags.is_empty() {
                self.users.insert(*user);
            }
        }
        dropped
    }

    /// Records the users of a full list that is about to be sent.
    pub(super) fn add_full_list(&mut self, users: UserSet) {
        self.users.extend(users);
        self.users_known = true;
    }

    /// Records that the node has a change. Returns false if the change was replaced by a newer one.
    pub(super) fn confirm(&mut self, (user, id): ChangeKey) -> bool {
        let is_newest = self.unconfirmed.get(&user) == Some(&id);
        if is_newest {
            self.unconfirmed.remove(&user);
        }
        is_newest
    }

    /// Ends the queue with its session. Returns whether the node may lack a change that the database does not know of,
    /// and the unconfirmed changes.
    pub(super) fn close(self) -> (bool, impl IntoIterator<Item = ChangeKey>) {
        let lacks = self.starting_resync || self.overflowed && !self.persisted || !self.unconfirmed.is_empty();
        (lacks, self.unconfirmed)
    }

    fn may_have(&self, user: UserId) -> bool {
        !self.users_known || self.users.contains(user)
    }
}
