//! Errors in the settings: all of them together, each with the setting's name and what to write.

use std::fmt;

/// All errors in the settings; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingsErrors(pub(super) Vec<SettingError>);

impl SettingsErrors {
    /// An error in what a setting names, which was found when it was about to be used.
    pub fn found_later(message: String) -> Self {
        Self(vec![SettingError(message)])
    }
}

/// An error in one setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingError(String);

impl SettingError {
    /// An error with a message that begins with the setting's name.
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }

    /// A wrong value. `problem` continues a sentence that begins with the name: "must be …".
    pub(super) fn value(name: &str, problem: &str, value: Option<&str>) -> Self {
        match value {
            Some(value) => Self(format!("{name} {problem}; got {value:?}")),
            None => Self(format!("{name} {problem}")),
        }
    }
}

impl fmt::Display for SettingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for SettingsErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, error) in self.0.iter().enumerate() {
            let end = if i == 0 { "" } else { "\n" };
            write!(f, "{end}{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for SettingsErrors {}
