//! Where the dispatcher leaves users for the sessions, and where both see which changes every node has.
//!
//! A node has at most one letter per user: a newer one replaces an older one that was not sent yet. So the desk holds
//! no more than every user once per node, however slow a node is.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use uuid::Uuid;

use crate::domain::ids::{NodeId, UserId};
use crate::store::changes::Mark;
use crate::store::node_users::{NodeUser, ServiceTags};

#[derive(Debug, Default)]
pub(super) struct Desk {
    state: Mutex<State>,
    /// Rings when a mark may be cleared.
    settled: Notify,
}

#[derive(Debug, Default)]
struct State {
    boxes: HashMap<NodeId, Pigeonhole>,
    waiting: HashMap<UserId, Waiting>,
    settled: Vec<Mark>,
}

/// What lies ready for one node.
#[derive(Debug, Default)]
struct Pigeonhole {
    order: VecDeque<UserId>,
    letters: HashMap<UserId, Letter>,
    /// The newest change of each user that this node does not certainly have, sent or not.
    undelivered: HashMap<UserId, Uuid>,
    arrived: Arc<Notify>,
}

/// A change on its way, and how many nodes do not have it yet.
#[derive(Debug)]
struct Waiting {
    change: Uuid,
    nodes: usize,
}

/// What one node should have of one user.
#[derive(Clone, Debug)]
pub(super) struct Letter {
    pub user: Arc<NodeUser>,
    /// No tags: the node should not have this user.
    pub tags: Vec<String>,
    pub change: Uuid,
}

/// A session's place at the desk. While it exists, its node holds up the marks that it does not have; an absent node
/// holds up nothing, because its next connection begins with everything.
#[derive(Debug)]
pub(super) struct Mailbox {
    desk: Arc<Desk>,
    node: NodeId,
    arrived: Arc<Notify>,
}

impl Desk {
    /// A place for a session. To be taken before the session reads what the node should have.
    pub(super) fn open(self: &Arc<Self>, node: NodeId) -> Mailbox {
        let mut state = self.state();
        let old = state.boxes.insert(node, Pigeonhole::default());
        let arrived = state.boxes.get(&node).map(|hole| hole.arrived.clone()).unwrap_or_default();
        state.release(old);
        Mailbox { desk: self.clone(), node, arrived }
    }

    /// Whether this very change is on its way already.
    pub(super) fn knows(&self, mark: &Mark) -> bool {
        self.state().waiting.get(&UserId(mark.user_id)).is_some_and(|waiting| waiting.change == mark.change_id)
    }

    /// Leaves a changed user for every node with a session.
    pub(super) fn post(&self, mark: Mark, user: NodeUser, tags: &ServiceTags) {
        let mut state = self.state();
        let user = Arc::new(user);
        let nodes = state.boxes.len();
        for (node, hole) in &mut state.boxes {
            let tags = tags.of(&user, *node).into_iter().map(str::to_owned).collect();
            hole.undelivered.insert(user.id, mark.change_id);
            if hole.letters.insert(user.id, Letter { user: user.clone(), tags, change: mark.change_id }).is_none() {
                hole.order.push_back(user.id);
            }
            hole.arrived.notify_one();
        }
        state.waiting.insert(user.id, Waiting { change: mark.change_id, nodes });
        if nodes == 0 {
            state.settled.push(mark);
        }
    }

    /// Marks of changes that no node waits for any more.
    pub(super) fn take_settled(&self) -> Vec<Mark> {
        std::mem::take(&mut self.state().settled)
    }

    /// They could not be cleared; the next round tries again.
    pub(super) fn put_back(&self, marks: impl IntoIterator<Item = Mark>) {
        self.state().settled.extend(marks);
    }

    /// They are cleared.
    pub(super) fn forget(&self, marks: &[Mark]) {
        let mut state = self.state();
        for mark in marks {
            let user = UserId(mark.user_id);
            if state.waiting.get(&user).is_some_and(|waiting| waiting.change == mark.change_id) {
                state.waiting.remove(&user);
            }
        }
    }

