//! Parser of `.env` files.

use std::collections::HashMap;

use super::errors::SettingError;

/// Placeholder for a literal dollar sign while dotenvy parses (a private-use character).
const DOLLAR: char = '\u{F8FF}';

/// Returns the values of the file by name; of two lines with one name, the last one wins.
pub(super) fn read(text: &str, errors: &mut Vec<SettingError>) -> HashMap<String, String> {
    let text = text.trim_start_matches('\u{FEFF}');
    let mut values = HashMap::new();
    for line in dotenvy::from_read_iter(literal_dollars(text).as_bytes()) {
        match line {
            Ok((name, value)) => {
                values.insert(name, value.replace(DOLLAR, "$"));
            }
            Err(error) => errors.push(unreadable(text, &error)),
        }
    }
    values
}

/// Replaces each dollar sign that does not begin `${NAME}`, because dotenvy would expand `$NAME`, and passwords contain
/// dollar signs.
fn literal_dollars(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    let mut before = ' ';
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        let literal = c == '$' && before != '\\' && rest.peek() != Some(&'{');
        result.push(if literal { DOLLAR } else { c });
        before = c;
    }
    result
}

/// Names the line, and never quotes it, because it may contain a secret.
fn unreadable(text: &str, error: &dotenvy::Error) -> SettingError {
    let dotenvy::Error::LineParse(piece, _) = error else {
        return SettingError::new(".env is not text in UTF-8; save it as UTF-8");
    };
    let piece = piece.lines().next().unwrap_or_default().replace(DOLLAR, "$");
    let found = text.lines().zip(1..).find(|(line, _)| line.contains(&piece));
    let location = match found {
        Some((line, number)) => match line.split_once('=') {
            Some((name, _)) => format!("line {number} ({})", name.trim()),
            None => format!("line {number}"),
        },
        None => "a line".to_owned(),
    };
    SettingError::new(format!(
        ".env: {location} is malformed; write NAME=value, and put a value with spaces or quotes into 'single quotes'"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_quotes_and_line_ends_are_parsed() {
        let mut errors = Vec::new();
        let values = read(
            "\u{FEFF}# a comment\nUVICORN_PORT = 8080  # why\nexport DEBUG=\"true\"\nA='it is'\nB=\nA=again\r\n",
            &mut errors,
        );
        assert_eq!(errors, []);
        let value = |name: &str| values.get(name).map(String::as_str);
        assert_eq!(value("UVICORN_PORT"), Some("8080"));
        assert_eq!(value("DEBUG"), Some("true"));
        assert_eq!(value("A"), Some("again"));
        assert_eq!(value("B"), Some(""));
    }

    #[test]
    fn dollar_sign_in_a_password_is_literal() {
        let mut errors = Vec::new();
        let text = "HOST=db\nP=pa$word$\nQ=\"$x\"\nR='$y'\nS=\"a\\$b\"\nU=postgresql://${HOST}/name\n";
        let values = read(text, &mut errors);
        assert_eq!(errors, []);
        for (name, value) in [("P", "pa$word$"), ("Q", "$x"), ("R", "$y"), ("S", "a$b"), ("U", "postgresql://db/name")]
        {
            assert_eq!(values.get(name).map(String::as_str), Some(value), "{name}");
        }
    }

    #[test]
    fn malformed_line_is_named_without_its_value() {
        let mut errors = Vec::new();
        let values = read("A=1\nSUDO_PASSWORD=top secret $x\nnonsense\nB=2\n", &mut errors);
        let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(errors.len(), 2, "{errors:?}");
        assert!(errors[0].starts_with(".env: line 2 (SUDO_PASSWORD) is malformed"), "{errors:?}");
        assert!(errors[1].starts_with(".env: line 3 is malformed"), "{errors:?}");
        assert!(!errors[0].contains("secret"), "{errors:?}");
        assert_eq!(values.len(), 2);
    }
}
