//! User changes that a node has not confirmed yet: the dispatcher enters them, the sessions send and confirm them.

mod node_queue;
mod receiver;
#[cfg(test)]
mod tests;
mod tracker;

pub(super) use node_queue::{Letter, Post};
pub(super) use receiver::Mailbox;
pub(super) use tracker::Desk;
