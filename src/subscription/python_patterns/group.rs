//! What follows an opening parenthesis.

use super::cursor::Cursor;
use super::{Translated, refuse};

/// Flags that are turned on and off.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Flags {
    pub on: Vec<char>,
    pub off: Vec<char>,
}

impl Flags {
    pub(super) fn add(&mut self, other: &Self) {
        self.on.extend(&other.on);
        self.off.extend(&other.off);
    }

    /// The flags that both engines know by the same letters.
    pub(super) fn text(&self) -> String {
        let both = |flags: &[char]| "ims".chars().filter(|flag| flags.contains(flag)).collect::<String>();
        let (on, off) = (both(&self.on), both(&self.off));
        if off.is_empty() { on } else { format!("{on}-{off}") }
    }

    /// Passes the letters of flags, and those after a minus.
    pub(super) fn read(from: &mut Cursor) -> Self {
        let letters = |from: &mut Cursor| from.take_while(usize::MAX, |c| c.is_ascii_alphabetic()).chars().collect();
        let on = letters(from);
        let off = if from.take("-") { letters(from) } else { Vec::new() };
        Self { on, off }
    }
}

/// The beginning of a group in Python's syntax, for this panel.
pub(super) struct PythonGroup {
    pub text: String,
    /// False for a comment, for flags of the whole pattern and for a reference: no parenthesis closes it.
    pub opens: bool,
    pub flags: Option<Flags>,
}

/// Passes what follows an opening parenthesis.
pub(super) fn python_group(from: &mut Cursor) -> Translated<PythonGroup> {
    let group = |text: &str, opens| Ok(PythonGroup { text: text.to_owned(), opens, flags: None });
    if !from.take("?") {
        return group("(", true);
    }
    for text in [":", "=", "!", "<=", "<!", ">"] {
        if from.take(text) {
            return group(&format!("(?{text}"), true);
        }
    }
    if from.take("P<") {
        return group(&format!("(?P<{}>", from.take_until('>')?), true);
    }
    if from.take("P=") {
        return group(&format!("(?P={})", from.take_until(')')?), false);
    }
    if from.take("#") {
        from.take_until(')')?;
        return group("", false);
    }
    if from.take("(") {
        let name = from.take_until(')')?;
        let name = if name.bytes().all(|c| c.is_ascii_digit()) { name } else { format!("<{name}>") };
        return group(&format!("(?({name})"), true);
    }
    let flags = Flags::read(from);
    if flags.on.iter().chain(&flags.off).any(|flag| !"aimsux".contains(*flag)) {
        return refuse(format!("(?{})", flags.on.iter().collect::<String>()));
    }
    match from.next() {
        Some(':') => Ok(PythonGroup { text: format!("(?{}:", flags.text()), opens: true, flags: Some(flags) }),
        Some(')') => Ok(PythonGroup { text: String::new(), opens: false, flags: Some(flags) }),
        _ => refuse("a group of an unknown kind"),
    }
}
