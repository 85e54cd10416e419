//! Members of operators' templates that a core refuses from a version on.

use crate::foundation::first_of;
use crate::subscription::client::Version;

/// Members that a warning names, at most.
const MAX_NAMED: usize = 5;

/// The sentence about members that this core refuses, each with its place and the first version that refuses it; `None`
/// without any. They are sorted by version.
pub fn warning(core: &str, refused: &[(String, Version)]) -> Option<String> {
    let (_, Version(major, minor, _)) = refused.first()?;
    let places: Vec<&str> = refused.iter().map(|(place, _)| place.as_str()).collect();
    Some(format!(
        "{core} {major}.{minor} and later refuse {}: these clients, and apps that do not name their version, get the \
         built-in template",
        first_of(&places, MAX_NAMED)
    ))
}
