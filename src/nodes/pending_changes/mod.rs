//! User changes that nodes have not confirmed yet: the dispatcher enqueues them, the sessions send and confirm them.

mod node_queue;
mod receiver;
mod state;
#[cfg(test)]
mod tests;
mod tracker;

pub(super) use node_queue::{PendingChange, Received};
pub(super) use receiver::Receiver;
pub(super) use tracker::Tracker;
