//! Reads the text of a `.env` file.

use std::collections::HashMap;

use super::wrong::SettingError;

/// Stands for a dollar sign while dotenvy reads: a character that no text has.
const DOLLAR: char = '\u{F8FF}';

/// All that the file sets; the last of two lines with one name counts.
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

/// `${NAME}` is a variable, and any other dollar sign is one: passwords have them.
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

/// Says where, never what: the line may hold a secret.
fn unreadable(text: &str, error: &dotenvy::Error) -> SettingError {
    let dotenvy::Error::LineParse(piece, _) = error else {
        return SettingError::new(".env can't be read as text");
    };
    let piece = piece.lines().next().unwrap_or_default().replace(DOLLAR, "$");
    let found = text.lines().zip(1..).find(|(line, _)| line.contains(&piece));
    let place = match found {
        Some((line, number)) => match line.split_once('=') {
            Some((name, _)) => format!("line {number} ({})", name.trim()),
            None => format!("line {number}"),
        },
        None => "a line".to_owned(),
    };
    SettingError::new(format!(
        ".env: {place} can't be read; write NAME=value, and a value with spaces or quotes inside 'single quotes'"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_operators_write() {
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
    fn a_dollar_sign_in_a_password_stays() {
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
    fn names_each_line_that_it_can_not_read_but_not_its_value() {
        let mut errors = Vec::new();
        let values = read("A=1\nSUDO_PASSWORD=top secret $x\nnonsense\nB=2\n", &mut errors);
        let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(errors.len(), 2, "{errors:?}");
        assert!(errors[0].starts_with(".env: line 2 (SUDO_PASSWORD) can't be read"), "{errors:?}");
        assert!(errors[1].starts_with(".env: line 3 can't be read"), "{errors:?}");
        assert!(!errors[0].contains("secret"), "{errors:?}");
        assert_eq!(values.len(), 2);
    }
}
