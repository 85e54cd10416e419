//! Text from strangers, made safe for terminals and for files with one entry per line.

use std::borrow::Cow;
use std::fmt::Write;

/// Returns true for characters that steer a terminal or change how the text around them is shown: control characters,
/// line and paragraph separators, and marks that change the direction of text.
pub fn is_steering(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// Replaces such characters by their escapes: `\n`, `\u{1b}`.
pub fn escaped(text: &str) -> Cow<'_, str> {
    escaped_as(text, |letter, into| into.extend(letter.escape_default()))
}

/// Replaces such characters by the escapes of JSON: `\u001b`. For the text of a JSON document, where they occur in strings
/// only.
pub fn escaped_in_json(text: &str) -> Cow<'_, str> {
    escaped_as(text, |letter, into| {
        let mut units = [0; 2];
        for unit in letter.encode_utf16(&mut units) {
            // Writing to a String can't fail.
            let _ = write!(into, "\\u{unit:04x}");
        }
    })
}

fn escaped_as(text: &str, escape: impl Fn(char, &mut String)) -> Cow<'_, str> {
    if !text.contains(is_steering) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for letter in text.chars() {
        if is_steering(letter) { escape(letter, &mut safe) } else { safe.push(letter) }
    }
    Cow::Owned(safe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steering_characters_are_escaped_and_others_stay() {
        assert_eq!(escaped("a\r\nb\t\u{1b}[2J"), "a\\r\\nb\\t\\u{1b}[2J");
        assert_eq!(
            escaped("\0\u{9b}31m\u{2028}\u{202e}\u{2066}\u{feff}"),
            "\\u{0}\\u{9b}31m\\u{2028}\\u{202e}\\u{2066}\\u{feff}"
        );
        assert_eq!(escaped_in_json("\"a\u{9b}\u{2029}\""), "\"a\\u009b\\u2029\"");
        // A joiner of Persian words, and an emoji.
        for text in ["plain \\ \"text\"", "می\u{200c}شود", "🚀"] {
            assert!(matches!(escaped(text), Cow::Borrowed(same) if same == text), "{text}");
        }
    }
}
