//! The health of each node, and the nodes that are connected.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::connected::ConnectedNode;
use super::damped_health::NodeHealth;
use crate::domain::ids::NodeId;
use crate::foundation::lock;
use crate::store::nodes::sync_state::Health;

#[derive(Debug)]
pub(super) struct HealthRegistry {
    /// Longest time without a change after which a node no longer counts as flapping, and its breaks no longer count.
    steady: Duration,
    state: Mutex<State>,
    changed: Notify,
    /// A node came in step.
    in_step: Notify,
    /// Notified after the status of nodes was written.
    pub(super) written: watch::Sender<()>,
    /// Notified after a report that differs from what the database had was written.
    pub(super) new_report: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct State {
    connected: BTreeMap<NodeId, ConnectedNode>,
    health: HashMap<NodeId, NodeHealth>,
    /// Which engines do not run, and why, of nodes with such engines.
    engine_faults: HashMap<NodeId, String>,
}

impl HealthRegistry {
    pub(super) fn new(steady: Duration) -> Self {
        Self {
            steady,
            state: Mutex::default(),
            changed: Notify::new(),
            in_step: Notify::new(),
            written: watch::Sender::default(),
            new_report: watch::Sender::default(),
        }
    }

    /// Records that a node has a session and is in step, but for what `inbound_fault` says.
    pub(super) fn in_step(&self, node: NodeId, inbound_fault: Option<String>) {
        let mut state = self.state();
        let now = Instant::now();
        let health = state.health(node, now);
        let came = health.fault.is_some();
        health.update(None, now, self.steady);
        health.inbound_fault = inbound_fault;
        drop(state);
        self.changed.notify_one();
        // Each full sync ends here. Only after the first one of a session there is news about the engines.
        if came {
            self.in_step.notify_one();
        }
    }

    /// Records that usage can be fetched from a node, whose users may be out of date.
    pub(super) fn reachable(&self, node: ConnectedNode) {
        self.state().connected.insert(node.id, node);
    }

    /// Records that usage can't be fetched from a node any more.
    pub(super) fn disconnected(&self, node: NodeId) -> Option<ConnectedNode> {
        self.state().connected.remove(&node)
    }

    /// Records why a node's session failed. `answers`: the node itself answered with the error.
    pub(super) fn failed(&self, node: NodeId, message: String, answers: bool) {
        let now = Instant::now();
        let mut state = self.state();
        let health = state.health(node, now);
        health.update(Some(message), now, self.steady);
        health.answers = answers;
        drop(state);
        self.changed.notify_one();
    }

    /// Returns true for a node without a session that answers calls.
    pub(super) fn answers(&self, node: NodeId) -> bool {
        self.state().health.get(&node).is_some_and(|health| health.fault.is_some() && health.answers)
    }

    /// Records which engines of a node do not run, and why. `None`: all run, as far as is known.
    pub(super) fn set_engine_fault(&self, node: NodeId, fault: Option<String>) {
        let mut state = self.state();
        let former = match &fault {
            Some(fault) => state.engine_faults.insert(node, fault.clone()),
            None => state.engine_faults.remove(&node),
        };
        drop(state);
        if former != fault {
            self.changed.notify_one();
        }
    }

    /// Forgets a node.
    pub(super) fn forget(&self, node: NodeId) {
        let mut state = self.state();
        state.connected.remove(&node);
        state.health.remove(&node);
        state.engine_faults.remove(&node);
    }

    /// Forgets all nodes.
    pub(super) fn forget_all(&self) {
        *self.state() = State::default();
    }

    /// Returns the health that admins should see. `None`: no session has started or failed yet.
    pub(super) fn reported(&self, node: NodeId) -> Option<Health> {
        let mut state = self.state();
        let engine_fault = state.engine_faults.get(&node).cloned();
        state.health.get_mut(&node).map(|health| health.reported(engine_fault, Instant::now(), self.steady))
    }

    /// Sets the factor by which users are charged for this node's bytes.
    pub(super) fn set_coefficient(&self, node: NodeId, coefficient: f64) {
        if let Some(node) = self.state().connected.get_mut(&node) {
            node.coefficient = coefficient;
        }
    }

    /// Returns the nodes from which usage can be fetched, by id.
    pub(super) fn connected(&self) -> Vec<ConnectedNode> {
        self.state().connected.values().cloned().collect()
    }

    /// Waits until a node came in step.
    pub(super) async fn came_in_step(&self) {
        self.in_step.notified().await;
    }

    /// Waits until a node's health may have changed.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl State {
    fn health(&mut self, node: NodeId, now: Instant) -> &mut NodeHealth {
        self.health.entry(node).or_insert_with(|| NodeHealth::new(now))
    }
}
