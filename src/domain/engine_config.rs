//! The configuration text of a node's engine: whether it can be what it says it is, before a node restarts with it.

use granit_parser::Parser;

/// What a configuration is written in. The numbers are the node protocol's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigFormat {
    /// Any text.
    Plain,
    /// JSON, with what engines forgive: comments (`//`, `#`, `/* */`) and a comma after the last element.
    Json,
    /// YAML.
    Yaml,
}

/// A configuration and what it is written in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineConfig {
    /// As an admin wrote it.
    pub text: String,
    /// What it is written in.
    pub format: ConfigFormat,
}

impl ConfigFormat {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 3] = [Self::Plain, Self::Json, Self::Yaml];

    /// The number of the API and the node protocol.
    pub const fn number(self) -> i32 {
        self as i32
    }

    /// From the number.
    pub fn from_number(number: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|format| i64::from(format.number()) == number)
    }
}

impl EngineConfig {
    /// What keeps the text from being read at all, with its place. Whether an engine likes what is in it, only the
    /// engine knows.
    pub fn check(&self) -> Result<(), String> {
        match self.format {
            ConfigFormat::Plain => Ok(()),
            ConfigFormat::Json => {
                let strict = without_comments(&self.text);
                match serde_json::from_str::<serde::de::IgnoredAny>(&strict) {
                    Ok(_) => Ok(()),
                    Err(error) => Err(format!("is not JSON: {error}")),
                }
            }
            ConfigFormat::Yaml => match Parser::new_from_str(&self.text).find_map(Result::err) {
                None => Ok(()),
                Some(error) => Err(format!("is not YAML: {error}")),
            },
        }
    }
}

/// JSON with spaces in place of comments and of commas before a closing bracket; lines and columns stay.
fn without_comments(text: &str) -> String {
    let mut strict: Vec<char> = Vec::with_capacity(text.len());
    // Where the last comma is, while nothing but space followed it.
    let mut comma = None;
    let mut rest = text.chars().peekable();
    while let Some(letter) = rest.next() {
        match letter {
            '"' => {
                comma = None;
                strict.push(letter);
                while let Some(inner) = rest.next() {
                    strict.push(inner);
                    match inner {
                        '\\' => strict.extend(rest.next()),
                        '"' => break,
                        _ => {}
                    }
                }
            }
            '#' => blank_line(&mut rest, &mut strict, 1),
            '/' if rest.peek() == Some(&'/') => blank_line(&mut rest, &mut strict, 1),
            '/' if rest.peek() == Some(&'*') => {
                strict.push(' ');
                let mut last = ' ';
                // The star that opens does not close.
                strict.extend(rest.next().map(|_| ' '));
                for inner in rest.by_ref() {
                    strict.push(if inner == '\n' { '\n' } else { ' ' });
                    if (last, inner) == ('*', '/') {
                        break;
                    }
                    last = inner;
                }
            }
            ',' => {
                comma = Some(strict.len());
                strict.push(letter);
            }
            '}' | ']' => {
                if let Some(at) = comma.take() {
                    strict[at] = ' ';
                }
                strict.push(letter);
            }
            letter => {
                if !letter.is_whitespace() {
                    comma = None;
                }
                strict.push(letter);
            }
        }
    }
    strict.into_iter().collect()
}

/// Spaces up to the end of the line; `begun`: how many letters of the comment were taken already.
fn blank_line(rest: &mut std::iter::Peekable<std::str::Chars<'_>>, strict: &mut Vec<char>, begun: usize) {
    strict.extend(std::iter::repeat_n(' ', begun));
    while rest.next_if(|letter| *letter != '\n').is_some() {
        strict.push(' ');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(format: ConfigFormat, text: &str) -> Result<(), String> {
        EngineConfig { text: text.to_owned(), format }.check()
    }

    #[test]
    fn json_may_have_comments_and_last_commas() {
        for text in [
            "{}",
            r#"{"log": {"loglevel": "debug"}}"#,
            "// first\n{ # second\n \"a\": [1, 2, /* third, ] */ ], // \"fourth\n}\n",
            r#"{"url": "https://example.org/#a", "b": "/* no comment */", "c": "\"// nor this", "d": ",]"}"#,
            "[1,\n/* last */\n]",
        ] {
            assert_eq!(check(ConfigFormat::Json, text), Ok(()), "{text}");
        }
        for text in ["", "x", "{", r#"{"a": 1"#, "{]", "[,]x", "{} {}", "/* open", r#"{"a" 1}"#, "[1,,2]", "{,,}"] {
            assert!(check(ConfigFormat::Json, text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_fault_is_named_with_its_place() {
        let fault = check(ConfigFormat::Json, "{\n  // a comment, two lines\n  \"a\" 1\n}").expect_err("no colon");
        assert!(fault.contains("line 3 column 7"), "{fault}");
        let fault = check(ConfigFormat::Yaml, "a: 1\nb: [1, 2\n").expect_err("the list does not end");
        assert!(fault.contains("line"), "{fault}");
    }

    #[test]
    fn yaml_is_yaml_and_plain_is_anything() {
        for text in ["x", "", "listen: :443\ntls:\n  cert: /c.pem\n", "- a\n- {b: [1]}\n", r#"{"a": 1}"#] {
            assert_eq!(check(ConfigFormat::Yaml, text), Ok(()), "{text}");
        }
        for text in ["a: [", "a: b: c", "\"open", "a: *nobody"] {
            assert!(check(ConfigFormat::Yaml, text).is_err(), "{text}");
        }
        assert_eq!(check(ConfigFormat::Plain, "{ [ \" anything"), Ok(()));
    }

    #[test]
    fn formats_are_numbered_as_the_protocol_numbers_them() {
        assert_eq!(ConfigFormat::ALL.map(ConfigFormat::number), [0, 1, 2]);
        assert_eq!(ConfigFormat::from_number(2), Some(ConfigFormat::Yaml));
        assert_eq!(ConfigFormat::from_number(7), None);
    }
}
