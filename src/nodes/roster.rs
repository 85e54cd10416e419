//! How each node is, as its session sees it: what the supervisor writes to the database, and whom usage is fetched from.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::connected::ConnectedNode;
use crate::domain::ids::NodeId;
use crate::domain::node::NodeStatus;
use crate::store::node_sync::Health;

#[derive(Debug, Default)]
pub(super) struct Roster {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    connected: BTreeMap<NodeId, ConnectedNode>,
    health: HashMap<NodeId, Health>,
}

impl Roster {
    /// A session is open and its node in step.
    pub(super) fn arrived(&self, node: ConnectedNode) {
        let mut state = self.state();
        state.health.insert(node.id, Health { status: NodeStatus::Healthy, message: None });
        state.connected.insert(node.id, node);
        drop(state);
        self.changed.notify_one();
    }

    /// A session has ended.
    pub(super) fn left(&self, node: NodeId) {
        self.state().connected.remove(&node);
    }

    /// A node can't be brought into step.
    pub(super) fn failed(&self, node: NodeId, message: String) {
        self.state().health.insert(node, Health { status: NodeStatus::Unhealthy, message: Some(message) });
        self.changed.notify_one();
    }

    /// Nothing is known of a node any more.
    pub(super) fn forget(&self, node: NodeId) {
        let mut state = self.state();
        state.connected.remove(&node);
        state.health.remove(&node);
    }

    /// Of all nodes.
    pub(super) fn forget_all(&self) {
        *self.state() = State::default();
    }

    /// How a node is, if that is known.
    pub(super) fn health(&self, node: NodeId) -> Option<Health> {
        self.state().health.get(&node).cloned()
    }

    /// Bytes of this node count differently from now on.
    pub(super) fn set_coefficient(&self, node: NodeId, coefficient: f64) {
        if let Some(node) = self.state().connected.get_mut(&node) {
            node.coefficient = coefficient;
        }
    }

    /// The nodes with a session, by id.
    pub(super) fn connected(&self) -> Vec<ConnectedNode> {
        self.state().connected.values().cloned().collect()
    }

    /// Waits until some node's health may have changed.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing in here panics half-way through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
