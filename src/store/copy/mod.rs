//! Copies of what subscriptions need: reading the database for them, and their file.

pub mod file;
pub mod file_lock;
mod rows;
mod schema;
pub mod source;
mod waiting_fetches;
