//! Names that must not repeat: clients refuse a configuration in which two entries have one name.

use std::collections::HashSet;

/// The names that are taken.
#[derive(Debug, Default)]
pub struct Names(HashSet<String>);

impl Names {
    /// Starts with names that the template has.
    pub fn taken<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        Self(names.into_iter().map(str::to_owned).collect())
    }

    /// The name, with the first number that makes it new when it is taken.
    pub fn unique(&mut self, name: &str) -> String {
        let mut unique = name.to_owned();
        let mut number = 2;
        while !self.0.insert(unique.clone()) {
            unique = format!("{name} ({number})");
            number += 1;
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
