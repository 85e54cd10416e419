//! The configuration text of a node's engine, and a syntax check before a node restarts with it.

use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::Value;
use serde_saphyr::DuplicateKeyPolicy;

use super::xray_config;

/// The syntax of a configuration, numbered as in the node protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigFormat {
    /// Any text.
    Plain,
    /// JSON, with comments (`//`, `#`, `/* */`) and a comma after the last element, which engines accept.
    Json,
    /// YAML.
    Yaml,
}

/// A configuration with its syntax.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineConfig {
    /// The text, as an admin wrote it.
    pub text: String,
    /// The syntax.
    pub format: ConfigFormat,
}

impl ConfigFormat {
    /// All values, in the order of their numbers.
    pub const ALL: [Self; 3] = [Self::Plain, Self::Json, Self::Yaml];

    /// The number of the API and the node protocol.
    pub const fn number(self) -> i32 {
        self as i32
    }

    /// Reads the number.
    pub fn from_number(number: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|format| i64::from(format.number()) == number)
    }
}

impl EngineConfig {
    /// Checks the syntax. The error has the place in the text; only the engine can check the settings themselves.
    pub fn check(&self) -> Result<(), String> {
        if self.text.contains('\0') {
            return Err("must not have zero bytes".to_owned());
        }
        match self.format {
            ConfigFormat::Plain => Ok(()),
            ConfigFormat::Json => self.json::<IgnoredAny>().map(drop),
            ConfigFormat::Yaml => self.check_yaml(),
        }
    }

    /// Checks a configuration for an engine of this type, as far as its faults are certain. Faults of the syntax are
    /// left to [`Self::check`].
    pub fn check_for(&self, engine_type: &str) -> Result<(), String> {
        match (engine_type, self.format) {
            ("xray", ConfigFormat::Json) => self.json::<Value>().map_or(Ok(()), |config| xray_config::check(&config)),
            _ => Ok(()),
        }
    }

    fn json<T: DeserializeOwned>(&self) -> Result<T, String> {
        // Comments become spaces, so that the error's line and column are those of the text.
        // The library refuses a slash that starts no comment only if another character follows.
        let mut strict = format!("{}\n", self.text);
        json_strip_comments::strip(&mut strict)
            .map_err(|_| "is not JSON: a slash that starts no comment".to_owned())?;
        serde_json::from_str(&strict).map_err(|error| format!("is not JSON: {error}"))
    }

    fn check_yaml(&self) -> Result<(), String> {
        let options = serde_saphyr::options! { with_snippet: false, duplicate_keys: DuplicateKeyPolicy::LastWins };
        serde_saphyr::from_multiple_with_options::<IgnoredAny>(&self.text, options)
            .map(drop)
            .map_err(|error| format!("is not YAML: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(format: ConfigFormat, text: &str) -> Result<(), String> {
        EngineConfig { text: text.to_owned(), format }.check()
    }

    #[test]
    fn json_may_have_comments_and_trailing_commas() {
        for text in [
            "{}",
            r#"{"log": {"loglevel": "debug"}}"#,
            "// first\n{ # second\n \"a\": [1, 2, /* third, ] */ ], // \"fourth\n}\n",
            r#"{"url": "https://example.org/#a", "b": "/* no comment */", "c": "\"// nor this", "d": ",]"}"#,
            "[1,\n/* last */\n]",
            "{} // open",
            "{} /* ** open",
            "{\"a\": /* é */ 1, # ü\n}",
        ] {
            assert_eq!(check(ConfigFormat::Json, text), Ok(()), "{text}");
        }
        for text in [
            "",
            "x",
            "{",
            r#"{"a": 1"#,
            "{]",
            "[,]x",
            "{} {}",
            "/* open",
            r#"{"a" 1}"#,
            "[1,,2]",
            "{,,}",
            "{} /",
            "[1 / 2]",
        ] {
            assert!(check(ConfigFormat::Json, text).is_err(), "{text}");
        }
    }

    #[test]
    fn error_has_the_place_in_the_text() {
        let fault = check(ConfigFormat::Json, "{\n  // a comment, two lines\n  \"a\" 1\n}").expect_err("no colon");
        assert!(fault.contains("line 3 column 7"), "{fault}");
        let fault = check(ConfigFormat::Yaml, "a: 1\nb: [1, 2\n").expect_err("the list does not end");
        assert!(fault.contains("line 2"), "{fault}");
    }

    #[test]
    fn yaml_is_checked_and_plain_text_is_not() {
        for text in [
            "x",
            "",
            "listen: :443\ntls:\n  cert: /c.pem\n",
            "- a\n- {b: [1]}\n",
            r#"{"a": 1}"#,
            "a: 1\n---\nb: 2\n",
            "a: 1\na: 2\n",
        ] {
            assert_eq!(check(ConfigFormat::Yaml, text), Ok(()), "{text}");
        }
        for text in ["a: [", "a: b: c", "\"open", "a: *nobody"] {
            assert!(check(ConfigFormat::Yaml, text).is_err(), "{text}");
        }
        assert_eq!(check(ConfigFormat::Plain, "{ [ \" anything"), Ok(()));
        assert!(check(ConfigFormat::Plain, "a\0b").is_err());
    }

    #[test]
    fn settings_are_checked_for_xray_in_json_only() {
        let config = |format| EngineConfig { text: r#"{"inbounds": [{"port": 443}]} // a"#.to_owned(), format };
        assert!(config(ConfigFormat::Json).check_for("xray").is_err());
        assert_eq!(config(ConfigFormat::Json).check_for("sing-box"), Ok(()));
        assert_eq!(config(ConfigFormat::Plain).check_for("xray"), Ok(()));
    }

    #[test]
    fn formats_have_the_numbers_of_the_protocol() {
        assert_eq!(ConfigFormat::ALL.map(ConfigFormat::number), [0, 1, 2]);
        assert_eq!(ConfigFormat::from_number(2), Some(ConfigFormat::Yaml));
        assert_eq!(ConfigFormat::from_number(7), None);
    }
}
