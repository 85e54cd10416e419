//! Where a setting was read: in a variable of the process, in `.env`, or in the file of a secret.

use std::collections::HashMap;
use std::fmt;

/// The value of a variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Value {
    pub text: String,
    /// The line of `.env`; none for a variable of the process.
    pub line: Option<usize>,
}

/// The place of one value, in the words of an error message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The name that the value has there, which may be the setting's alias.
    pub(super) name: String,
    /// The variable with the path, for a secret that was read from a file.
    pub(super) file_variable: Option<String>,
    /// The line of `.env`; none for a variable of the process.
    pub(super) line: Option<usize>,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        match (&self.file_variable, self.line) {
            (None, None) => Ok(()),
            (None, Some(line)) => write!(f, " (line {line} of .env)"),
            (Some(variable), None) => write!(f, " (from {variable})"),
            (Some(variable), Some(line)) => write!(f, " (from {variable}, line {line} of .env)"),
        }
    }
}

/// Where each setting that is set was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sources(pub(super) HashMap<&'static str, Source>);

impl Sources {
    /// Returns the words for the setting in a message: the place of its value, or its name when it is not set.
    pub fn of(&self, setting: &str) -> String {
        self.0.get(setting).map_or_else(|| setting.to_owned(), Source::to_string)
    }
}
