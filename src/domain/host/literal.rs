//! Literals of Python, as the conversions `!r` and `!a` of host texts write them.

use std::fmt::Write as _;

/// The text in quotes, with Python's escapes.
pub(super) fn python_literal(text: &str, is_escaped: impl Fn(char) -> bool) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut literal = String::from(quote);
    for letter in text.chars() {
        let code = u32::from(letter);
        match letter {
            '\n' => literal.push_str("\\n"),
            '\r' => literal.push_str("\\r"),
            '\t' => literal.push_str("\\t"),
            _ if letter == quote || letter == '\\' => literal.extend(['\\', letter]),
            _ if !is_escaped(letter) => literal.push(letter),
            // Writing to a String can't fail.
            _ => drop(match code {
                0..0x100 => write!(literal, "\\x{code:02x}"),
                0x100..0x1_0000 => write!(literal, "\\u{code:04x}"),
                _ => write!(literal, "\\U{code:08x}"),
            }),
        }
    }
    literal.push(quote);
    literal
}

/// Python and Rust count the same characters as printable. Behind another letter, Rust does not escape marks.
pub(super) fn is_printable(letter: char) -> bool {
    matches!(letter, '\'' | '"' | '\\') || {
        let mut buffer = [b'x'; 5];
        let length = 1 + letter.encode_utf8(&mut buffer[1..]).len();
        str::from_utf8(&buffer[..length]).is_ok_and(|text| text.escape_debug().count() == 2)
    }
}
