//! Problems that `serve` will log or end with, found by other commands.

use crate::config::Settings;

/// Finds the problems; `app` has the implementation.
pub type Preflight = fn(&Settings) -> Problems;

/// Problems with files that the settings name, each a sentence of `serve`.
#[derive(Debug, Default)]
pub struct Problems {
    /// Warnings.
    pub warnings: Vec<String>,
    /// Reasons for not using a file, or for ending.
    pub refused: Vec<String>,
}
