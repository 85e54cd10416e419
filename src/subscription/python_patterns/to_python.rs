//! From this panel's syntax to that of Python's `re`. Only what is known to mean the same is written.

use super::class::{self, Atom, Member};
use super::cursor::Cursor;
use super::group::Flags;
use super::{Translated, refuse};

/// Translates a pattern that this panel compiles into one that Python 3.8 and later compile.
pub fn to_python(pattern: &str) -> Translated<String> {
    let mut writer =
        Writer { from: Cursor::new(pattern)?, to: String::new(), open: vec![Frame::default()], ..Writer::default() };
    writer.pattern()?;
    match writer.open.pop() {
        Some(frame) if writer.open.is_empty() => {
            writer.to.push_str(&")".repeat(frame.scopes.len()));
            Ok(writer.to)
        }
        _ => refuse("a group without its )"),
    }
}

#[derive(Default)]
struct Writer {
    from: Cursor,
    to: String,
    /// The pattern itself and the groups that are open.
    open: Vec<Frame>,
    /// Number of capturing groups that were opened.
    groups: usize,
    closed: Vec<usize>,
    names: Vec<(String, usize)>,
}

/// A group that is open.
#[derive(Default)]
struct Frame {
    /// Number of the group if it captures.
    group: Option<usize>,
    is_look_behind: bool,
    /// Looks around, and passes no character.
    is_empty: bool,
    /// Flags set in the middle: they hold until the group ends, which needs a group of its own for each alternative.
    scopes: Vec<String>,
    /// Characters of each alternative, if their number is fixed.
    alternatives: Vec<Option<usize>>,
    width: Option<usize>,
    started: bool,
    /// Characters of the last element; none if there is nothing to repeat.
    last: Option<Option<usize>>,
}

impl Frame {
    /// Adds an element of this many characters, if their number is fixed.
    fn element(&mut self, width: Option<usize>) {
        let before = if self.started { self.width } else { Some(0) };
        self.started = true;
        self.width = before.zip(width).and_then(|(before, width)| before.checked_add(width));
        self.last = Some(width);
    }

    /// Adds an anchor, which can't be repeated.
    fn anchor(&mut self) {
        self.element(Some(0));
        self.last = None;
    }

    fn end_alternative(&mut self) {
        self.alternatives.push(if self.started { self.width } else { Some(0) });
        (self.started, self.width, self.last) = (false, None, None);
    }
}

impl Writer {
    fn frame(&mut self) -> Translated<&mut Frame> {
        self.open.last_mut().map_or_else(|| refuse("a ) too many"), Ok)
    }

    fn element(&mut self, text: &str, width: Option<usize>) -> Translated<()> {
        self.to.push_str(text);
        self.frame()?.element(width);
        Ok(())
    }

    fn anchor(&mut self, text: &str) -> Translated<()> {
        self.to.push_str(text);
        self.frame()?.anchor();
        Ok(())
    }

    fn pattern(&mut self) -> Translated<()> {
        loop {
            let is_start = self.from.is_at_start();
            let Some(c) = self.from.next() else { return Ok(()) };
            match c {
                '\\' => self.escape()?,
                '[' => {
                    let class = class(&mut self.from)?;
                    self.element(&class, Some(1))?;
                }
                '(' => self.group(is_start)?,
                ')' => self.close()?,
                '|' => {
                    let frame = self.frame()?;
                    frame.end_alternative();
                    let scopes = frame.scopes.clone();
                    self.to.push_str(&")".repeat(scopes.len()));
                    self.to.push('|');
                    self.to.extend(scopes);
                }
                '^' | '$' => self.anchor(c.encode_utf8(&mut [0; 4]))?,
                '*' | '+' | '?' => self.repeat(c.encode_utf8(&mut [0; 4]), None)?,
                '{' => match self.from.bounds()? {
                    Some(bounds) => {
                        let exact = bounds.max.filter(|max| *max == bounds.min);
                        self.repeat(&bounds.text(), exact)?;
                    }
                    None => return refuse("a { that begins no count"),
                },
                c => self.element(c.encode_utf8(&mut [0; 4]), Some(1))?,
            }
        }
    }

