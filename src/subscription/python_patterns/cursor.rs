//! Reads a pattern character by character.

use super::{Translated, refuse};
use crate::subscription::client_rules::MAX_PATTERN;

/// A place in a pattern.
#[derive(Default)]
pub(super) struct Cursor {
    chars: Vec<char>,
    at: usize,
}

/// The bounds of a quantifier in braces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    pub min: u32,
    pub max: Option<u32>,
}

impl Bounds {
    pub(super) fn text(self) -> String {
        match self.max {
            Some(max) if max == self.min => format!("{{{max}}}"),
            Some(max) => format!("{{{},{max}}}", self.min),
            None => format!("{{{},}}", self.min),
        }
    }
}

impl Cursor {
    /// Refuses a pattern that this panel takes from nobody.
    pub(super) fn new(pattern: &str) -> Translated<Self> {
        if pattern.len() > MAX_PATTERN {
            return refuse(format!("a pattern of more than {MAX_PATTERN} bytes"));
        }
        Ok(Self { chars: pattern.chars().collect(), at: 0 })
    }

    pub(super) fn next(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at += 1;
        Some(next)
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    /// True before the first character.
    pub(super) const fn is_at_start(&self) -> bool {
        self.at == 0
    }

    pub(super) fn starts_with(&self, text: &str) -> bool {
        text.chars().enumerate().all(|(offset, c)| self.chars.get(self.at + offset) == Some(&c))
    }

    /// Passes a text, if it comes next.
    pub(super) fn take(&mut self, text: &str) -> bool {
        let found = self.starts_with(text);
        if found {
            self.at += text.chars().count();
        }
        found
    }

    /// Passes characters of a kind, at most `most`.
    pub(super) fn take_while(&mut self, most: usize, is_right: impl Fn(char) -> bool) -> String {
        let taken = self.chars[self.at..].iter().take(most).take_while(|c| is_right(**c)).collect::<String>();
        self.at += taken.chars().count();
        taken
    }

    /// Passes everything up to `end`, and `end`.
    pub(super) fn take_until(&mut self, end: char) -> Translated<String> {
        let taken = self.take_while(usize::MAX, |c| c != end);
        if self.next().is_some() { Ok(taken) } else { refuse(format!("a part without its {end}")) }
    }

    /// Passes the bounds of a quantifier; its opening brace was passed before. None, and nothing is passed, if the brace is
    /// followed by anything else.
    pub(super) fn bounds(&mut self) -> Translated<Option<Bounds>> {
        let start = self.at;
        let digits = |cursor: &mut Self| cursor.take_while(usize::MAX, |c| c.is_ascii_digit());
        let min = digits(self);
        let has_comma = self.take(",");
        let max = if has_comma { digits(self) } else { min.clone() };
        if !self.take("}") || (min.is_empty() && !has_comma) {
            self.at = start;
            return Ok(None);
        }
        // Python refuses the largest, too.
        let number = |text: &str| match text.parse() {
            Ok(number) if number < u32::MAX => Ok(number),
            _ => refuse("a count beyond 32 bits"),
        };
        let min = if min.is_empty() { 0 } else { number(&min)? };
        let max = if max.is_empty() { None } else { Some(number(&max)?) };
        Ok(Some(Bounds { min, max }))
    }

    /// Passes the hexadecimal digits of `\x`, `\u` or `\U`: exactly `count`, or, for `braced`, any number in braces.
    pub(super) fn code(&mut self, count: usize, braced: bool) -> Translated<char> {
        let digits = if braced && self.take("{") {
            self.take_until('}')?
        } else {
            let digits = self.take_while(count, |c| c.is_ascii_hexdigit());
            if digits.len() == count { digits } else { String::new() }
        };
        let code = u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32);
        code.map_or_else(|| refuse("an escape of no character"), Ok)
    }
}
