//! The grammar of python-dotenv: `export NAME=value # comment`, with 'single' and "double" quotes over several lines.

/// A statement of a file: an assignment, a comment, or a text that can't be parsed.
pub(super) struct Statement<'a> {
    /// Number of its first line, from 1.
    pub line: usize,
    pub text: &'a str,
    /// None when it can't be parsed.
    pub binding: Option<Binding>,
}

/// A name with its value.
pub(super) struct Binding {
    /// None for a comment.
    pub name: Option<String>,
    /// None for a name without `=`.
    pub value: Option<String>,
}

/// Returns the statements of a text, whose lines end with `\n`.
pub(super) fn statements(text: &str) -> impl Iterator<Item = Statement<'_>> {
    let mut parser = Parser { rest: text, line: 1 };
    std::iter::from_fn(move || parser.statement())
}

struct Parser<'a> {
    rest: &'a str,
    line: usize,
}

impl<'a> Parser<'a> {
    fn statement(&mut self) -> Option<Statement<'a>> {
        self.take_while(is_space);
        if self.rest.is_empty() {
            return None;
        }
        let (whole, line) = (self.rest, self.line);
        let binding = self.binding();
        if binding.is_none() {
            self.take_while(|c| c != '\n');
            self.take_text("\n");
        }
        Some(Statement { line, text: &whole[..whole.len() - self.rest.len()], binding })
    }

    fn binding(&mut self) -> Option<Binding> {
        self.export();
        let name = if self.rest.starts_with('#') { None } else { Some(self.name()?) };
        self.take_while(is_blank);
        let value = if self.take_text("=") {
            self.take_while(is_blank);
            Some(self.value()?)
        } else {
            None
        };
        if self.rest.trim_start_matches(is_blank).starts_with('#') {
            self.take_while(|c| c != '\n');
        }
        let after = self.rest.trim_start_matches(is_blank);
        if !after.is_empty() && !after.starts_with('\n') {
            return None;
        }
        self.take_while(is_blank);
        self.take_text("\n");
        Some(Binding { name, value })
    }

    fn export(&mut self) {
        let after = self.rest.strip_prefix("export").filter(|after| after.starts_with(is_blank));
        if let Some(after) = after {
            self.rest = after.trim_start_matches(is_blank);
        }
    }

    fn name(&mut self) -> Option<String> {
        if let Some(rest) = self.rest.strip_prefix('\'') {
            let end = rest.find('\'').filter(|end| *end > 0)?;
            self.take(end + 2);
            return Some(rest[..end].to_owned());
        }
        let name = self.take_while(|c| c != '=' && c != '#' && !is_space(c));
        (!name.is_empty()).then(|| name.to_owned())
    }

    fn value(&mut self) -> Option<String> {
        match self.rest.chars().next() {
            Some(quote @ ('\'' | '"')) => {
                let inside = &self.rest[1..];
                let end = end_of_quoted(inside, quote)?;
                self.take(end + 2);
                let escapes = if quote == '"' { &DOUBLE_QUOTED[..] } else { &SINGLE_QUOTED[..] };
                Some(unescaped(&inside[..end], escapes))
            }
            _ => {
                let text = self.take_while(|c| c != '\n');
                let comment = text.match_indices('#').find(|(at, _)| text[..*at].ends_with(is_space));
                let value = comment.map_or(text, |(at, _)| &text[..at]);
                Some(value.trim_end_matches(is_space).to_owned())
            }
        }
    }

    fn take_while(&mut self, is_wanted: fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|c| !is_wanted(c)).unwrap_or(self.rest.len());
        self.take(end)
    }

    fn take_text(&mut self, text: &str) -> bool {
        let is_next = self.rest.starts_with(text);
        if is_next {
            self.take(text.len());
        }
        is_next
    }

    fn take(&mut self, bytes: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(bytes);
        self.rest = rest;
        self.line += taken.matches('\n').count();
        taken
    }
}

/// Letters behind a backslash, and the character that both mean.
const DOUBLE_QUOTED: [(char, char); 10] = [
    ('\\', '\\'),
    ('\'', '\''),
    ('"', '"'),
    ('a', '\u{7}'),
    ('b', '\u{8}'),
    ('f', '\u{c}'),
    ('n', '\n'),
    ('r', '\r'),
    ('t', '\t'),
    ('v', '\u{b}'),
];
const SINGLE_QUOTED: [(char, char); 2] = [('\\', '\\'), ('\'', '\'')];

