//! The state that the tracker and its receivers share: every node's queue, and the confirmations that each change
//! lacks.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard};

use tokio::sync::Notify;
use uuid::Uuid;

use super::node_queue::{ChangeKey, NodeQueue};
use crate::domain::ids::{NodeId, UserId};
use crate::foundation::lock;
use crate::store::users::changes::Mark;

#[derive(Debug, Default)]
pub(super) struct Shared {
    state: Mutex<State>,
    /// Notified when there may be confirmed changes.
    confirmed: Notify,
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) queues: HashMap<NodeId, NodeQueue>,
    /// The newest change of each user whose mark is not cleared.
    pub(super) unconfirmed: HashMap<UserId, Unconfirmed>,
    /// Marks of changes that every node has.
    pub(super) confirmed: Vec<Mark>,
    /// Changes whose marks were cleared since the last page of marks was requested. That page may still contain them.
    pub(super) cleared: HashSet<ChangeKey>,
    /// Nodes whose session ended with unconfirmed changes. The database does not know of them yet.
    pub(super) disconnected: HashSet<NodeId>,
}

/// A change, and the number of nodes that have not confirmed it.
#[derive(Debug)]
pub(super) struct Unconfirmed {
    pub(super) id: Uuid,
    pub(super) nodes: usize,
}

impl Shared {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Waits until there may be confirmed changes.
    pub(super) async fn confirmed(&self) {
        self.confirmed.notified().await;
    }

    /// Wakes the task that clears the marks of confirmed changes.
    pub(super) fn wake_clearing(&self) {
        self.confirmed.notify_one();
    }
}

impl State {
    /// Counts one node's confirmation of a change, unless a newer change of the user has replaced it.
    pub(super) fn confirm(&mut self, (user, id): ChangeKey) {
        if let Some(change) = self.unconfirmed.get_mut(&user).filter(|change| change.id == id) {
            change.nodes = change.nodes.saturating_sub(1);
            if change.nodes == 0 {
                self.confirmed.push(Mark { user_id: user.0, change_id: id });
            }
        }
    }

    /// Removes a node whose session ended: its next session starts with a full list, so no change waits for it.
    pub(super) fn close(&mut self, node: NodeId, queue: Option<NodeQueue>) {
        let Some(queue) = queue else { return };
        let (lacks_change, unconfirmed) = queue.close();
        if lacks_change {
            self.disconnected.insert(node);
        }
        unconfirmed.into_iter().for_each(|change| self.confirm(change));
    }
}
