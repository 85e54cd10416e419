//! Unique names: clients refuse a configuration in which two entries have the same name.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

/// The names in use.
#[derive(Debug, Default)]
pub struct UniqueNames<'a> {
    taken: HashSet<Cow<'a, str>>,
    /// The next number to try for a repeated name, so that a thousand hosts of one name take a thousand steps.
    next: HashMap<&'a str, usize>,
}

impl<'a> UniqueNames<'a> {
    /// Starts with the names that the template uses.
    pub fn new(names: impl IntoIterator<Item = &'a str>) -> Self {
        Self { taken: names.into_iter().map(Cow::Borrowed).collect(), next: HashMap::new() }
    }

    /// Reserves the name; a name in use gets the first number that makes it unique.
    pub fn unique(&mut self, name: &'a str) -> Cow<'a, str> {
        if self.taken.insert(Cow::Borrowed(name)) {
            return Cow::Borrowed(name);
        }
        let next = self.next.entry(name).or_insert(2);
        loop {
            let unique = numbered(name, *next);
            *next += 1;
            if self.taken.insert(unique.clone()) {
                return unique;
            }
        }
    }
}

/// The name, with the first number that makes it unique if it is taken: for a few names, without a set of them.
pub fn unique_name(name: &str, is_taken: impl Fn(&str) -> bool) -> Cow<'_, str> {
    let numbered = (2..).map(|number| numbered(name, number));
    std::iter::once(Cow::Borrowed(name)).chain(numbered).find(|name| !is_taken(name)).unwrap_or(Cow::Borrowed(name))
}

fn numbered(name: &str, number: usize) -> Cow<'_, str> {
    format!("{name} ({number})").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_names_get_numbers() {
        let mut names = UniqueNames::new(["direct"]);
        let mut few = vec![Cow::Borrowed("direct")];
        for (name, expected) in
            [("a", "a"), ("a", "a (2)"), ("a (2)", "a (2) (2)"), ("a", "a (3)"), ("direct", "direct (2)"), ("", "")]
        {
            assert_eq!(names.unique(name), expected);
            let unique = unique_name(name, |name| few.iter().any(|taken| taken == name));
            assert_eq!(unique, expected);
            few.push(unique);
        }
    }
}
