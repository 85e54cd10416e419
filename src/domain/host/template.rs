//! Host texts with variables in braces, such as `{USERNAME}`: parsed once and filled for each user.

use super::conversion::Conversion;

/// A parsed remark, address or path of a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostTemplate(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Name(String, Conversion, Layout),
}

/// The format of a value: the part after the colon.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Layout {
    fill: Option<char>,
    align: Option<Align>,
    width: usize,
    precision: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Align {
    Left,
    Right,
    Middle,
}

/// Why a text is not a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// `{` without `}` or the reverse.
    #[error("a single brace; write it twice for a literal brace")]
    LoneBrace,
    /// `{}`, `{0}`.
    #[error("braces without a variable name")]
    NoName,
    /// `{USERNAME.x}`, `{USERNAME[0]}`.
    #[error("braces may contain only a plain variable name")]
    NotAName,
    /// `{USERNAME!x}`.
    #[error("unknown conversion after the exclamation mark")]
    Conversion,
    /// `{USERNAME:?}`.
    #[error("invalid format after the colon")]
    Layout,
    /// Texts and widths are too long together.
    #[error("longer than 4096 bytes when it is filled in")]
    TooLong,
}

/// The largest width and precision; larger ones are mistakes or attempts to exhaust memory.
const MAX_WIDTH: usize = 256;

/// Bytes of a filled text, at most. The rest is cut off.
pub const MAX_FILLED: usize = 4_096;

/// The value of unknown variables.
pub const MISSING: &str = "<missing>";

impl HostTemplate {
    /// Parses a text. `{{` and `}}` are braces; `{NAME}` may continue with `!s`, `!r` or `!a`, and with `:`, fill, alignment
    /// (`<`, `>`, `^`), width and `.precision`.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let template = Self::read(text)?;
        let length = |piece: &Piece| match piece {
            Piece::Text(text) => text.len(),
            Piece::Name(_, _, layout) => layout.width * layout.fill.unwrap_or(' ').len_utf8(),
        };
        if template.0.iter().map(length).sum::<usize>() > MAX_FILLED {
            Err(TemplateError::TooLong)
        } else {
            Ok(template)
        }
    }

    fn read(text: &str) -> Result<Self, TemplateError> {
        let mut pieces = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            plain.push_str(&rest[..at]);
            let (brace, after) = rest[at..].split_at(1);
            if let Some(after) = after.strip_prefix(brace) {
                plain.push_str(brace);
                rest = after;
                continue;
            }
            let end = after.find('}').filter(|_| brace == "{").ok_or(TemplateError::LoneBrace)?;
            if !plain.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut plain)));
            }
            pieces.push(Piece::read(&after[..end])?);
            rest = &after[end + 1..];
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            pieces.push(Piece::Text(plain));
        }
        Ok(Self(pieces))
    }

    /// Parses a stored text. Older versions stored texts unchecked: a text that is not a template is taken literally, and
    /// the end of one that is too long is cut off.
    pub fn lenient(text: &str) -> Self {
        Self::read(cut(text)).unwrap_or_else(|_| Self::verbatim(text))
    }

    /// A literal text, braces included.
    pub fn verbatim(text: &str) -> Self {
        Self(vec![Piece::Text(cut(text).to_owned())])
    }

    /// The text, if it has no variables.
    pub fn literal(&self) -> Option<&str> {
        match self.0.as_slice() {
            [] => Some(""),
            [Piece::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// The variables that it names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Name(name, ..) => Some(name.as_str()),
            Piece::Text(_) => None,
        })
    }

    /// Fills in the values; variables without a value become [`MISSING`].
    pub fn fill<'a>(&self, value: impl Fn(&str) -> Option<&'a str>) -> String {
        let mut filled = String::with_capacity(64);
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => filled.push_str(text),
                Piece::Name(name, conversion, layout) => {
                    layout.write(&conversion.of(value(name).unwrap_or(MISSING)), &mut filled);
                }
            }
            if filled.len() > MAX_FILLED {
                filled.truncate(cut(&filled).len());
                break;
            }
        }
        filled
    }
}

impl Piece {
    /// Parses the part between two braces.
    fn read(inside: &str) -> Result<Self, TemplateError> {
        if inside.contains('{') {
            return Err(TemplateError::LoneBrace);
        }
        let (head, layout) = inside.split_once(':').unwrap_or((inside, ""));
        let (name, conversion) = head.split_once('!').unwrap_or((head, "s"));
        if name.is_empty() || name.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(TemplateError::NoName);
        }
        if name.contains(['.', '[']) {
            return Err(TemplateError::NotAName);
        }
        let conversion = Conversion::from_word(conversion).ok_or(TemplateError::Conversion)?;
        Ok(Self::Name(name.to_owned(), conversion, Layout::read(layout).ok_or(TemplateError::Layout)?))
    }
}

impl Layout {
    fn read(text: &str) -> Option<Self> {
        let mut layout = Self::default();
        let mut rest = text;
        let mut letters = text.chars();
        let (first, second) = (letters.next(), letters.next());
        if let (Some(fill), Some(align)) = (first, second.and_then(Align::read)) {
            layout.fill = Some(fill);
            layout.align = Some(align);
            rest = letters.as_str();
        } else if let Some(align) = first.and_then(Align::read) {
            layout.align = Some(align);
            rest = &text[1..];
        }
        if layout.fill.is_none() && rest.starts_with('0') {
            layout.fill = Some('0');
        }
        (layout.width, rest) = number(rest)?;
        if let Some(after) = rest.strip_prefix('.') {
            if !after.starts_with(|letter: char| letter.is_ascii_digit()) {
                return None;
            }
            let precision;
            (precision, rest) = number(after)?;
            layout.precision = Some(precision);
        }
        matches!(rest, "" | "s").then_some(layout)
    }

