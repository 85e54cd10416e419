//! Delivery of notifications to real receivers.

mod delivery;
