//! Where the dispatcher leaves users for the sessions, and where both see which changes every node has.
//!
//! A node has at most one letter per user: a newer one replaces an older one that was not sent yet. A node that has too
//! many is flooded: its letters go, and it is to be given everything. A user who is on none of a node's inbounds, and
//! was not, is no letter to that node.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::Notify;
use uuid::Uuid;

use crate::domain::ids::{NodeId, UserId};
use crate::foundation::lock;
use crate::store::nodes::expected_users::{NodeUser, ServiceTags};
use crate::store::users::changes::Mark;

use super::node_queue::{Change, Letter, Pigeonhole};
use super::receiver::Mailbox;

/// Letters for all nodes together, about; a letter takes some 300 bytes.
const LETTERS: usize = 1_000_000;
/// So many a node may always have.
pub(super) const FEW: usize = 1_000;

#[derive(Debug)]
pub(in crate::nodes) struct Desk {
    /// Room for so many letters.
    pub(super) letters: usize,
    pub(super) state: Mutex<State>,
    /// Rings when a mark may be cleared.
    pub(super) settled: Notify,
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) boxes: HashMap<NodeId, Pigeonhole>,
    waiting: HashMap<UserId, Waiting>,
    settled: Vec<Mark>,
    /// Sessions of these ended with changes under way. Not in the database yet.
    pub(super) broken: HashSet<NodeId>,
}

/// A change on its way, and how many nodes do not have it yet.
#[derive(Debug)]
struct Waiting {
    change: Uuid,
    nodes: usize,
}

impl Default for Desk {
    fn default() -> Self {
        Self { letters: LETTERS, state: Mutex::default(), settled: Notify::default() }
    }
}

impl Desk {
    /// A place for a session. To be taken before the session reads what the node should have.
    pub(in crate::nodes) fn open(self: &Arc<Self>, node: NodeId) -> Mailbox {
        let mut state = self.state();
        let old = state.boxes.insert(node, Pigeonhole::default());
        let arrived = state.boxes.get(&node).map(|hole| hole.arrived.clone()).unwrap_or_default();
        state.release(node, old);
        Mailbox::new(self.clone(), node, arrived)
    }

    /// Whether this very change is on its way already.
    pub(in crate::nodes) fn knows(&self, mark: &Mark) -> bool {
        self.state().waiting.get(&UserId(mark.user_id)).is_some_and(|waiting| waiting.change == mark.change_id)
    }

    /// Leaves a changed user for every node with a session that serves, or may have, the user.
    pub(in crate::nodes) fn post(&self, mark: Mark, user: NodeUser, tags: &ServiceTags) {
        let mut state = self.state();
        let user = Arc::new(user);
        let allowance = (self.letters / state.boxes.len().max(1)).max(FEW);
        let mut nodes = 0;
        let mut released = Vec::new();
        for (node, hole) in &mut state.boxes {
            let tags = tags.of(&user, *node).into_iter().map(str::to_owned).collect();
            match hole.leave(Letter { user: user.clone(), tags, change: mark.change_id }, allowance) {
                Ok(()) => nodes += 1,
                Err(no_longer_waited_for) => released.extend(no_longer_waited_for),
            }
        }
        released.into_iter().for_each(|change| state.settle(change));
        state.waiting.insert(user.id, Waiting { change: mark.change_id, nodes });
        if nodes == 0 {
            state.settled.push(mark);
        }
        if !state.settled.is_empty() {
            self.wake_clearing();
        }
    }

    /// Marks of changes that no node waits for any more, and the nodes for which changes were given up, by id. These are
    /// to be noted before the marks go: the changes that such a node lacks are among them.
    pub(in crate::nodes) fn take_settled(&self) -> (Vec<Mark>, Vec<NodeId>) {
        let mut state = self.state();
        if state.boxes.values().any(|hole| hole.beginning) {
            return (Vec::new(), Vec::new());
        }
        let mut nodes: Vec<NodeId> = state.broken.drain().collect();
        for (node, hole) in &mut state.boxes {
            if hole.flooded && !std::mem::replace(&mut hole.noted, true) {
                nodes.push(*node);
            }
        }
        nodes.sort_unstable();
        nodes.dedup();
        (std::mem::take(&mut state.settled), nodes)
    }

    /// It is noted of these, or could not be.
    pub(in crate::nodes) fn noted(&self, nodes: &[NodeId], done: bool) {
        let mut state = self.state();
        for node in nodes {
            let Some(hole) = state.boxes.get_mut(node).filter(|hole| done || hole.flooded) else {
                if !done {
                    state.broken.insert(*node);
                }
                continue;
            };
            if !done {
                hole.noted = false;
            } else if !hole.flooded {
                // A full list was begun meanwhile, and what was noted may stand behind it: only another one ends that.
                hole.noted = true;
                hole.flood().into_iter().for_each(|change| state.settle(change));
                self.wake_clearing();
            }
        }
    }

    /// They could not be cleared; the next round tries again.
    pub(in crate::nodes) fn put_back(&self, marks: impl IntoIterator<Item = Mark>) {
        self.state().settled.extend(marks);
    }

    /// They are cleared.
    pub(in crate::nodes) fn forget(&self, marks: &[Mark]) {
        let mut state = self.state();
        for mark in marks {
            let user = UserId(mark.user_id);
            if state.waiting.get(&user).is_some_and(|waiting| waiting.change == mark.change_id) {
                state.waiting.remove(&user);
            }
        }
    }

    /// Waits until there may be marks to clear.
    pub(in crate::nodes) async fn settled(&self) {
        self.settled.notified().await;
    }

    /// There may be marks to clear.
    pub(in crate::nodes) fn wake_clearing(&self) {
        self.settled.notify_one();
    }

    /// How many changes are on their way.
    pub(in crate::nodes) fn waiting(&self) -> usize {
        self.state().waiting.len()
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl State {
    /// One node less waits for this change, if it is still the newest of its user.
    pub(super) fn settle(&mut self, (user, change): Change) {
        if let Some(waiting) = self.waiting.get_mut(&user).filter(|waiting| waiting.change == change) {
            waiting.nodes = waiting.nodes.saturating_sub(1);
            if waiting.nodes == 0 {
                self.settled.push(Mark { user_id: user.0, change_id: change });
            }
        }
    }

    pub(super) fn release(&mut self, node: NodeId, hole: Option<Pigeonhole>) {
        let Some(hole) = hole else { return };
        let (lacks_something, undelivered) = hole.close();
        if lacks_something {
            self.broken.insert(node);
        }
        undelivered.into_iter().for_each(|change| self.settle(change));
    }
}