    fn write(self, value: &str, filled: &mut String) {
        if self == Self::default() {
            return filled.push_str(value);
        }
        let end = self.precision.and_then(|most| value.char_indices().nth(most)).map_or(value.len(), |(at, _)| at);
        let value = &value[..end];
        let missing = self.width.saturating_sub(value.chars().count());
        let before = match self.align {
            Some(Align::Right) => missing,
            Some(Align::Middle) => missing / 2,
            Some(Align::Left) | None => 0,
        };
        let fill = self.fill.unwrap_or(' ');
        filled.extend(std::iter::repeat_n(fill, before));
        filled.push_str(value);
        filled.extend(std::iter::repeat_n(fill, missing - before));
    }
}

impl Align {
    const fn read(letter: char) -> Option<Self> {
        match letter {
            '<' => Some(Self::Left),
            '>' => Some(Self::Right),
            '^' => Some(Self::Middle),
            _ => None,
        }
    }
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_FILLED)]
}

/// The number at the start (0 without digits) and what follows; `None` when it is too large.
fn number(text: &str) -> Option<(usize, &str)> {
    let end = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    let value = if digits.is_empty() { 0 } else { digits.parse().ok()? };
    (value <= MAX_WIDTH).then_some((value, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(text: &str) -> Result<String, TemplateError> {
        let value = |name: &str| match name {
            "USERNAME" => Some("ann"),
            "STATUS_EMOJI" => Some("✅"),
            "QUOTES" => Some("it's \"\\"),
            "QUOTE" => Some("it's\n"),
            "JOINED" => Some("کاربر\u{200c}۱e\u{301}\u{a0}\u{7f}🚀"),
            _ => None,
        };
        HostTemplate::parse(text).map(|template| template.fill(value))
    }

    #[test]
    fn variables_are_filled_in() {
        for (text, filled) in [
            ("", ""),
            ("plain ü 🚀", "plain ü 🚀"),
            ("{USERNAME}", "ann"),
            ("a {USERNAME} b{STATUS_EMOJI}", "a ann b✅"),
            ("{{USERNAME}} }}{{", "{USERNAME} }{"),
            ("{{{USERNAME}}}", "{ann}"),
            ("{NOTHING} { USERNAME}", "<missing> <missing>"),
            ("{USERNAME!s}{USERNAME!r:7}|{NOTHING!r:.4}", "ann'ann'  |'<mi"),
            ("{QUOTES!r} {QUOTE!r} {STATUS_EMOJI!r}", r#"'it\'s "\\' "it's\n" '✅'"#),
            ("{JOINED!r}", "'کاربر\\u200c۱e\u{301}\\xa0\\x7f🚀'"),
            ("{JOINED!a:.20}{STATUS_EMOJI!a:>9}", r"'\u06a9\u0627\u0631\ '\u2705'"),
            ("{USERNAME:>5}|{USERNAME:<5}|{USERNAME:^5}|{USERNAME:5}|", "  ann|ann  | ann |ann  |"),
            ("{USERNAME:*^8.2}|{STATUS_EMOJI:é>3}", "***an***|éé✅"),
            ("{USERNAME:.0}|{USERNAME:05}", "|ann00"),
        ] {
            assert_eq!(fill(text).as_deref(), Ok(filled), "{text}");
        }
    }

    #[test]
    fn invalid_template_is_refused() {
        for (text, error) in [
            ("{", TemplateError::LoneBrace),
            ("}", TemplateError::LoneBrace),
            ("{USERNAME", TemplateError::LoneBrace),
            ("{a{b}}", TemplateError::LoneBrace),
            ("{USERNAME:{X}}", TemplateError::LoneBrace),
            ("{}", TemplateError::NoName),
            ("{0}", TemplateError::NoName),
            ("{!r}", TemplateError::NoName),
            ("{a.b}", TemplateError::NotAName),
            ("{USERNAME[0]}", TemplateError::NotAName),
            ("{USERNAME!x}", TemplateError::Conversion),
            ("{USERNAME!}", TemplateError::Conversion),
            ("{USERNAME:999999999999}", TemplateError::Layout),
            ("{USERNAME:>257}", TemplateError::Layout),
            ("{USERNAME:.}", TemplateError::Layout),
            ("{USERNAME:q}", TemplateError::Layout),
            (&"{USERNAME:>256}".repeat(17), TemplateError::TooLong),
            (&"{USERNAME:🚀>256}".repeat(5), TemplateError::TooLong),
            (&"x".repeat(MAX_FILLED + 1), TemplateError::TooLong),
        ] {
            assert_eq!(fill(text), Err(error), "{text}");
        }
    }

    #[test]
    fn filled_text_is_cut_to_its_limit() {
        for text in
            ["{USERNAME:🚀>256}".repeat(200), "{STATUS_EMOJI}".repeat(4_000), "x".repeat(100_000), "{".repeat(100_000)]
        {
            let filled = HostTemplate::lenient(&text).fill(|_| Some("✅"));
            assert!(filled.len() <= MAX_FILLED, "{} bytes", filled.len());
        }
    }

    #[test]
    fn stored_text_that_is_not_a_template_is_literal() {
        assert_eq!(HostTemplate::lenient("a { b").fill(|_| None), "a { b");
        assert_eq!(HostTemplate::lenient("a {{ b").literal(), Some("a { b"));
        assert_eq!(HostTemplate::lenient("{USERNAME}").literal(), None);
        assert_eq!(HostTemplate::lenient("").literal(), Some(""));
        assert_eq!(HostTemplate::verbatim("{USERNAME}").literal(), Some("{USERNAME}"));
    }
}
