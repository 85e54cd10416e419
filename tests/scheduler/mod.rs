//! The scheduled tasks, their ledger, and requests to run one now.

mod audit;
mod back_up;
mod ledger;
mod requests;
mod resets;
mod retention;
mod review;
mod review_admins;
pub mod task;
mod task_notifications;
