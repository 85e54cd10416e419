//! `.env` files, with the meaning that python-dotenv gives them.

mod expansion;
mod grammar;

use std::collections::HashMap;

use self::expansion::expand;
use self::grammar::statements;

/// Bytes of a file at most.
pub const MAX_FILE: usize = 1 << 20;
/// Bytes of all values at most: each `${NAME}` may repeat a long value.
const MAX_VALUES: usize = 16 << 20;

/// The variables of a `.env` file.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct DotEnv {
    /// The variables by name; of two with one name, the last one counts.
    pub variables: HashMap<String, Variable>,
    /// The statements that are skipped because they can't be parsed.
    pub skipped: Vec<Skipped>,
    /// True: the values are too long together, and some are missing.
    pub is_too_long: bool,
}

/// A variable of a `.env` file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// The value; none for a name without `=`, which is not set.
    pub value: Option<String>,
    /// Number of its first line, from 1.
    pub line: usize,
}

/// A statement that can't be parsed.
#[derive(Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Number of its first line, from 1.
    pub line: usize,
    /// Its text, which may contain a secret.
    pub text: String,
}

/// Parses the text of a file. `${NAME}` in a value is the variable of `environment`, or else the one further up in the file.
pub fn parse(text: &str, environment: &HashMap<String, String>) -> DotEnv {
    // As Python reads a text file.
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let mut result = DotEnv::default();
    let mut left = MAX_VALUES;
    for statement in statements(text.strip_prefix('\u{FEFF}').unwrap_or(&text)) {
        let line = statement.line;
        let Some(binding) = statement.binding else {
            result.skipped.push(Skipped { line, text: statement.text.to_owned() });
            continue;
        };
        let Some(name) = binding.name else { continue };
        let value = binding.value.map(|value| {
            let of = |name: &str| match (environment.get(name), result.variables.get(name)) {
                (Some(value), _) => Some(value.as_str()),
                // A name without a value has the value "" here, and not the default.
                (None, Some(variable)) => Some(variable.value.as_deref().unwrap_or_default()),
                (None, None) => None,
            };
            expand(&value, of, left)
        });
        let value = match value {
            Some(None) => {
                result.is_too_long = true;
                continue;
            }
            Some(value) => value,
            None => None,
        };
        left -= value.as_ref().map_or(0, String::len);
        result.variables.insert(name, Variable { value, line });
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(text: &str) -> Vec<(String, Option<String>)> {
        let environment = HashMap::from([("HOME".to_owned(), "/root".to_owned()), ("A".to_owned(), "env".to_owned())]);
        let mut values: Vec<_> =
            parse(text, &environment).variables.into_iter().map(|(name, it)| (name, it.value)).collect();
        values.sort();
        values
    }

    fn value(text: &str) -> Option<String> {
        let values = values(text);
        assert_eq!(values.len(), 1, "{text:?}: {values:?}");
        values.into_iter().next().and_then(|(_, value)| value)
    }

    #[test]
    fn last_of_several_lines_with_one_name_counts() {
        assert_eq!(value("X=1\r\nX=2\r\n").as_deref(), Some("2"));
        assert_eq!(value("X=1\nX\n"), None, "a name without a value is not set");
    }

    #[test]
    fn mark_and_line_ends_of_windows_are_read() {
        assert_eq!(value("\u{FEFF}X=1\r\n").as_deref(), Some("1"));
        assert_eq!(value("X='a\r\nb'").as_deref(), Some("a\nb"));
        assert_eq!(values("X=1\rY=2").len(), 2);
    }

    #[test]
    fn variables_are_expanded_from_the_process_and_from_lines_before() {
        assert_eq!(value("X=${HOME}/x").as_deref(), Some("/root/x"));
        assert_eq!(values("B=b\nX=\"${B}${C:-c}${C}\"")[1].1.as_deref(), Some("bc"));
        assert_eq!(values("A=file\nX=${A}")[1].1.as_deref(), Some("env"), "the process wins");
        assert_eq!(values("X=${B}\nB=b")[1].1.as_deref(), Some(""), "only lines before");
        assert_eq!(values("B\nX=${B:-default}")[1].1.as_deref(), Some(""));
    }

    #[test]
    fn skipped_statement_has_its_line() {
        let read = parse("A=1\n\nB=\"x\" y\nC=2\n", &HashMap::new());
        assert_eq!(read.skipped, [Skipped { line: 3, text: "B=\"x\" y\n".to_owned() }]);
        assert_eq!((read.variables["C"].line, read.variables.len()), (4, 2));
    }

    #[test]
    fn expansion_has_a_bound() {
        let mut text = format!("A0={}\n", "x".repeat(1_000));
        for i in 1..64 {
            text.extend([format!("A{i}=${{A{0}}}${{A{0}}}\n", i - 1)]);
        }
        let read = parse(&text, &HashMap::new());
        assert!(read.is_too_long);
        assert!(
            read.variables.values().filter_map(|it| it.value.as_ref()).map(String::len).sum::<usize>() <= MAX_VALUES
        );
    }
}
