//! Notifications to be delivered.

pub mod outbox;
