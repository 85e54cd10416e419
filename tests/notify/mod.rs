//! Delivery of notifications to real receivers.

mod delivery;
pub mod receiver;
