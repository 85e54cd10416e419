//! A session's place at the desk.

use std::sync::Arc;

use tokio::sync::Notify;
use uuid::Uuid;

use super::node_queue::Post;
use super::tracker::Desk;
use crate::domain::ids::{NodeId, UserId};
use crate::domain::user::set::UserSet;

/// While it exists, its node holds up the marks that it does not have; an absent node holds up nothing, because its
/// next connection begins with everything.
#[derive(Debug)]
pub(in crate::nodes) struct Mailbox {
    desk: Arc<Desk>,
    node: NodeId,
    arrived: Arc<Notify>,
}

impl Mailbox {
    pub(in crate::nodes) const fn new(desk: Arc<Desk>, node: NodeId, arrived: Arc<Notify>) -> Self {
        Self { desk, node, arrived }
    }

    /// What comes next, as soon as it does.
    pub(in crate::nodes) async fn next(&self) -> Post {
        loop {
            let arrived = self.arrived.notified();
            if let Some(post) = self.take() {
                return post;
            }
            arrived.await;
        }
    }

    pub(in crate::nodes) fn take(&self) -> Option<Post> {
        self.desk.state().boxes.get_mut(&self.node)?.take()
    }

    /// A full list is about to be begun, and read then. Returns whether changes were given up for it: then marks stay
    /// until [`Mailbox::begun`].
    pub(in crate::nodes) fn begin_full(&self) -> bool {
        let mut state = self.desk.state();
        let gave_up = state.broken.remove(&self.node);
        state.boxes.get_mut(&self.node).map_or(gave_up, |hole| hole.begin_full(gave_up))
    }

    /// The database knows that a full list was begun.
    pub(in crate::nodes) fn begun(&self) {
        if let Some(hole) = self.desk.state().boxes.get_mut(&self.node) {
            hole.beginning = false;
        }
        self.desk.wake_clearing();
    }

    /// The node is about to be given a list of these; whoever else it has will go.
    pub(in crate::nodes) fn has(&self, users: UserSet) {
        if let Some(hole) = self.desk.state().boxes.get_mut(&self.node) {
            hole.has(users);
        }
    }

    /// The node certainly has these changes.
    pub(in crate::nodes) fn delivered(&self, changes: impl IntoIterator<Item = (UserId, Uuid)>) {
        let mut state = self.desk.state();
        for change in changes {
            let Some(hole) = state.boxes.get_mut(&self.node) else { return };
            if hole.delivered(change) {
                state.settle(change);
            }
        }
        self.desk.wake_clearing();
    }
}

impl Drop for Mailbox {
    fn drop(&mut self) {
        let mut state = self.desk.state();
        let hole = state.boxes.remove(&self.node);
        state.release(self.node, hole);
        self.desk.wake_clearing();
    }
}
