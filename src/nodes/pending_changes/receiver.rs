//! A session's end of its node's queue.

use std::sync::Arc;

use tokio::sync::Notify;
use uuid::Uuid;

use super::node_queue::Received;
use super::state::Shared;
use crate::domain::ids::{NodeId, UserId};
use crate::domain::user::set::UserSet;

/// Receives one node's changes. While it exists, the marks of changes that the node has not confirmed stay in the
/// database. Dropped, it releases them: the node's next session starts with a full list.
#[derive(Debug)]
pub(in crate::nodes) struct Receiver {
    shared: Arc<Shared>,
    node: NodeId,
    enqueued: Arc<Notify>,
}

impl Receiver {
    pub(super) const fn new(shared: Arc<Shared>, node: NodeId, enqueued: Arc<Notify>) -> Self {
        Self { shared, node, enqueued }
    }

    /// Waits for the next change. Cancel-safe.
    pub(in crate::nodes) async fn next(&self) -> Received {
        loop {
            let enqueued = self.enqueued.notified();
            if let Some(received) = self.try_next() {
                return received;
            }
            enqueued.await;
        }
    }

    /// Takes the next change, if there is one.
    pub(in crate::nodes) fn try_next(&self) -> Option<Received> {
        self.shared.state().queues.get_mut(&self.node)?.pop()
    }

    /// To be called before a full sync is recorded in the database, and before its list is read. Returns whether the
    /// list replaces changes that were dropped: then no mark is cleared until [`Receiver::full_sync_started`].
    pub(in crate::nodes) fn start_full_sync(&self) -> bool {
        let mut state = self.shared.state();
        let dropped = state.disconnected.remove(&self.node);
        state.queues.get_mut(&self.node).map_or(dropped, |queue| queue.start_full_sync(dropped))
    }

    /// To be called when the database knows that a full sync has started.
    pub(in crate::nodes) fn full_sync_started(&self) {
        if let Some(queue) = self.shared.state().queues.get_mut(&self.node) {
            queue.starting_resync = false;
        }
        self.shared.wake_clearing();
    }

    /// Records the users of a full list that is about to be sent: the node removes all others.
    pub(in crate::nodes) fn add_full_list(&self, users: UserSet) {
        if let Some(queue) = self.shared.state().queues.get_mut(&self.node) {
            queue.add_full_list(users);
        }
    }

    /// Records that the node has these changes.
    pub(in crate::nodes) fn confirm(&self, changes: impl IntoIterator<Item = (UserId, Uuid)>) {
        let mut state = self.shared.state();
        for change in changes {
            let Some(queue) = state.queues.get_mut(&self.node) else { return };
            if queue.confirm(change) {
                state.confirm(change);
            }
        }
        self.shared.wake_clearing();
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        let queue = state.queues.remove(&self.node);
        state.close(self.node, queue);
        self.shared.wake_clearing();
    }
}
