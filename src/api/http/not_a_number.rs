//! `NaN` and `Infinity`, which are not JSON but which some clients send. No crate finds them without accepting them; the
//! scan here lets the error name the field instead of a position in the text.

/// Returns the JSON with each of these words in quotes, or `None` if it has none. Read the result for its errors only.
pub(in crate::api) fn quoted(json: &str) -> Option<String> {
    const WORDS: [&str; 3] = ["NaN", "-Infinity", "Infinity"];
    let mut changed = String::with_capacity(json.len() + 2);
    let mut rest = json;
    let (mut in_text, mut found) = (false, false);
    while let Some(next) = rest.chars().next() {
        let word = WORDS.into_iter().find(|word| !in_text && rest.starts_with(word));
        let taken = match (word, next) {
            (Some(word), _) => {
                found = true;
                changed.push('"');
                word.len()
            }
            // A backslash hides the character after it, such as a quote.
            (None, '\\') if in_text => 1 + rest[1..].chars().next().map_or(0, char::len_utf8),
            (None, '"') => {
                in_text = !in_text;
                1
            }
            (None, other) => other.len_utf8(),
        };
        changed.push_str(&rest[..taken]);
        if word.is_some() {
            changed.push('"');
        }
        rest = &rest[taken..];
    }
    found.then_some(changed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_outside_of_strings_only() {
        let json = r#"{"a\"NaN": NaN, "é\\": [-Infinity, Infinity], "b": "\" NaN"}"#;
        let expected = r#"{"a\"NaN": "NaN", "é\\": ["-Infinity", "Infinity"], "b": "\" NaN"}"#;
        assert_eq!(quoted(json).as_deref(), Some(expected));
        for other in [r#"{"a": "NaN"}"#, "", "\"", "\"\\", "{nan}"] {
            assert_eq!(quoted(other), None, "{other}");
        }
    }
}
