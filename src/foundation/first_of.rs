//! A list in a message that names some and counts the rest.

use std::fmt::Display;

/// Joins the first `most` names; others are counted.
pub fn first_of<T: Display>(names: &[T], most: usize) -> String {
    let named: Vec<String> = names.iter().take(most).map(T::to_string).collect();
    match names.len().saturating_sub(most) {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_beyond_the_most_are_counted() {
        assert_eq!(first_of(&[1, 2], 2), "1, 2");
        assert_eq!(first_of(&["a", "b", "c", "d"], 2), "a, b and 2 more");
    }
}
