//! Rewrites the source of a template: `a - b`, `a + b` and `a % b` become calls of functions, and so does `a.value`. The
//! engine does not let objects define operators, and has no attributes of texts.

/// The function for `a + b`.
pub const ADD: &str = "python_add";
/// The function for `a - b`.
pub const SUBTRACT: &str = "python_subtract";
/// The function for `a % b`.
pub const MODULO: &str = "python_modulo";
/// The function for `a.value`.
pub const VALUE: &str = "python_value";

/// Brackets within brackets, at most: the engine allows fewer.
const MAX_DEPTH: usize = 60;

/// Words before an operand. All other names are operands.
const KEYWORDS: [&str; 10] = ["if", "elif", "else", "in", "and", "or", "not", "is", "do", "for"];

/// The source with calls. What is no template remains as it is: the engine names the error.
pub fn rewritten(source: &str) -> String {
    let mut text = String::with_capacity(source.len() + source.len() / 8);
    let mut rest = source;
    while let Some(at) = rest.find('{') {
        let (before, tag) = rest.split_at(at);
        text.push_str(before);
        rest = match tag.as_bytes().get(1) {
            Some(b'#') => copied(tag, tag.find("#}").map(|end| end + 2), &mut text),
            Some(b'{' | b'%') => match Tag::read(tag) {
                Some(read) => {
                    let after = &tag[read.length..];
                    let is_raw =
                        tag.as_bytes()[1] == b'%' && read.tokens.first().is_some_and(|token| token.text == "raw");
                    text.push_str(&read.rewritten().unwrap_or_else(|| tag[..tag.len() - after.len()].to_owned()));
                    if is_raw { copied(after, after.find("endraw"), &mut text) } else { after }
                }
                None => copied(tag, None, &mut text),
            },
            _ => copied(tag, Some(1), &mut text),
        };
    }
    text.push_str(rest);
    text
}

/// Copies bytes, or everything, and returns the rest.
fn copied<'a>(source: &'a str, bytes: Option<usize>, text: &mut String) -> &'a str {
    let (copied, rest) = source.split_at(bytes.unwrap_or(source.len()));
    text.push_str(copied);
    rest
}

/// The text between `{{` and `}}`, or `{%` and `%}`.
struct Tag<'a> {
    opening: &'a str,
    tokens: Vec<Token<'a>>,
    closing: &'a str,
    length: usize,
}

#[derive(Clone, Copy)]
struct Token<'a> {
    /// White space before it.
    space: &'a str,
    text: &'a str,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Name,
    Literal,
    Operator,
}

impl<'a> Tag<'a> {
    /// Reads the tag at the start of `source`; `None` if it does not end.
    fn read(source: &'a str) -> Option<Self> {
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

    /// The tag with calls; `None` if it is nested too deeply.
    fn rewritten(&self) -> Option<String> {
        let mut text = self.opening.to_owned();
        let mut writer = Writer { tokens: &self.tokens, at: 0, depth: 0 };
        while writer.at < self.tokens.len() {
            writer.sequence(&mut text)?;
            // A bracket that nothing opened.
            writer.push(&mut text);
        }
        text.push_str(self.closing);
        Some(text)
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

/// Writes tokens. Each method returns `None` when brackets are nested too deeply.
struct Writer<'a> {
    tokens: &'a [Token<'a>],
    at: usize,
    depth: usize,
}

impl Writer<'_> {
    /// Everything up to a closing bracket or the end.
    fn sequence(&mut self, text: &mut String) -> Option<()> {
        while let Some(token) = self.tokens.get(self.at) {
            let is_operand = match token.kind {
                Kind::Literal => true,
                Kind::Name => !KEYWORDS.contains(&token.text),
                Kind::Operator => matches!(token.text, "(" | "[" | "{" | "-" | "+"),
            };
            match token.text {
                ")" | "]" | "}" => break,
                _ if is_operand => text.push_str(&self.sum()?),
                _ => self.push(text),
            }
        }
        Some(())
    }

    fn sum(&mut self) -> Option<String> {
        let mut left = self.joined()?;
        while let Some(operator) = self.operator(&["+", "-"]) {
            let function = if operator == "+" { ADD } else { SUBTRACT };
            self.at += 1;
            left = call(function, &left, &self.joined()?);
        }
        Some(left)
    }

    fn joined(&mut self) -> Option<String> {
        let mut left = self.product()?;
        while self.operator(&["~"]).is_some() {
            self.push(&mut left);
            left.push_str(&self.product()?);
        }
        Some(left)
    }

    fn product(&mut self) -> Option<String> {
        let mut left = self.power()?;
        while let Some(operator) = self.operator(&["*", "/", "//", "%"]) {
            if operator == "%" {
                self.at += 1;
                left = call(MODULO, &left, &self.power()?);
            } else {
                self.push(&mut left);
                left.push_str(&self.power()?);
            }
        }
        Some(left)
    }