    /// Waits until there may be marks to clear.
    pub(super) async fn settled(&self) {
        self.settled.notified().await;
    }

    /// How many changes are on their way.
    pub(super) fn waiting(&self) -> usize {
        self.state().waiting.len()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing in here panics half-way through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// One node less waits for this change, if it is still the newest of its user.
    fn settle(&mut self, user: UserId, change: Uuid) {
        if let Some(waiting) = self.waiting.get_mut(&user).filter(|waiting| waiting.change == change) {
            waiting.nodes = waiting.nodes.saturating_sub(1);
            if waiting.nodes == 0 {
                self.settled.push(Mark { user_id: user.0, change_id: change });
            }
        }
    }

    fn release(&mut self, hole: Option<Pigeonhole>) {
        for (user, change) in hole.into_iter().flat_map(|hole| hole.undelivered) {
            self.settle(user, change);
        }
    }
}

impl Mailbox {
    /// The next letter, as soon as there is one.
    pub(super) async fn next(&self) -> Letter {
        loop {
            let arrived = self.arrived.notified();
            if let Some(letter) = self.take() {
                return letter;
            }
            arrived.await;
        }
    }

    fn take(&self) -> Option<Letter> {
        let mut state = self.desk.state();
        let hole = state.boxes.get_mut(&self.node)?;
        let user = hole.order.pop_front()?;
        hole.letters.remove(&user)
    }

    /// The node certainly has these changes.
    pub(super) fn delivered(&self, changes: impl IntoIterator<Item = (UserId, Uuid)>) {
        let mut state = self.desk.state();
        for (user, change) in changes {
            let Some(hole) = state.boxes.get_mut(&self.node) else { return };
            if hole.undelivered.get(&user) == Some(&change) {
                hole.undelivered.remove(&user);
                state.settle(user, change);
            }
        }
        self.desk.settled.notify_one();
    }
}

impl Drop for Mailbox {
    fn drop(&mut self) {
        let mut state = self.desk.state();
        let hole = state.boxes.remove(&self.node);
        state.release(hole);
        self.desk.settled.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(user_id: i64) -> Mark {
        Mark { user_id, change_id: Uuid::now_v7() }
    }

    fn post(desk: &Desk, mark: Mark) {
        desk.post(mark, NodeUser::gone(UserId(mark.user_id)), &ServiceTags::default());
    }

    #[test]
    fn a_change_settles_when_the_last_node_has_it() {
        let desk = Arc::new(Desk::default());
        let (one, two) = (desk.open(NodeId(1)), desk.open(NodeId(2)));
        let mark = mark(7);
        post(&desk, mark);
        assert!(desk.knows(&mark));
        one.delivered([(UserId(7), mark.change_id)]);
        one.delivered([(UserId(7), mark.change_id)]);
        assert_eq!(desk.take_settled(), [], "the second node does not have it");
        two.delivered([(UserId(7), mark.change_id)]);
        assert_eq!(desk.take_settled(), [mark]);
        desk.forget(&[mark]);
        assert_eq!(desk.waiting(), 0);
    }

    #[test]
    fn a_newer_change_replaces_an_unsent_one_and_is_not_settled_by_a_sent_one() {
        let desk = Arc::new(Desk::default());
        let node = desk.open(NodeId(1));
        let (old, new) = (mark(7), mark(7));
        post(&desk, old);
        let sent = node.take().expect("a letter");
        post(&desk, new);
        post(&desk, new);
        node.delivered([(UserId(7), sent.change)]);
        assert_eq!(desk.take_settled(), []);
        assert_eq!(node.take().map(|letter| letter.change), Some(new.change_id));
        assert!(node.take().is_none(), "one letter per user");
    }

    #[test]
    fn an_absent_node_holds_up_nothing() {
        let desk = Arc::new(Desk::default());
        let node = desk.open(NodeId(1));
        let (held, later) = (mark(7), mark(8));
        post(&desk, held);
        drop(node);
        post(&desk, later);
        assert_eq!(desk.take_settled(), [held, later]);
    }
}
