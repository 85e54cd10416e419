//! What lies ready for one node, what of it the node may lack, and whom the node may have.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use tokio::sync::Notify;
use uuid::Uuid;

use crate::domain::ids::UserId;
use crate::domain::user::set::UserSet;
use crate::store::nodes::expected_users::NodeUser;

/// What a mailbox brings.
#[derive(Debug)]
pub(in crate::nodes) enum Post {
    /// A change of one user.
    Letter(Letter),
    /// Too many changes: a full list is wanted.
    Flooded,
}

/// What one node should have of one user.
#[derive(Clone, Debug)]
pub(in crate::nodes) struct Letter {
    pub user: Arc<NodeUser>,
    /// No tags: the node should not have this user.
    pub tags: Vec<String>,
    pub change: Uuid,
}

/// A change of a user.
pub(in crate::nodes) type Change = (UserId, Uuid);

#[derive(Debug, Default)]
pub(in crate::nodes) struct Pigeonhole {
    order: VecDeque<UserId>,
    letters: HashMap<UserId, Letter>,
    /// The newest change of each user that this node does not certainly have, sent or not.
    undelivered: HashMap<UserId, Uuid>,
    /// Whom the node may have: its last full list, and everybody it was told of since.
    has: UserSet,
    /// That list is known. Until it is, the node may have anybody.
    is_known: bool,
    /// There were too many letters: whatever changed is in the next full list.
    pub flooded: bool,
    /// That is in the database, or about to be.
    pub noted: bool,
    /// A full list was begun instead, which the database is about to know.
    pub beginning: bool,
    pub arrived: Arc<Notify>,
}

impl Pigeonhole {
    /// Leaves a letter where at most so many lie. `Err`: the node waits for no letter of this user, and no longer for
    /// these changes.
    pub(in crate::nodes) fn leave(&mut self, letter: Letter, most: usize) -> Result<(), Vec<Change>> {
        let (user, change) = (letter.user.id, letter.change);
        if self.flooded || letter.tags.is_empty() && !self.may_have(user) {
            // What it was to be told before is no longer so.
            return Err(self.undelivered.remove(&user).map(|change| (user, change)).into_iter().collect());
        }
        if self.letters.len() >= most && !self.letters.contains_key(&user) {
            return Err(self.flood());
        }
        if !letter.tags.is_empty() {
            self.has.insert(user);
        }
        self.undelivered.insert(user, change);
        if self.letters.insert(user, letter).is_none() {
            self.order.push_back(user);
        }
        self.arrived.notify_one();
        Ok(())
    }

    /// What comes next, if there is anything.
    pub(in crate::nodes) fn take(&mut self) -> Option<Post> {
        if self.flooded {
            return Some(Post::Flooded);
        }
        let user = self.order.pop_front()?;
        self.letters.remove(&user).map(Post::Letter)
    }

    /// Gives up all letters; returns the changes that nobody waits for here any more.
    pub(in crate::nodes) fn flood(&mut self) -> Vec<Change> {
        self.flooded = true;
        self.order = VecDeque::new();
        self.letters = HashMap::new();
        self.arrived.notify_one();
        std::mem::take(&mut self.undelivered).into_iter().collect()
    }

    /// A full list is about to be read: until it is, the node may have anybody. Returns whether changes were given up
    /// for it, here or, as the caller knows, before.
    pub(in crate::nodes) fn begin_full(&mut self, gave_up_before: bool) -> bool {
        let gave_up = gave_up_before | std::mem::take(&mut self.flooded);
        self.beginning = gave_up;
        self.noted = false;
        self.is_known = false;
        // The list replaces what the node had; what waits here reaches it after the list.
        self.has = UserSet::default();
        for (user, letter) in &self.letters {
            if !letter.tags.is_empty() {
                self.has.insert(*user);
            }
        }
        gave_up
    }

    /// The node is about to be given a list of these.
    pub(in crate::nodes) fn has(&mut self, users: UserSet) {
        self.has.extend(users);
        self.is_known = true;
    }

    /// The node certainly has this change. Returns whether it was waited for.
    pub(in crate::nodes) fn delivered(&mut self, (user, change): Change) -> bool {
        let waited_for = self.undelivered.get(&user) == Some(&change);
        if waited_for {
            self.undelivered.remove(&user);
        }
        waited_for
    }

    /// Its session is over: whether the node may lack something that the database does not know of, and the changes
    /// that it does not certainly have.
    pub(in crate::nodes) fn close(self) -> (bool, impl IntoIterator<Item = Change>) {
        let lacks = self.beginning || self.flooded && !self.noted || !self.undelivered.is_empty();
        (lacks, self.undelivered)
    }

    fn may_have(&self, user: UserId) -> bool {
        !self.is_known || self.has.contains(user)
    }
}
