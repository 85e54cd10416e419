//! The file of `--report`: created before the work begins, so that a wrong name costs nothing, and removed if there is
//! nothing to report.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::usage_error::UsageError;
use crate::foundation::private_file;

/// A new file, readable by its owner alone, that waits for its report.
#[derive(Debug)]
pub(super) struct ReportFile {
    path: PathBuf,
    file: File,
    is_written: bool,
}

impl ReportFile {
    /// Creates the file, if one is asked for. An existing file is not overwritten.
    pub(super) fn create(path: Option<&Path>) -> Result<Option<Self>, UsageError> {
        let Some(path) = path else { return Ok(None) };
        match private_file().write(true).create_new(true).open(path) {
            Ok(file) => Ok(Some(Self { path: path.to_owned(), file, is_written: false })),
            Err(error) => Err(UsageError(format!("--report: could not create {}: {error}", path.display()))),
        }
    }

    /// Writes the report as JSON.
    pub(super) fn write(&mut self, report: &impl Serialize) -> anyhow::Result<()> {
        let mut text = serde_json::to_vec_pretty(report)?;
        text.push(b'\n');
        self.file.write_all(&text)?;
        self.file.sync_all()?;
        self.is_written = true;
        Ok(())
    }
}

impl Drop for ReportFile {
    fn drop(&mut self) {
        if !self.is_written {
            // It may be gone already.
            let _ = fs::remove_file(&self.path);
        }
    }
}
