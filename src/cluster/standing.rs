//! Standing of this process among the members: whether it may claim the lease, and whether it must hand it over. The
//! member list decides; the elector obeys.

use std::sync::{Arc, Mutex};

use uuid::Uuid;

use crate::foundation::lock;

/// Reason of a hand-over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandOver {
    /// The process stops, was asked to step down, or leaves leadership to a newer version.
    Asked,
    /// This process can't do the tasks' work, and another one can.
    Unable,
    /// This process reaches far fewer nodes than another one.
    FewNodes,
}

/// The standing. Cheap to clone; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Standing(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    superseded: bool,
    unable: bool,
    better_connected: Vec<Uuid>,
    hand_over: Option<HandOver>,
}

impl Standing {
    /// Sets whether a newer version should lead. Returns true if that changed.
    pub fn set_superseded(&self, superseded: bool) -> bool {
        std::mem::replace(&mut lock(&self.0).superseded, superseded) != superseded
    }

    /// True while a newer version should lead.
    pub fn is_superseded(&self) -> bool {
        lock(&self.0).superseded
    }

    /// Sets whether another member can do the work that this process can't. Returns true if that changed.
    pub(super) fn set_unable(&self, unable: bool) -> bool {
        std::mem::replace(&mut lock(&self.0).unable, unable) != unable
    }

    /// True if this process leaves a free lease to others.
    pub fn must_not_claim(&self) -> bool {
        let state = lock(&self.0);
        state.superseded || state.unable
    }

    /// Sets the members that reach far more nodes.
    pub(super) fn set_better_connected(&self, members: Vec<Uuid>) {
        lock(&self.0).better_connected = members;
    }

    /// True if a member other than `last`, which had the lease, reaches far more nodes than this process.
    pub fn is_better_connected_than_me(&self, last: Option<Uuid>) -> bool {
        lock(&self.0).better_connected.iter().any(|member| Some(*member) != last)
    }

    /// Makes this process hand over its present term.
    pub(super) fn hand_over(&self, reason: HandOver) {
        lock(&self.0).hand_over = Some(reason);
    }

    /// The reason to hand over the present term, if there is one.
    pub(super) fn must_hand_over(&self) -> Option<HandOver> {
        let state = lock(&self.0);
        if state.superseded { Some(HandOver::Asked) } else { state.hand_over }
    }

    /// Forgets a hand-over that was meant for an earlier term.
    pub(super) fn begin_term(&self) {
        lock(&self.0).hand_over = None;
    }
}