    /// A quantifier. `count` is its number of repetitions if that is fixed.
    fn repeat(&mut self, text: &str, count: Option<u32>) -> Translated<()> {
        let frame = self.frame()?;
        let Some(width) = frame.last.take() else {
            return refuse(format!("{text} after nothing that can be repeated"));
        };
        // The element itself is counted already.
        let more = width.zip(count).and_then(|(width, count)| width.checked_mul(usize::try_from(count).ok()?));
        frame.width = frame.width.zip(width).zip(more).and_then(|((all, width), more)| (all - width).checked_add(more));
        self.to.push_str(text);
        if self.from.take("?") {
            self.to.push('?');
        }
        // Python before 3.11 has none.
        if self.from.peek() == Some('+') { refuse("a possessive quantifier") } else { Ok(()) }
    }

    fn group(&mut self, is_start: bool) -> Translated<()> {
        if !self.from.take("?") {
            return self.capture("(".to_owned(), None);
        }
        for (begin, is_look_behind) in [(":", false), ("=", false), ("!", false), ("<=", true), ("<!", true)] {
            if self.from.take(begin) {
                self.to.extend(["(?", begin]);
                self.open.push(Frame { is_look_behind, is_empty: begin != ":", ..Frame::default() });
                return Ok(());
            }
        }
        for begin in ["P<", "<"] {
            if self.from.take(begin) {
                let name = self.from.take_until('>')?;
                return self.capture(format!("(?P<{name}>"), Some(name));
            }
        }
        if self.from.take("P=") {
            let name = self.from.take_until(')')?;
            return self.reference_by_name(&name);
        }
        if self.from.take("#") {
            return self.from.take_until(')').map(drop);
        }
        let flags = Flags::read(&mut self.from);
        let known = |flag: &char| "ims".contains(*flag);
        // Unicode is Python's default.
        if !flags.on.iter().all(|flag| known(flag) || *flag == 'u') || !flags.off.iter().all(known) {
            return refuse(format!("(?{}…", flags.on.iter().collect::<String>()));
        }
        let text = flags.text();
        match self.from.next() {
            Some(':') => {
                self.to.extend(["(?", &text, ":"]);
                self.open.push(Frame::default());
            }
            Some(')') if text.is_empty() => {}
            Some(')') if is_start && flags.off.is_empty() => self.to.extend(["(?", &text, ")"]),
            Some(')') => {
                let scope = format!("(?{text}:");
                self.to.push_str(&scope);
                let frame = self.frame()?;
                frame.scopes.push(scope);
                frame.last = None;
            }
            _ => return refuse("a group of an unknown kind"),
        }
        Ok(())
    }

    fn capture(&mut self, text: String, name: Option<String>) -> Translated<()> {
        self.groups += 1;
        if let Some(name) = name {
            let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
            if !name.chars().all(is_name) || name.starts_with(|c: char| c.is_ascii_digit()) {
                return refuse(format!("the group name {name}"));
            }
            self.names.push((name, self.groups));
        }
        self.to.push_str(&text);
        self.open.push(Frame { group: Some(self.groups), ..Frame::default() });
        Ok(())
    }

    fn close(&mut self) -> Translated<()> {
        let Some(mut frame) = self.open.pop().filter(|_| !self.open.is_empty()) else { return refuse("a ) too many") };
        frame.end_alternative();
        self.to.push_str(&")".repeat(frame.scopes.len()));
        let first = frame.alternatives.first().copied().flatten();
        let width = first.filter(|_| frame.alternatives.iter().all(|it| *it == first));
        if frame.is_look_behind && width.is_none() {
            return refuse("a look-behind of several widths");
        }
        self.closed.extend(frame.group);
        self.element(")", if frame.is_empty { Some(0) } else { width })
    }

