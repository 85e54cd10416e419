//! A value that no client takes, with the right form.

/// A value that no client takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The field, as the API names it.
    pub field: &'static str,
    /// The right form; completes the sentence "the field …".
    pub message: String,
}

/// A problem of this field.
pub(super) fn problem(field: &'static str, message: &str) -> Problem {
    Problem { field, message: message.to_owned() }
}
