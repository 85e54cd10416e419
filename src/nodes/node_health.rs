//! How each node is, as its session sees it: what the supervisor writes to the database, and whom usage is fetched from.
//!
//! A node whose connection keeps breaking would be written healthy and unhealthy in turn, and nobody could read why. So
//! after some breaks it is unhealthy, with that as its message, until it has been one way for a while.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::connected::ConnectedNode;
use crate::domain::ids::NodeId;
use crate::domain::node::NodeStatus;
use crate::foundation::lock;
use crate::store::nodes::sync_state::Health;

/// So many breaks within [`WINDOW`] are flapping.
const FLAPS: usize = 3;
const WINDOW: Duration = Duration::from_secs(600);

#[derive(Debug)]
pub(super) struct Roster {
    /// A node that has been one way for so long does not flap.
    steady: Duration,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    connected: BTreeMap<NodeId, ConnectedNode>,
    standings: HashMap<NodeId, Standing>,
}

#[derive(Debug)]
struct Standing {
    /// Why there is no session; `None`: there is one.
    fault: Option<String>,
    /// When that was last the other way round.
    since: Instant,
    /// When sessions broke, the latest last.
    breaks: VecDeque<Instant>,
    /// What is said while it flaps.
    flapping: Option<String>,
}

impl Roster {
    pub(super) fn new(steady: Duration) -> Self {
        Self { steady, state: Mutex::default(), changed: Notify::new() }
    }

    /// A session is open and its node in step.
    pub(super) fn arrived(&self, node: ConnectedNode) {
        let mut state = self.state();
        let now = Instant::now();
        state.standing(node.id, now).turn(None, now, self.steady);
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
        let now = Instant::now();
        self.state().standing(node, now).turn(Some(message), now, self.steady);
        self.changed.notify_one();
    }

    /// Nothing is known of a node any more.
    pub(super) fn forget(&self, node: NodeId) {
        let mut state = self.state();
        state.connected.remove(&node);
        state.standings.remove(&node);
    }

    /// Of all nodes.
    pub(super) fn forget_all(&self) {
        *self.state() = State::default();
    }

    /// How a node is to be shown, if that is known.
    pub(super) fn health(&self, node: NodeId) -> Option<Health> {
        self.state().standings.get_mut(&node).map(|standing| standing.shown(Instant::now(), self.steady))
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
        lock(&self.state)
    }
}

impl State {
    fn standing(&mut self, node: NodeId, now: Instant) -> &mut Standing {
        self.standings.entry(node).or_insert_with(|| Standing {
            fault: Some(String::new()),
            since: now,
            breaks: VecDeque::new(),
            flapping: None,
        })
    }
}

impl Standing {
    /// It is this way now.
    fn turn(&mut self, fault: Option<String>, now: Instant, steady: Duration) {
        self.calm_down(now, steady);
        if self.fault.is_none() != fault.is_none() {
            self.since = now;
        }
        if let (None, Some(reason)) = (&self.fault, &fault) {
            self.breaks.push_back(now);
            while self.breaks.len() > FLAPS || self.breaks.front().is_some_and(|first| now - *first > WINDOW) {
                self.breaks.pop_front();
            }
            if self.breaks.len() == FLAPS {
                let flapping = || format!("the connection keeps breaking; at first: {reason}");
                self.flapping.get_or_insert_with(flapping);
            }
        }
        self.fault = fault;
    }

    fn shown(&mut self, now: Instant, steady: Duration) -> Health {
        self.calm_down(now, steady);
        match self.flapping.as_ref().or(self.fault.as_ref()) {
            Some(message) => Health { status: NodeStatus::Unhealthy, message: Some(message.clone()) },
            None => Health { status: NodeStatus::Healthy, message: None },
        }
    }

    fn calm_down(&mut self, now: Instant, steady: Duration) {
        if self.flapping.is_some() && now - self.since >= steady {
            self.flapping = None;
            self.breaks.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEADY: Duration = Duration::from_secs(60);

    /// A node, and a time of its own.
    struct Node {
        standing: Standing,
        now: Instant,
    }

    impl Node {
        fn new() -> Self {
            let now = Instant::now();
            let standing = Standing { fault: Some(String::new()), since: now, breaks: VecDeque::new(), flapping: None };
            Self { standing, now }
        }

        fn up(&mut self) {
            self.standing.turn(None, self.now, STEADY);
        }

        fn down(&mut self, why: &str) {
            self.standing.turn(Some(why.to_owned()), self.now, STEADY);
        }

        fn wait(&mut self, seconds: u64) {
            self.now += Duration::from_secs(seconds);
        }

        /// `None`: healthy.
        fn message(&mut self) -> Option<String> {
            self.standing.shown(self.now, STEADY).message
        }
    }

    #[test]
    fn a_node_that_flaps_is_unhealthy_until_it_is_steady() {
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
        assert_eq!(shown.len(), 6, "twice up and down, up, and from then on the same words: {shown:?}");
        assert_eq!(node.message().as_deref(), Some("the connection keeps breaking; at first: reason 2"));
        node.up();
        node.wait(59);
        assert!(node.message().is_some());
        node.wait(1);
        assert_eq!(node.message(), None);
        node.down("once");
        assert_eq!(node.message().as_deref(), Some("once"), "all is forgiven");
    }

    #[test]
    fn a_node_that_stays_away_says_why() {
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
    fn breaks_now_and_then_are_no_flapping_and_neither_are_vain_attempts() {
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