    fn escape(&mut self) -> Translated<()> {
        let Some(c) = self.from.next() else { return refuse(r"a lone \") };
        match c {
            'A' => self.anchor(r"\A"),
            'z' => self.anchor(r"\Z"),
            'b' | 'B' if self.from.peek() != Some('{') => self.anchor(&format!("\\{c}")),
            'h' => self.element("[0-9A-Fa-f]", Some(1)),
            'H' => self.element("[^0-9A-Fa-f]", Some(1)),
            'k' if self.from.take("<") => {
                let name = self.from.take_until('>')?;
                self.reference_by_name(&name)
            }
            'p' => match category(&mut self.from)?.as_str() {
                "L" => self.element(r"[^\W\d_]", Some(1)),
                "N" | "Nd" => self.element(r"\d", Some(1)),
                other => refuse(format!("\\p{{{other}}}")),
            },
            '1'..='9' => {
                let digits = c.to_string() + &self.from.take_while(2, |c| c.is_ascii_digit());
                match digits.parse() {
                    Ok(group) if group <= 99 => self.reference(group),
                    _ => refuse(format!("\\{digits}")),
                }
            }
            c => {
                let text = common_escape(&mut self.from, c)?;
                self.element(&text, Some(1))
            }
        }
    }

    fn reference_by_name(&mut self, name: &str) -> Translated<()> {
        let named = self.names.iter().find(|(known, _)| known == name).map(|(_, group)| *group);
        self.reference(named.unwrap_or(0))
    }

    /// A reference to a group that is closed; Python has no others.
    fn reference(&mut self, group: usize) -> Translated<()> {
        if !self.closed.contains(&group) {
            return refuse("a reference to a group that is not closed");
        }
        // In parentheses, so that a digit after it stays one.
        self.element(&format!("(?:\\{group})"), None)
    }
}

/// An escape of one character that is the same in and outside of classes.
fn common_escape(from: &mut Cursor, c: char) -> Translated<String> {
    Ok(match c {
        'd' | 'w' | 's' | 'D' | 'W' | 'S' | 'a' | 'f' | 'n' | 'r' | 't' | 'v' => format!("\\{c}"),
        'e' => r"\x1b".to_owned(),
        'x' => written(from.code(2, true)?),
        'u' => written(from.code(4, true)?),
        'U' => written(from.code(8, true)?),
        c if c.is_ascii_punctuation() && c != '<' && c != '>' => format!("\\{c}"),
        ' ' => r"\ ".to_owned(),
        c => return refuse(format!("\\{c}")),
    })
}

/// The category of `\p`: a letter, or a name in braces.
fn category(from: &mut Cursor) -> Translated<String> {
    if from.take("{") { from.take_until('}') } else { Ok(from.next().into_iter().collect()) }
}

/// A class without classes in it and without operations.
fn class(from: &mut Cursor) -> Translated<String> {
    let is_negated = from.take("^");
    let mut members = Vec::new();
    // Here the first characters never begin a range.
    while from.take("-") {
        members.push(Member::One(Atom::Plain('-')));
    }
    if members.is_empty() && from.take("]") {
        members.push(Member::One(Atom::Plain(']')));
        if from.starts_with("-") && !from.starts_with("--") && from.take("-") {
            members.push(Member::One(Atom::Plain('-')));
        }
    }
    loop {
        if !members.is_empty() && from.take("]") {
            return Ok(class::written(is_negated, &members));
        }
        if ["&&", "--", "~~", "["].iter().any(|operation| from.starts_with(operation)) {
            return refuse("an operation on classes");
        }
        let start = atom(from)?;
        let is_range = from.starts_with("-") && !from.starts_with("-]") && !from.starts_with("--");
        members.push(if is_range && from.take("-") { Member::Range(start, atom(from)?) } else { Member::One(start) });
    }
}

fn atom(from: &mut Cursor) -> Translated<Atom> {
    let Some(c) = from.next() else { return refuse("a class without its ]") };
    if c != '\\' {
        return Ok(Atom::Plain(c));
    }
    let Some(c) = from.next() else { return refuse(r"a lone \") };
    Ok(Atom::Escape(if c == 'h' { "0-9A-Fa-f".to_owned() } else { common_escape(from, c)? }))
}

fn written(code: char) -> String {
    match u32::from(code) {
        code @ 0..=0xff => format!("\\x{code:02x}"),
        code @ 0x100..=0xffff => format!("\\u{code:04x}"),
        code => format!("\\U{code:08x}"),
    }
}
