//! Saved views: names that an admin gives to states of the dashboard's list of users.

use serde::{Deserialize, Serialize};

/// Views of an admin, at most.
pub const MOST: usize = 30;
/// Characters of a name, at most.
pub const MAX_NAME: usize = 40;
/// Bytes of a state, at most.
pub const MAX_SEARCH: usize = 2_000;

/// A saved view.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedView {
    /// The name, unique among the admin's.
    pub name: String,
    /// The state of the list, as the client that saved it wrote it.
    pub search: String,
}

/// Returns the index of the first view that can't be stored, and what must be different.
pub fn fault(views: &[SavedView]) -> Option<(usize, String)> {
    views.iter().enumerate().find_map(|(index, view)| {
        let fault = if view.name.trim().is_empty() || view.name.chars().count() > MAX_NAME {
            format!("name must have 1 to {MAX_NAME} characters")
        } else if view.search.len() > MAX_SEARCH {
            format!("search must have at most {MAX_SEARCH} bytes")
        } else if views[..index].iter().any(|before| before.name == view.name) {
            "name must differ from those of the others".to_owned()
        } else if index >= MOST {
            format!("must be at most {MOST}; remove one first")
        } else {
            return None;
        };
        Some((index, fault))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn views_are_bounded_and_have_names_of_their_own() {
        let view = |name: &str, search: &str| SavedView { name: name.to_owned(), search: search.to_owned() };
        let numbered = |count: usize| (0..count).map(|n| view(&n.to_string(), "")).collect::<Vec<_>>();
        assert_eq!(fault(&numbered(MOST)), None);
        assert_eq!(fault(&[view(&"é".repeat(MAX_NAME), &"x".repeat(MAX_SEARCH))]), None);
        for (views, wrong) in [
            (numbered(MOST + 1), MOST),
            (vec![view("a", ""), view(" ", "")], 1),
            (vec![view(&"a".repeat(MAX_NAME + 1), "")], 0),
            (vec![view("a", &"x".repeat(MAX_SEARCH + 1))], 0),
            (vec![view("a", "1"), view("a", "2")], 1),
        ] {
            assert_eq!(fault(&views).map(|(index, _)| index), Some(wrong), "{views:?}");
        }
    }
}
