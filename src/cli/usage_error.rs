//! Errors in the use of a command, which exit with code 2.

/// A command that can't run as it was given. The exit code is 2, as for wrong settings.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct UsageError(pub String);

impl UsageError {
    /// An error with this message.
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}
