//! Rewrites the source of a template: `a - b`, `a + b` and `a % b` become calls of functions, and so does `a.value`. The
//! engine does not let objects define operators, and has no attributes of texts.

use minijinja::{Error, ErrorKind};

use super::tokens::{Kind, Tag, Token};

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

/// Operators in a tag, at most, words and filters among them.
const MAX_OPERATORS: usize = 1_000;
/// Calls in a tag, at most: all of them may be within each other, and each rewrites what is inside.
const MAX_CALLS: usize = 100;

/// Words before an operand. All other names are operands.
const KEYWORDS: [&str; 10] = ["if", "elif", "else", "in", "and", "or", "not", "is", "do", "for"];

/// The source with calls. What is no template remains as it is: the engine names the error. A tag with too many operators
/// is an error, with the number of its line: the engine would exhaust its stack.
pub fn rewritten(source: &str) -> Result<String, Error> {
    let mut text = String::with_capacity(source.len() + source.len() / 8);
    let mut rest = source;
    while let Some(at) = rest.find('{') {
        let (before, tag) = rest.split_at(at);
        text.push_str(before);
        rest = match tag.as_bytes().get(1) {
            Some(b'#') => copied(tag, tag.find("#}").map(|end| end + 2), &mut text),
            Some(b'{' | b'%') => match Tag::read(tag) {
                Some(read) if read.operators() > MAX_OPERATORS => {
                    let line = source[..source.len() - tag.len()].matches('\n').count() + 1;
                    let detail = format!("line {line}: more than {MAX_OPERATORS} operators in one tag");
                    return Err(Error::new(ErrorKind::SyntaxError, detail));
                }
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
    Ok(text)
}

/// Copies bytes, or everything, and returns the rest.
fn copied<'a>(source: &'a str, bytes: Option<usize>, text: &mut String) -> &'a str {
    let (copied, rest) = source.split_at(bytes.unwrap_or(source.len()));
    text.push_str(copied);
    rest
}

impl Tag<'_> {
    /// The tag with calls; `None` if it is nested too deeply.
    fn rewritten(&self) -> Option<String> {
        let mut text = self.opening.to_owned();
        let mut writer = Writer { tokens: &self.tokens, at: 0, depth: 0, calls: 0 };
        while writer.at < self.tokens.len() {
            writer.sequence(&mut text)?;
            // A bracket that nothing opened.
            writer.push(&mut text);
        }
        text.push_str(self.closing);
        Some(text)
    }
}

/// Writes tokens. Each method returns `None` when brackets are nested too deeply.
struct Writer<'a> {
    tokens: &'a [Token<'a>],
    at: usize,
    depth: usize,
    calls: usize,
}

impl<'a> Writer<'a> {
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
            let space = self.pass()?;
            left = call(function, &left, space, &self.joined()?);
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
                let space = self.pass()?;
                left = call(MODULO, &left, space, &self.power()?);
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
                    let spaces = [self.pass()?, self.pass()?].concat();
                    let (space, of) = text.split_at(text.len() - text.trim_start().len());
                    text = format!("{space}{VALUE}({of}{spaces})");
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

    /// Passes the next token, which becomes a call within a call, and returns the white space before it. `None` when there
    /// are too many.
    fn pass(&mut self) -> Option<&'a str> {
        self.calls += 1;
        let token = self.tokens.get(self.at).filter(|_| self.calls <= MAX_CALLS)?;
        self.at += 1;
        Some(token.space)
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
fn call(function: &str, left: &str, between: &str, right: &str) -> String {
    let (space, left) = left.split_at(left.len() - left.trim_start().len());
    // A space before a comma would only look odd.
    let between = if between.contains('\n') { between } else { "" };
    format!("{space}{function}({left}{between},{right})")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(source: &str) -> String {
        super::rewritten(source).unwrap()
    }

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
    fn long_chains_render_up_to_a_number_of_operators() {
        for terms in [50, MAX_CALLS + 1, MAX_OPERATORS] {
            let source = format!("{{{{ 1{} }}}}", " + 1".repeat(terms));
            let mut environment = minijinja::Environment::new();
            environment.add_function(ADD, |left: i64, right: i64| left + right);
            assert_eq!(environment.render_str(&rewritten(&source), ()).unwrap(), (terms + 1).to_string());
        }
        for operator in ["+", "and", "|f", ".a", "if b else"] {
            let source = format!("\n\n{{{{ a{} }}}}", format!(" {operator} a").repeat(100_000));
            let error = super::rewritten(&source).unwrap_err();
            assert!(error.to_string().contains("line 3: more than 1000 operators"), "{error}");
        }
    }

    #[test]
    fn lines_stay_lines() {
        for source in ["a\n- b", "a -\n\nb", "'%s'\n  % b", "a\n.\nvalue\n+ (\n1)", "\na + b\n+ c\n"] {
            let rewritten = rewritten(&format!("{{{{ {source} }}}}"));
            assert_eq!(rewritten.matches('\n').count(), source.matches('\n').count(), "{rewritten}");
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
        let long = format!("{{{{ a{} }}}}", " + a".repeat(MAX_CALLS + 1));
        assert_eq!(rewritten(&long), long);
        let deep = format!("{{{{ {}a - b{} }}}}", "(".repeat(1_000_000), ")".repeat(1_000_000));
        assert_eq!(rewritten(&deep), deep);
    }
}
