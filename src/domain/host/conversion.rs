//! Conversions of values in host texts: `!s`, `!r` and `!a`, as Python writes them.

use std::borrow::Cow;
use std::fmt::Write as _;

/// How a value is written: the letter after the exclamation mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Conversion {
    /// As it is.
    Plain,
    /// As a literal of Python, in quotes.
    Literal,
    /// As such a literal in ASCII.
    AsciiLiteral,
}

impl Conversion {
    /// Reads the letter.
    pub fn from_word(word: &str) -> Option<Self> {
        match word {
            "s" => Some(Self::Plain),
            "r" => Some(Self::Literal),
            "a" => Some(Self::AsciiLiteral),
            _ => None,
        }
    }

    /// Converts a value.
    pub fn of(self, value: &str) -> Cow<'_, str> {
        match self {
            Self::Plain => value.into(),
            Self::Literal => python_literal(value, |letter| !is_printable(letter)).into(),
            Self::AsciiLiteral => python_literal(value, |letter| !letter.is_ascii() || !is_printable(letter)).into(),
        }
    }
}

/// The text in quotes, with Python's escapes.
fn python_literal(text: &str, is_escaped: impl Fn(char) -> bool) -> String {
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
fn is_printable(letter: char) -> bool {
    matches!(letter, '\'' | '"' | '\\') || {
        let mut buffer = [b'x'; 5];
        let length = 1 + letter.encode_utf8(&mut buffer[1..]).len();
        str::from_utf8(&buffer[..length]).is_ok_and(|text| text.escape_debug().count() == 2)
    }
}
