//! Modes of files: whether other users of this machine can read the panel's secrets.

use super::report::StepResult;
use crate::config::{Settings, file_modes};

/// Looks at the files that the settings of this command name. They are the panel's, unless it runs elsewhere.
pub(super) fn are_private(settings: &Settings) -> StepResult {
    let found: Vec<String> = file_modes::find(settings).iter().map(ToString::to_string).collect();
    if found.is_empty() { Ok("no file with secrets is open to other users".to_owned()) } else { Err(found.join("; ")) }
}
