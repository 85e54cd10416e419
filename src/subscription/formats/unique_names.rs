//! Unique names: clients refuse a configuration in which two entries have the same name.

use std::collections::{HashMap, HashSet};

/// The names in use.
#[derive(Debug, Default)]
pub struct UniqueNames {
    taken: HashSet<String>,
    /// The next number to try for a repeated name, so that a thousand hosts of one name take a thousand steps.
    next: HashMap<String, usize>,
}

impl UniqueNames {
    /// Starts with the names that the template uses.
    pub fn new<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        Self { taken: names.into_iter().map(str::to_owned).collect(), next: HashMap::new() }
    }

    /// Reserves the name; a name in use gets the first number that makes it unique.
    pub fn unique(&mut self, name: &str) -> String {
        let mut unique = name.to_owned();
        while !self.taken.insert(unique.clone()) {
            let number = self.next.entry(name.to_owned()).or_insert(2);
            unique = format!("{name} ({number})");
            *number += 1;
        }
        unique
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_names_get_numbers() {
        let mut names = UniqueNames::new(["direct"]);
        let made: Vec<String> = ["a", "a", "a (2)", "a", "direct", ""].iter().map(|name| names.unique(name)).collect();
        assert_eq!(made, ["a", "a (2)", "a (2) (2)", "a (3)", "direct (2)", ""]);
    }
}
