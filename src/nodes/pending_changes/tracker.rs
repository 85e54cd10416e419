//! Fans user changes out to the nodes' queues, and tracks which changes every node has confirmed.
//!
//! A queue holds at most one change per user: a newer change replaces an unsent one. A queue that overflows drops its
//! changes, and its node gets a full list instead. A user who is on none of a node's inbounds, and was on none before,
//! is no change for that node.

use std::collections::HashSet;
use std::sync::Arc;

use super::node_queue::{NodeQueue, PendingChange};
use super::receiver::Receiver;
use super::state::{Shared, Unconfirmed};
use crate::domain::ids::{NodeId, UserId};
use crate::store::nodes::expected_users::{NodeUser, ServiceTags};
use crate::store::users::changes::Mark;

/// Queued changes of all nodes together, approximately; a change takes about 300 bytes.
const CAPACITY: usize = 1_000_000;
/// Changes that every node may queue, however many nodes there are.
pub(super) const MIN_PER_NODE: usize = 1_000;

#[derive(Debug)]
pub(in crate::nodes) struct Tracker {
    /// Queued changes of all nodes together.
    pub(super) capacity: usize,
    pub(super) shared: Arc<Shared>,
}

impl Default for Tracker {
    fn default() -> Self {
        Self { capacity: CAPACITY, shared: Arc::default() }
    }
}

impl Tracker {
    /// Opens a node's queue. To be called before the session reads the users that the node should have.
    pub(in crate::nodes) fn register(&self, node: NodeId) -> Receiver {
        let queue = NodeQueue::default();
        let receiver = Receiver::new(self.shared.clone(), node, queue.enqueued.clone());
        let mut state = self.shared.state();
        let old = state.queues.insert(node, queue);
        state.close(node, old);
        receiver
    }

    /// To be called before a page of marks is read.
    pub(in crate::nodes) fn begin_page(&self) {
        self.shared.state().cleared = HashSet::new();
    }

    /// Returns whether this change was enqueued, unless its mark was cleared before the page was read.
    pub(in crate::nodes) fn is_tracked(&self, mark: &Mark) -> bool {
        let state = self.shared.state();
        let user = UserId(mark.user_id);
        state.unconfirmed.get(&user).is_some_and(|change| change.id == mark.change_id)
            || state.cleared.contains(&(user, mark.change_id))
    }

    /// Enqueues a changed user for every connected node that serves the user or may have the user.
    pub(in crate::nodes) fn enqueue(&self, mark: Mark, user: NodeUser, tags: &ServiceTags) {
        let mut state = self.shared.state();
        let user = Arc::new(user);
        let capacity = (self.capacity / state.queues.len().max(1)).max(MIN_PER_NODE);
        let mut nodes = 0;
        let mut released = Vec::new();
        for (node, queue) in &mut state.queues {
            let tags = tags.of(&user, *node).into_iter().map(str::to_owned).collect();
            match queue.push(PendingChange { user: user.clone(), tags, id: mark.change_id }, capacity) {
                Ok(()) => nodes += 1,
                Err(no_longer_needed) => released.extend(no_longer_needed),
            }
        }
        for change in released {
            state.confirm(change);
        }
        state.unconfirmed.insert(user.id, Unconfirmed { id: mark.change_id, nodes });
        if nodes == 0 {
            state.confirmed.push(mark);
        }
        if !state.confirmed.is_empty() {
            self.wake_clearing();
        }
    }

    /// Takes the marks of changes that every node has confirmed, and the nodes (by id) that lack dropped changes.
    ///
    /// The nodes must be recorded as out of step before the marks are cleared: the dropped changes are among them.
    pub(in crate::nodes) fn take_confirmed(&self) -> (Vec<Mark>, Vec<NodeId>) {
        let mut state = self.shared.state();
        if state.queues.values().any(|queue| queue.starting_resync) {
            return (Vec::new(), Vec::new());
        }
        let mut nodes: Vec<NodeId> = state.disconnected.drain().collect();
        for (node, queue) in &mut state.queues {
            if queue.overflowed && !std::mem::replace(&mut queue.persisted, true) {
                nodes.push(*node);
            }
        }
        nodes.sort_unstable();
        nodes.dedup();
        (std::mem::take(&mut state.confirmed), nodes)
    }

    /// To be called when these nodes are recorded as out of step.
    pub(in crate::nodes) fn out_of_step_saved(&self, nodes: &[NodeId]) {
        let mut state = self.shared.state();
        for node in nodes {
            let Some(queue) = state.queues.get_mut(node).filter(|queue| !queue.overflowed) else { continue };
            // A full sync started meanwhile, perhaps before the node was recorded: only another one clears the record.
            queue.persisted = true;
            queue.overflow().into_iter().for_each(|change| state.confirm(change));
            self.wake_clearing();
        }
    }

    /// To be called when these nodes could not be recorded as out of step: the next round tries again.
    pub(in crate::nodes) fn out_of_step_not_saved(&self, nodes: &[NodeId]) {
        let mut state = self.shared.state();
        for node in nodes {
            match state.queues.get_mut(node) {
                Some(queue) if queue.overflowed => queue.persisted = false,
                _ => drop(state.disconnected.insert(*node)),
            }
        }
    }

    /// Returns marks that could not be cleared: the next round tries again.
    pub(in crate::nodes) fn put_back(&self, marks: impl IntoIterator<Item = Mark>) {
        self.shared.state().confirmed.extend(marks);
    }

    /// Forgets changes whose marks are cleared.
    pub(in crate::nodes) fn forget(&self, marks: &[Mark]) {
        let mut state = self.shared.state();
        for mark in marks {
            let user = UserId(mark.user_id);
            state.cleared.insert((user, mark.change_id));
            if state.unconfirmed.get(&user).is_some_and(|change| change.id == mark.change_id) {
                state.unconfirmed.remove(&user);
            }
        }
    }

    /// Waits until there may be confirmed changes.
    pub(in crate::nodes) async fn confirmed(&self) {
        self.shared.confirmed().await;
    }

    /// Has [`Tracker::confirmed`] return again.
    pub(in crate::nodes) fn wake_clearing(&self) {
        self.shared.wake_clearing();
    }

    /// The number of changes whose marks are not cleared.
    pub(in crate::nodes) fn unconfirmed(&self) -> usize {
        self.shared.state().unconfirmed.len()
    }
}
