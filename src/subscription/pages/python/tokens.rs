//! The tags of a template, and their tokens.

/// The text between `{{` and `}}`, or `{%` and `%}`.
pub(super) struct Tag<'a> {
    pub opening: &'a str,
    pub tokens: Vec<Token<'a>>,
    pub closing: &'a str,
    pub length: usize,
}

/// A name, a literal or an operator.
#[derive(Clone, Copy)]
pub(super) struct Token<'a> {
    /// White space before it.
    pub space: &'a str,
    pub text: &'a str,
    pub kind: Kind,
}

/// The kind of a token.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Name,
    Literal,
    Operator,
}

impl<'a> Tag<'a> {
    /// Reads the tag at the start of `source`; `None` if it does not end.
    pub(super) fn read(source: &'a str) -> Option<Self> {
        let (is_block, mut at, mut depth) = (source.as_bytes()[1] == b'%', 2, 0_usize);
        if source[at..].starts_with(['-', '+']) && !source[at..].starts_with("-}}") {
            at += 1;
        }
        let opening = &source[..at];
        let mut tokens = Vec::new();
        loop {
            let start = at + source[at..].len() - source[at..].trim_start().len();
            let rest = &source[start..];
            let unmarked = rest.strip_prefix(['-', '+']).unwrap_or(rest);
            if unmarked.starts_with(if is_block { "%}" } else { "}}" }) && (is_block || depth == 0) {
                let length = source.len() - unmarked.len() + 2;
                return Some(Self { opening, tokens, closing: &source[at..length], length });
            }
            let (length, kind) = token(rest)?;
            let text = &rest[..length];
            match text {
                "(" | "[" | "{" => depth += 1,
                ")" | "]" | "}" => depth = depth.saturating_sub(1),
                _ => {}
            }
            tokens.push(Token { space: &source[at..start], text, kind });
            at = start + length;
        }
    }

    /// The tokens that bind others together: operators, words and filters, without brackets, commas and colons.
    pub(super) fn operators(&self) -> usize {
        let binds = |token: &&Token<'_>| match token.kind {
            Kind::Operator => !matches!(token.text, "(" | ")" | "[" | "]" | "{" | "}" | "," | ":"),
            Kind::Name => matches!(token.text, "if" | "else" | "and" | "or" | "not" | "in" | "is"),
            Kind::Literal => false,
        };
        self.tokens.iter().filter(binds).count()
    }
}

/// Length and kind of the first token; `None` at the end, or if a text does not end.
fn token(rest: &str) -> Option<(usize, Kind)> {
    let first = rest.chars().next()?;
    if first == '"' || first == '\'' {
        let mut escaped = false;
        let end = rest.char_indices().skip(1).find(|(_, letter)| {
            let ends = *letter == first && !escaped;
            escaped = *letter == '\\' && !escaped;
            ends
        })?;
        return Some((end.0 + 1, Kind::Literal));
    }
    let is_name = |letter: char| letter.is_alphanumeric() || letter == '_';
    let name = rest.find(|letter| !is_name(letter)).unwrap_or(rest.len());
    if first.is_ascii_digit() {
        return Some((number(rest, name), Kind::Literal));
    }
    if name > 0 {
        return Some((name, Kind::Name));
    }
    let is_double = ["**", "//", "==", "!=", "<=", ">="].iter().any(|double| rest.starts_with(double));
    Some((if is_double { 2 } else { first.len_utf8() }, Kind::Operator))
}

/// The length of a number such as `1_000`, `1.5` or `1e-5`; `digits` is that of its first part.
fn number(rest: &str, digits: usize) -> usize {
    let is_digit = |at: usize| rest.as_bytes().get(at).is_some_and(u8::is_ascii_digit);
    let part = |from: usize| {
        let end = rest[from..].find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
        end.map_or(rest.len(), |end| from + end)
    };
    let mut end = digits;
    if rest[end..].starts_with('.') && is_digit(end + 1) {
        end = part(end + 1);
    }
    if rest[..end].ends_with(['e', 'E']) && rest[end..].starts_with(['-', '+']) && is_digit(end + 1) {
        end = part(end + 1);
    }
    end
}
