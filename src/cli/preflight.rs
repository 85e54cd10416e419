//! Problems that `serve` will log or end with, found by other commands.

use std::future::Future;
use std::pin::Pin;

use anyhow::Error;
use serde::Serialize;

use super::output;
use super::usage_error::UsageError;
use crate::config::Settings;

/// Finds problems without starting a panel; `app` has the implementation, on the functions that `serve` starts with.
#[derive(Clone, Copy, Debug)]
pub struct Preflight {
    /// Reads the files that the settings name.
    pub files: fn(&Settings) -> Problems,
    /// Does that, and tries the port, the database, Redis and the folders. Leaves nothing behind.
    pub all: for<'a> fn(&'a Settings) -> Pin<Box<dyn Future<Output = Problems> + 'a>>,
}

/// Problems, each as the sentence that `serve` logs or ends with.
#[derive(Debug, Default, Serialize)]
pub struct Problems {
    /// Warnings.
    pub warnings: Vec<String>,
    /// Reasons for not using a file, or for ending.
    pub refused: Vec<String>,
}

impl Problems {
    /// Adds an error that ends `serve`.
    pub fn refuse(&mut self, error: &Error) {
        self.refused.push(format!("{error:#}"));
    }

    /// Adds an error that does not end `serve`, or that may be gone by then.
    pub fn warn(&mut self, error: &Error) {
        self.warnings.push(format!("{error:#}"));
    }

    /// Prints the warnings, a line each.
    pub(super) fn print_warnings(&self) -> std::io::Result<()> {
        self.warnings.iter().try_for_each(|warning| output::line(format_args!("warning: {warning}")))
    }

    /// Fails with the exit code of wrong settings if `serve` would refuse something.
    pub(super) fn into_result(self) -> anyhow::Result<()> {
        if self.refused.is_empty() { Ok(()) } else { Err(UsageError(self.refused.join("\n")).into()) }
    }
}
