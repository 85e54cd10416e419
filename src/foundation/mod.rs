//! Small functions that every layer may use: the standard library's missing pieces.

mod error_chain;
mod excerpt;
mod failure_streak;
mod first_of;
mod ignored_signals;
mod mutex;
mod printable;
mod private_files;
mod synced_folder;

pub use error_chain::{chain, with_sources};
pub use excerpt::excerpt;
pub use failure_streak::FailureStreak;
pub use first_of::first_of;
pub use ignored_signals::is_ignored;
pub use mutex::lock;
pub use printable::{escaped, escaped_in_json, is_steering};
pub use private_files::{create_private_folder, private_file};
pub use synced_folder::sync_folder;
