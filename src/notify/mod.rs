//! Delivers the outbox to a webhook and to Telegram, from the leader alone, apart from requests and tasks.
//!
//! At least once: an entry counts as delivered when its answer has arrived and is recorded, so a leader that dies in
//! between leaves the entry to be sent again, with the same idempotency key.

mod delivery;
mod http;
mod message;
mod outcome;
mod telegram;
mod telegram_delivery;
mod timing;
mod webhook;
mod webhook_delivery;

pub use delivery::{Bot, Delivery};
pub use http::ClientError;
pub use telegram::{Telegram, TelegramApi, Tested};
pub use timing::Timing;
pub use webhook::Webhook;