/// Returns where the closing quote is: the first without a backslash before it, also one that is escaped itself. If all have
/// one, it is the last of the file. (As python-dotenv reads it up to 1.2.2, with which the old panel ran; 1.2.3 reads it otherwise.)
fn end_of_quoted(text: &str, quote: char) -> Option<usize> {
    let mut quotes = text.match_indices(quote).map(|(at, _)| at);
    quotes.clone().find(|at| !text[..*at].ends_with('\\')).or_else(|| quotes.next_back())
}

/// Replaces the escapes; any other backslash stays.
fn unescaped(text: &str, escapes: &[(char, char)]) -> String {
    let mut result = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        let next = rest.clone().next().filter(|_| c == '\\');
        match escapes.iter().find(|(letter, _)| Some(*letter) == next) {
            Some((_, meaning)) => {
                result.push(*meaning);
                rest.next();
            }
            None => result.push(c),
        }
    }
    result
}

/// White space as in Python's `\s`.
fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

/// White space within a line.
fn is_blank(c: char) -> bool {
    is_space(c) && c != '\n'
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names and values; `None` is a statement that can't be parsed.
    fn read(text: &str) -> Vec<Option<(Option<String>, Option<String>)>> {
        statements(text).map(|it| it.binding.map(|it| (it.name, it.value))).collect()
    }

    fn one(name: &str, value: Option<&str>) -> Vec<Option<(Option<String>, Option<String>)>> {
        vec![Some((Some(name.to_owned()), value.map(str::to_owned)))]
    }

    #[test]
    fn unquoted_values_end_with_the_line_or_a_comment() {
        for (text, value) in [
            ("A=1, 2", "1, 2"),
            ("A = My VPN  \n", "My VPN"),
            ("A=ab\\cd\\n", "ab\\cd\\n"),
            ("A=d'a\"b", "d'a\"b"),
            ("A=[1, 2]", "[1, 2]"),
            ("A=x#y", "x#y"),
            ("A=x  # y # z", "x"),
            ("A=#x", "#x"),
            ("A= # x # y", "# x"),
            ("A=\t\n", ""),
            ("A=b=c", "b=c"),
            ("\n\n  A=\u{a0}x\u{a0}", "x"),
        ] {
            assert_eq!(read(text), one("A", Some(value)), "{text:?}");
        }
    }

    #[test]
    fn names_are_anything_without_space_equals_sign_and_hash() {
        assert_eq!(read("1A=2"), one("1A", Some("2")));
        assert_eq!(read("export  A=2"), one("A", Some("2")));
        assert_eq!(read("export=2"), one("export", Some("2")));
        assert_eq!(read("'A B'=2"), one("A B", Some("2")));
        assert_eq!(read("FOO"), one("FOO", None));
        assert_eq!(read("FOO  # why"), one("FOO", None));
        assert_eq!(read("a.b-c:\"d\"=2"), one("a.b-c:\"d\"", Some("2")));
    }

    #[test]
    fn quoted_values_have_their_own_escapes() {
        for (text, value) in [
            ("A='it is'", "it is"),
            (r"A='it\'s a \\ \n'", r"it's a \ \n"),
            (r#"A="a\n\t\"b\" \'c\' \\n \d""#, "a\n\t\"b\" 'c' \\n \\d"),
            (r#"A="\a\b\f\r\v""#, "\u{7}\u{8}\u{c}\r\u{b}"),
            ("A=\"one\ntwo # no comment\n\" # comment", "one\ntwo # no comment\n"),
            ("A=''", ""),
            ("A=\"$x\"#comment", "$x"),
            (r"A='C:\data\'", r"C:\data\"),
            (r#"A="a\""#, r"a\"),
            (r"A='a\\' # b'", r"a\' # b"),
        ] {
            assert_eq!(read(text), one("A", Some(value)), "{text:?}");
        }
    }

    #[test]
    fn what_cannot_be_parsed_is_skipped_to_the_end_of_its_line() {
        for text in ["A B", "A='x", "A=\"x", "A='x' y", "=x", "'A=1", "export =1", "''=1"] {
            let read = read(&format!("{text}\nB=2"));
            assert_eq!(read, [vec![None], one("B", Some("2"))].concat(), "{text:?}");
        }
        assert_eq!(read("A=\"x\nB=1\nC=\"y\nD=2"), [vec![None], one("D", Some("2"))].concat(), "up to the next quote");
    }

    #[test]
    fn comments_and_empty_lines_are_no_variables() {
        assert_eq!(read("# A=1\n\n   # B=2\n"), [Some((None, None)), Some((None, None))]);
        assert!(read(" \n\t\n").is_empty());
    }
}
