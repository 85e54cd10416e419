//! Names that must not repeat: clients refuse a configuration in which two entries have one name.

use std::collections::{HashMap, HashSet};

/// The names that are taken.
#[derive(Debug, Default)]
pub struct Names {
    taken: HashSet<String>,
    /// The number to try next for a name that repeats, so that a thousand hosts of one name are no work.
    next: HashMap<String, usize>,
}

impl Names {
    /// Starts with names that the template has.
    pub fn taken<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        Self { taken: names.into_iter().map(str::to_owned).collect(), next: HashMap::new() }
    }

    /// The name, with the first number that makes it new when it is taken.
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
    fn taken_names_get_numbers() {
        let mut names = Names::taken(["direct"]);
        let made: Vec<String> = ["a", "a", "a (2)", "a", "direct", ""].iter().map(|name| names.unique(name)).collect();
        assert_eq!(made, ["a", "a (2)", "a (2) (2)", "a (3)", "direct (2)", ""]);
    }
}
