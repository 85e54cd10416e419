//! Validation and stored form of a user's name.

use std::sync::LazyLock;

use regex::Regex;

/// Word characters as Marzneshin counts them: letters and their marks, digits, connectors, and the joiners that Persian
/// and Indic scripts need inside a word.
static WORD: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"^\w+$").ok());

/// 3 to 32 word characters of any script, in lower case. The text is not normalized: two names that look alike but
/// differ in code points are two names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Username(String);

impl Username {
    /// Reads a name; `None` when the text is not a valid one.
    pub fn parse(text: &str) -> Option<Self> {
        // The length goes first: it bounds what is searched.
        let fits = (3..=32).contains(&text.chars().take(33).count());
        let is_word = || WORD.as_ref().is_some_and(|word| word.is_match(text));
        (fits && is_word()).then(|| Self(text.to_lowercase()))
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
            ("کاربر\u{200c}۱", "کاربر\u{200c}۱"),
            ("مُحَمَّد", "مُحَمَّد"),
            ("क्\u{200d}षमा", "क्\u{200d}षमा"),
            ("ผู้ใช้", "ผู้ใช้"),
            ("e\u{301}tE\u{301}", "e\u{301}te\u{301}"),
            ("a‿b⁀c", "a‿b⁀c"),
            ("ⅫⒶ_", "ⅻⓐ_"),
            ("bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb", "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"),
        ] {
            assert_eq!(Username::parse(text).map(Username::into_string).as_deref(), Some(stored));
        }
    }

    #[test]
    fn other_characters_and_lengths_are_refused() {
        for text in [
            "",
            "ab",
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            "a-b",
            "a b",
            "a.b.c",
            "user\n",
            "<b>",
            "a/b/c",
            "ab²",
            "ab½",
            "ab①",
            "a\u{200b}bc",
            "a\u{202e}bc",
            "a\u{feff}bc",
            "ab\u{b7}",
            "😀😀😀",
        ] {
            assert_eq!(Username::parse(text), None, "{text:?}");
        }
    }
}
