//! Small functions that every layer may use: the standard library's missing pieces.

mod error_chain;
mod mutex;

pub use error_chain::{chain, with_sources};
pub use mutex::lock;
