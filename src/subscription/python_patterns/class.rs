//! Character classes, as lists of characters and ranges that either engine reads the same.

/// A character of a class, as the pattern has it or as an escape, which may also mean several characters.
pub(super) enum Atom {
    Plain(char),
    Escape(String),
}

/// A part of a class.
pub(super) enum Member {
    One(Atom),
    Range(Atom, Atom),
}

/// Writes a class. What one of the engines reads as a part of a range, an operation or a class in the class is escaped.
pub(super) fn written(is_negated: bool, members: &[Member]) -> String {
    let mut to = String::from(if is_negated { "[^" } else { "[" });
    for (index, member) in members.iter().enumerate() {
        match member {
            // In these places both read it as a character.
            Member::One(Atom::Plain('-')) if index == 0 || (index + 1 == members.len() && !to.ends_with('-')) => {
                to.push('-');
            }
            Member::One(atom) => push(&mut to, atom),
            Member::Range(start, end) => {
                push(&mut to, start);
                to.push('-');
                push(&mut to, end);
            }
        }
    }
    to.push(']');
    to
}

fn push(to: &mut String, atom: &Atom) {
    match atom {
        Atom::Escape(text) => to.push_str(text),
        // `&&`, `~~` and `||` are, or may become, operations.
        Atom::Plain(c @ ('&' | '~' | '|')) if to.ends_with(*c) => to.extend(['\\', *c]),
        Atom::Plain(c @ ('-' | '[' | ']')) => to.extend(['\\', *c]),
        Atom::Plain(c) => to.push(*c),
    }
}