    fn power(&mut self) -> Option<String> {
        let mut text = String::new();
        loop {
            while self.operator(&["-", "+"]).is_some() {
                self.push(&mut text);
            }
            text.push_str(&self.operand()?);
            if self.operator(&["**"]).is_none() {
                return Some(text);
            }
            self.push(&mut text);
        }
    }

    /// A name, a literal or something in brackets, with its attributes, items, arguments and filters.
    fn operand(&mut self) -> Option<String> {
        let mut text = String::new();
        match self.tokens.get(self.at) {
            Some(token) if matches!(token.text, "(" | "[" | "{") => self.bracket(&mut text)?,
            Some(token) if token.kind != Kind::Operator => self.push(&mut text),
            _ => return Some(text),
        }
        loop {
            match self.operator(&["(", "[", ".", "|"]) {
                Some("(" | "[") => self.bracket(&mut text)?,
                Some(".") if self.is_value() => {
                    self.at += 2;
                    let (space, of) = text.split_at(text.len() - text.trim_start().len());
                    text = format!("{space}{VALUE}({of})");
                }
                Some(_) => {
                    self.push(&mut text);
                    if self.tokens.get(self.at).is_some_and(|token| token.kind == Kind::Name) {
                        self.push(&mut text);
                    }
                }
                None => return Some(text),
            }
        }
    }

    /// True before `.value` that is neither called nor assigned to.
    fn is_value(&self) -> bool {
        let text = |at: usize| self.tokens.get(self.at + at).map(|token| token.text);
        text(1) == Some("value") && !matches!(text(2), Some("(" | "="))
    }

    fn bracket(&mut self, text: &mut String) -> Option<()> {
        if self.depth == MAX_DEPTH {
            return None;
        }
        self.push(text);
        self.depth += 1;
        self.sequence(text)?;
        self.depth -= 1;
        self.push(text);
        Some(())
    }

    /// The next token, if it is one of these.
    fn operator(&self, operators: &[&str]) -> Option<&str> {
        let token = self.tokens.get(self.at)?;
        (token.kind == Kind::Operator && operators.contains(&token.text)).then_some(token.text)
    }

    /// Copies the next token, if there is one.
    fn push(&mut self, text: &mut String) {
        if let Some(token) = self.tokens.get(self.at) {
            text.push_str(token.space);
            text.push_str(token.text);
            self.at += 1;
        }
    }
}

/// The call of a function. The white space stays, and with it the numbers of lines.
fn call(function: &str, left: &str, right: &str) -> String {
    let (space, left) = left.split_at(left.len() - left.trim_start().len());
    format!("{space}{function}({left},{right})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operators_become_calls_by_their_precedence() {
        for (source, expected) in [
            ("a - b", "python_subtract(a, b)"),
            ("a - b - c", "python_subtract(python_subtract(a, b), c)"),
            ("(a - b).days + 1", "python_add((python_subtract(a, b)).days, 1)"),
            ("a * b - c / d", "python_subtract(a * b, c / d)"),
            ("a - b|int", "python_subtract(a, b|int)"),
            ("a|default(x - 1, true) - b", "python_subtract(a|default(python_subtract(x, 1), true), b)"),
            ("-a - -b", "python_subtract(-a, -b)"),
            ("f(-1, a=-x)[-1]", "f(-1, a=-x)[-1]"),
            ("not -x > 2 and -y if -z else -w", "not -x > 2 and -y if -z else -w"),
            ("'%s-%d' % (a, b - 1)", "python_modulo('%s-%d', (a, python_subtract(b, 1)))"),
            ("\"it's %s\" % x ~ '-'", "python_modulo(\"it's %s\", x) ~ '-'"),
            ("user.a.value.upper()", "python_value(user.a).upper()"),
            ("ns.value(1)", "ns.value(1)"),
            ("1e-5 - 1.5e3", "python_subtract(1e-5, 1.5e3)"),
            ("2 ** -1 - x", "python_subtract(2 ** -1, x)"),
            ("{'a': {'b': 1 - 2}}", "{'a': {'b': python_subtract(1, 2)}}"),
        ] {
            assert_eq!(rewritten(&format!("{{{{ {source} }}}}")), format!("{{{{ {expected} }}}}"));
        }
    }

    #[test]
    fn everything_else_stays_as_it_is() {
        for source in [
            "",
            "{",
            "plain - text {b - c}",
            "{# a - b #}{{-a-}}{%- if a -%}{%+ endif +%}",
            "{% raw %}{{ a - b }}{% endraw %}",
            "{% set ns.value = 1 %}{% for a, b in c.items() if not d %}{% endfor %}",
            "{% macro f(a, b=1) %}{% endmacro %}{% include 'a-b' ignore missing %}",
            "{{ a - b",
            "{{ 'a - b }}",
            "{{ }} ) ] }",
        ] {
            assert_eq!(rewritten(source), source);
        }
        let deep = format!("{{{{ {}a - b{} }}}}", "(".repeat(1_000_000), ")".repeat(1_000_000));
        assert_eq!(rewritten(&deep), deep);
        let minuses = format!("{{{{ {}a }}}}", "-".repeat(1_000_000));
        assert_eq!(rewritten(&minuses), minuses);
    }
}
