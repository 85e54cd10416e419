//! The report of `sarban check`: a line per step, or JSON at the end.

use std::io::{self, IsTerminal, Write};

use serde::Serialize;

use crate::cli::output;

/// Result of a step: the measured values, or the failure.
pub(super) type StepResult = Result<String, String>;

/// A finished step.
#[derive(Debug, Serialize)]
struct Step {
    name: &'static str,
    passed: bool,
    measured: String,
}

pub(super) struct Report {
    json: bool,
    steps: Vec<Step>,
}

impl Report {
    pub(super) fn new(json: bool) -> Self {
        Self { json, steps: Vec::new() }
    }

    /// Shows on a terminal which step is running.
    pub(super) fn begin(&self, name: &str) {
        if !self.json && io::stderr().is_terminal() {
            // The progress is not part of the result, so that a failed write does not matter.
            let _ = write!(io::stderr(), "… {name}\r");
        }
    }

    /// Adds the result of a step, and prints its line.
    pub(super) fn end(&mut self, name: &'static str, result: StepResult) -> io::Result<()> {
        let passed = result.is_ok();
        let measured = result.unwrap_or_else(|failure| failure);
        if !self.json {
            let sign = if passed { "✓" } else { "✗" };
            output::line(format_args!("{sign} {name:<10} {}", output::plain(&measured)))?;
        }
        self.steps.push(Step { name, passed, measured });
        Ok(())
    }

    /// Prints the JSON, and fails if a step failed.
    pub(super) fn finish(self) -> anyhow::Result<()> {
        if self.json {
            output::json(&self.steps)?;
        }
        match self.steps.iter().filter(|step| !step.passed).count() {
            0 => Ok(()),
            failed => anyhow::bail!("{failed} of {} steps failed", self.steps.len()),
        }
    }
}
