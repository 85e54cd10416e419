//! What is wrong with the settings: all of it at once, each with its name and what would be right.

use std::fmt;

/// Everything that is wrong; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingsErrors(pub(super) Vec<SettingError>);

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingError(String);

impl SettingError {
    /// A sentence about a setting, beginning with its name.
    pub(super) fn new(sentence: impl Into<String>) -> Self {
        Self(sentence.into())
    }

    /// A value that its setting can't have. `problem` goes on after the name: "must be …".
    pub(super) fn value(name: &str, problem: &str, value: Option<&str>) -> Self {
        match value {
            Some(value) => Self(format!("{name} {problem}; it has {value:?}")),
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
