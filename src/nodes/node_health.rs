//! The health of each node, with damping of flaps, and the nodes that are connected.
//!
//! Without damping, a node whose connection keeps breaking would be reported healthy and unhealthy in turn, and nobody
//! could read why. So from its third break on the node stays unhealthy, with the cause, until its state is steady: for a few
//! seconds at first, because a node with a session is in step, and for twice as long with each further break.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::connected::ConnectedNode;
use crate::domain::ids::NodeId;
use crate::domain::node::NodeStatus;
use crate::foundation::lock;
use crate::store::nodes::sync_state::Health;

/// Number of breaks within [`WINDOW`] that counts as flapping, and the number from which a node must be steady for longest.
const FLAPS: (usize, usize) = (3, 7);
const WINDOW: Duration = Duration::from_secs(600);

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

#[derive(Debug)]
struct NodeHealth {
    /// Why the node has no session. `None`: it has one.
    fault: Option<String>,
    /// The session ended with an error that the node itself answered.
    answers: bool,
    /// When the node last got or lost its session.
    since: Instant,
    /// When sessions broke, oldest first.
    breaks: VecDeque<Instant>,
    /// The message while the node is flapping.
    flapping: Option<String>,
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

    /// Records that a node has a session and is in step.
    pub(super) fn in_step(&self, node: ConnectedNode) {
        let mut state = self.state();
        let now = Instant::now();
        let health = state.health(node.id, now);
        let came = health.fault.is_some();
        health.update(None, now, self.steady);
        state.connected.insert(node.id, node);
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

    /// Records that a node's session ended.
    pub(super) fn disconnected(&self, node: NodeId) {
        self.state().connected.remove(&node);
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

    /// Returns the nodes with a session, by id.
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
        self.health.entry(node).or_insert_with(|| NodeHealth {
            fault: Some(String::new()),
            answers: false,
            since: now,
            breaks: VecDeque::new(),
            flapping: None,
        })
    }
}

impl NodeHealth {
    /// Records the node's state: a fault, or a session.
    fn update(&mut self, fault: Option<String>, now: Instant, steady: Duration) {
        self.end_flapping(now, steady);
        if self.fault.is_none() != fault.is_none() {
            self.since = now;
        }
        if let (None, Some(reason)) = (&self.fault, &fault) {
            self.breaks.push_back(now);
            while self.breaks.len() > FLAPS.1 || self.breaks.front().is_some_and(|first| now - *first > WINDOW) {
                self.breaks.pop_front();
            }
            if self.breaks.len() >= FLAPS.0 {
                let flapping = || format!("the connection keeps breaking; first cause: {reason}");
                self.flapping.get_or_insert_with(flapping);
            }
        }
        self.fault = fault;
    }

    /// `engine_fault`: which engines do not run. Of a node that can't be reached, that is not known.
    fn reported(&mut self, engine_fault: Option<String>, now: Instant, steady: Duration) -> Health {
        self.end_flapping(now, steady);
        let engine_fault = engine_fault.filter(|_| self.fault.is_none() || self.answers);
        let session_fault = self.flapping.clone().or_else(|| self.fault.clone());
        let faults: Vec<String> = engine_fault.into_iter().chain(session_fault).collect();
        match faults.as_slice() {
            [] => Health { status: NodeStatus::Healthy, message: None },
            faults => Health { status: NodeStatus::Unhealthy, message: Some(faults.join("; ")) },
        }
    }

    fn end_flapping(&mut self, now: Instant, steady: Duration) {
        let halvings = FLAPS.1.saturating_sub(self.breaks.len()) as u32;
        if now - self.since >= steady / 2_u32.pow(halvings) {
            self.flapping = None;
        }
        if now - self.since >= steady {
            self.breaks.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEADY: Duration = Duration::from_secs(60);

    /// A node with a clock of its own.
    struct Node {
        health: NodeHealth,
        now: Instant,
    }

    impl Node {
        fn new() -> Self {
            let now = Instant::now();
            let health = NodeHealth {
                fault: Some(String::new()),
                answers: false,
                since: now,
                breaks: VecDeque::new(),
                flapping: None,
            };
            Self { health, now }
        }

        fn up(&mut self) {
            self.health.update(None, self.now, STEADY);
        }

        fn down(&mut self, why: &str) {
            self.health.update(Some(why.to_owned()), self.now, STEADY);
        }

        fn wait(&mut self, seconds: u64) {
            self.now += Duration::from_secs(seconds);
        }

        /// `None`: healthy.
        fn message(&mut self) -> Option<String> {
            self.health.reported(None, self.now, STEADY).message
        }
    }

    #[test]
    fn flapping_node_is_unhealthy_until_steady() {
        let mut node = Node::new();
        let mut shown = Vec::new();
        for round in 0..20 {
            node.up();
            shown.push(node.message());
            node.wait(5);
            node.down(&format!("reason {round}"));
            shown.push(node.message());
            node.wait(5);
        }
        shown.dedup();
        assert_eq!(shown.len(), 8, "three times up and down, up, and then always the same message: {shown:?}");
        assert_eq!(node.message().as_deref(), Some("the connection keeps breaking; first cause: reason 3"));
        node.up();
        node.wait(59);
        assert!(node.message().is_some());
        node.wait(1);
        assert_eq!(node.message(), None);
        node.down("once");
        assert_eq!(node.message().as_deref(), Some("once"), "earlier breaks no longer count");
    }

    #[test]
    fn node_that_broke_three_times_is_healthy_seconds_after_it_is_back() {
        let mut node = Node::new();
        for _ in 0..3 {
            node.up();
            node.wait(1);
            node.down("killed");
            node.wait(1);
        }
        node.up();
        assert!(node.message().is_some_and(|message| message.contains("keeps breaking")));
        node.wait(4);
        assert_eq!(node.message(), None);
    }

    #[test]
    fn node_that_stays_unreachable_reports_current_cause() {
        let mut node = Node::new();
        for _ in 0..3 {
            node.up();
            node.down("broken");
        }
        assert!(node.message().is_some_and(|message| message.contains("keeps breaking")));
        node.wait(60);
        node.down("connection refused");
        assert_eq!(node.message().as_deref(), Some("connection refused"));
    }

    #[test]
    fn dead_engine_is_reported_unless_the_node_is_unreachable() {
        let mut node = Node::new();
        let dead = |node: &mut Node| node.health.reported(Some("dead".to_owned()), node.now, STEADY).message;
        node.up();
        assert_eq!(dead(&mut node).as_deref(), Some("dead"));
        node.down("refused");
        assert_eq!(dead(&mut node).as_deref(), Some("refused"));
        node.health.answers = true;
        assert_eq!(dead(&mut node).as_deref(), Some("dead; refused"));
    }

    #[test]
    fn rare_breaks_and_failed_attempts_are_not_flapping() {
        let mut node = Node::new();
        for _ in 0..10 {
            node.up();
            assert_eq!(node.message(), None);
            node.wait(400);
            node.down("broken");
            node.down("refused");
            node.down("refused");
        }
        assert_eq!(node.message().as_deref(), Some("refused"));
    }
}
