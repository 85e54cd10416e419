//! Client rules in the syntax of Python's `re`, which the old panel used: translated when they are imported, and back for an
//! export. Most patterns are the same in both.

mod class;
mod cursor;
mod from_python;
mod group;
mod to_python;

pub use from_python::from_python;
pub use to_python::to_python;

/// A part of a pattern that the other engine has no word for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} has no counterpart")]
pub struct Untranslatable(String);

type Translated<T> = Result<T, Untranslatable>;

fn refuse<T>(part: impl Into<String>) -> Translated<T> {
    Err(Untranslatable(part.into()))
}
