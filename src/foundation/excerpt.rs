//! A foreign text in a message: cut, and without control characters.

use std::fmt::Write;

use super::printable::is_steering;

/// Returns the beginning of a text of another program, fit for a message or a column of the database: at most `most`
/// characters of the text, those that steer a terminal escaped, and the text's length if it was cut.
pub fn excerpt(text: &str, most: usize) -> String {
    let mut shown = String::new();
    let mut rest = text.chars();
    for sign in rest.by_ref().take(most) {
        if is_steering(sign) {
            shown.extend(sign.escape_default());
        } else {
            shown.push(sign);
        }
    }
    if rest.next().is_some() {
        // A String takes any text.
        let _ = write!(shown, "… ({} bytes)", text.len());
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn excerpt_is_cut_and_has_no_control_characters() {
        assert_eq!(excerpt("short", 5), "short");
        assert_eq!(excerpt("a\0b\nc\u{1b}", 9), r"a\u{0}b\nc\u{1b}");
        assert_eq!(excerpt("ééé", 2), "éé… (6 bytes)");
    }
}
