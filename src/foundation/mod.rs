//! Small functions that every layer may use: the standard library's missing pieces.

mod error_chain;
mod excerpt;
mod failure_streak;
mod mutex;
mod printable;
mod private_files;

pub use error_chain::{chain, with_sources};
pub use excerpt::excerpt;
pub use failure_streak::FailureStreak;
pub use mutex::lock;
pub use printable::{escaped, escaped_in_json, is_steering};
pub use private_files::{create_private_folder, private_file};
