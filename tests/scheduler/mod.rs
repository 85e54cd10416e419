//! The scheduled tasks, their ledger, and requests to run one now.

mod ledger;
mod requests;
mod resets;
mod retention;
mod review;
pub mod task;
mod task_notifications;
