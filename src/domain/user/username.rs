//! Validation and stored form of a user's name.

/// 3 to 32 letters, digits or underscores of any script, in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Username(String);

impl Username {
    /// Reads a name; `None` when the text is not a valid one.
    pub fn parse(text: &str) -> Option<Self> {
        let fits = (3..=32).contains(&text.chars().count());
        let is_word = text.chars().all(|letter| letter.is_alphanumeric() || letter == '_');
        (fits && is_word).then(|| Self(text.to_lowercase()))
    }

    /// The stored form.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The stored form.
    pub fn into_string(self) -> String {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_of_any_script_is_stored_in_lower_case() {
        for (text, stored) in [
            ("MixedCase_99", "mixedcase_99"),
            ("ünïCode", "ünïcode"),
            ("کاربر_فارسی", "کاربر_فارسی"),
            ("bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb", "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"),
        ] {
            assert_eq!(Username::parse(text).map(Username::into_string).as_deref(), Some(stored));
        }
    }

    #[test]
    fn other_characters_and_lengths_are_refused() {
        for text in ["", "ab", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "a-b", "a b", "a.b.c", "user\n", "<b>", "a/b/c"] {
            assert_eq!(Username::parse(text), None, "{text:?}");
        }
    }
}
