//! Delivers the outbox: to a webhook and to Telegram, from the leader alone, apart from requests and tasks.
//!
//! At least once: a entry counts as delivered when the answer has come and been entered, so a leader that dies in
//! between leaves it to be sent again, with the same idempotency key.

mod delivery;
mod http;
mod message;
mod telegram;
mod webhook;

pub use delivery::{Bot, Delivery, Timing};
pub use http::ClientError;
pub use telegram::Telegram;
pub use webhook::Webhook;
