//! The health of one node, with damping of flaps.
//!
//! Without damping, a node whose connection keeps breaking would be reported healthy and unhealthy in turn, and nobody
//! could read why. So from its third break on the node stays unhealthy, with the cause, until its state is steady: for a few
//! seconds at first, because a node with a session is in step, and for twice as long with each further break.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use crate::domain::node::NodeStatus;
use crate::store::nodes::sync_state::Health;

/// Number of breaks within [`WINDOW`] that counts as flapping, and the number from which a node must be steady for longest.
const FLAPS: (usize, usize) = (3, 7);
const WINDOW: Duration = Duration::from_secs(600);

#[derive(Debug)]
pub(super) struct NodeHealth {
    /// Why the node has no session. `None`: it has one.
    pub(super) fault: Option<String>,
    /// The session ended with an error that the node itself answered.
    pub(super) answers: bool,
    /// Which inbounds take no users. The session goes on.
    pub(super) inbound_fault: Option<String>,
    /// When the node last got or lost its session.
    since: Instant,
    /// When sessions broke, oldest first.
    breaks: VecDeque<Instant>,
    /// The message while the node is flapping.
    flapping: Option<String>,
}

impl NodeHealth {
    pub(super) const fn new(now: Instant) -> Self {
        Self {
            fault: Some(String::new()),
            answers: false,
            inbound_fault: None,
            since: now,
            breaks: VecDeque::new(),
            flapping: None,
        }
    }

    /// Records the node's state: a fault, or a session.
    pub(super) fn update(&mut self, fault: Option<String>, now: Instant, steady: Duration) {
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

    /// Returns the health that admins should see. `engine_fault`: which engines do not run. Of a node that can't be reached,
    /// neither that is known nor which inbounds take no users.
    pub(super) fn reported(&mut self, engine_fault: Option<String>, now: Instant, steady: Duration) -> Health {
        self.end_flapping(now, steady);
        let engine_fault = engine_fault.filter(|_| self.fault.is_none() || self.answers);
        let inbound_fault = self.inbound_fault.clone().filter(|_| self.fault.is_none());
        let session_fault = self.flapping.clone().or_else(|| self.fault.clone());
        let faults: Vec<String> = engine_fault.into_iter().chain(inbound_fault).chain(session_fault).collect();
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
            Self { health: NodeHealth::new(now), now }
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
        node.health.inbound_fault = Some("no users on a".to_owned());
        assert_eq!(dead(&mut node).as_deref(), Some("dead; refused"), "known while there is a session");
        node.up();
        assert_eq!(dead(&mut node).as_deref(), Some("dead; no users on a"));
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
