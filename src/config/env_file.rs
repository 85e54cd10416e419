//! The file `.env` of the working folder: its text, and the lines that can't be used.

use std::collections::HashMap;
use std::fs::File;
use std::io::{ErrorKind, Read as _, Result};
use std::os::unix::fs::FileTypeExt as _;
use std::path::Path;

use super::dotenv::{self, MAX_FILE};
use super::errors::SettingError;
use super::names::is_setting;
use super::old_values::OLD_SETTINGS;
use super::source::Value;

/// Reads the file. A folder of this name, which container engines make for a missing file, is no file.
pub(super) fn read(path: &Path) -> std::result::Result<Option<String>, SettingError> {
    let bytes = match bytes(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            return Err(SettingError::new(format!("could not read .env: {error}; fix or remove the file")));
        }
    };
    match bytes {
        Some(bytes) if bytes.len() > MAX_FILE => {
            Err(SettingError::new(".env is larger than 1 MiB; remove what is no setting"))
        }
        // Only the value of a setting must be text: see `variables`.
        bytes => Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned())),
    }
}

fn bytes(path: &Path) -> Result<Option<Vec<u8>>> {
    let kind = path.metadata()?.file_type();
    if !kind.is_file() && !kind.is_fifo() {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_FILE as u64 + 1).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

/// Returns the values of the file by name. Lines without the name of a setting never matter.
pub(super) fn variables(
    text: &str,
    process: &HashMap<String, String>,
    errors: &mut Vec<SettingError>,
    warnings: &mut Vec<String>,
) -> HashMap<String, Value> {
    let file = dotenv::parse(text, process);
    if file.is_too_long {
        errors.push(SettingError::new(".env: the values are longer than 16 MiB with their variables filled in"));
    }
    for skipped in file.skipped {
        let mut lines = skipped.text.lines().zip(skipped.line..);
        if let Some(name) = lines.next().and_then(|(line, _)| setting(line)) {
            let what = format!(".env: line {} ({name}) is malformed", skipped.line);
            let right = "write NAME=value, or NAME='value' with both quotes and nothing but a # comment behind them";
            // The old panel skips the line, too. With another database it would serve nobody.
            if OLD_SETTINGS.contains(&name) && name != "SQLALCHEMY_DATABASE_URL" {
                warnings.push(format!("{what} and not used; {right}"));
            } else {
                errors.push(SettingError::new(format!("{what}; {right}")));
            }
        }
        for (name, line) in lines.filter_map(|(text, line)| Some((setting(text)?, line))) {
            warnings.push(format!(
                ".env: line {line} ({name}) is not used, because a quote that line {} opens is closed behind it",
                skipped.line
            ));
        }
    }
    let mut values = HashMap::new();
    for (name, variable) in file.variables {
        let line = variable.line;
        match variable.value {
            Some(text) if text.contains(char::REPLACEMENT_CHARACTER) && is_setting(&name) => {
                errors.push(SettingError::value(&format!("{name} (line {line} of .env)"), "must be UTF-8 text", None));
            }
            // python-dotenv takes the comment for the value.
            Some(text) if text.starts_with("# ") && is_setting(&name) => {
                warnings.push(format!(".env: line {line} ({name}) has a comment in place of a value, and is not used"));
            }
            Some(text) => {
                values.insert(name, Value { text, line: Some(line) });
            }
            None if is_setting(&name) => {
                warnings.push(format!(".env: line {line} ({name}) has no value; write {name}=value, or remove it"));
            }
            None => {}
        }
    }
    values
}

/// Returns the setting whose name is in front of `=`, `:` or white space.
fn setting(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let line = line.strip_prefix("export ").unwrap_or(line).trim_start();
    let name = line.split(|c: char| c == '=' || c == ':' || c.is_whitespace()).next()?;
    is_setting(name).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values, errors and warnings.
    fn read_text(text: &str) -> (HashMap<String, Value>, Vec<String>, Vec<String>) {
        let (mut errors, mut warnings) = (Vec::new(), Vec::new());
        let values = variables(text, &HashMap::new(), &mut errors, &mut warnings);
        warnings.sort();
        (values, errors.iter().map(ToString::to_string).collect(), warnings)
    }

    #[test]
    fn malformed_line_of_a_setting_is_named_without_its_value() {
        for line in [
            "METRICS_TOKEN='top secret",
            "METRICS_TOKEN=\"top\" secret",
            "METRICS_TOKEN: secret",
            "METRICS_TOKEN secret",
        ] {
            let (values, errors, _) = read_text(&format!("A=1\n{line}\nB=2\n"));
            assert_eq!(values.len(), 2, "{line}");
            assert_eq!(errors.len(), 1, "{line}: {errors:?}");
            assert!(errors[0].starts_with(".env: line 2 (METRICS_TOKEN) is malformed"), "{errors:?}");
            assert!(!errors[0].contains("secret"), "{errors:?}");
        }
    }

    #[test]
    fn malformed_line_of_an_old_setting_is_skipped_with_a_warning() {
        let (values, errors, warnings) = read_text("WEBHOOK_SECRET='top secret\nDEBUG yes\nUVICORN_PORT=1\n");
        assert_eq!((values.len(), errors), (1, vec![]));
        assert!(
            warnings[0].starts_with(".env: line 1 (WEBHOOK_SECRET) is malformed and not used; write"),
            "{warnings:?}"
        );
        assert!(warnings[1].starts_with(".env: line 2 (DEBUG)") && !warnings.concat().contains("top"), "{warnings:?}");
        let (_, errors, _) = read_text("SQLALCHEMY_DATABASE_URL = 'sqlite:///x' #y z'\n");
        assert!(errors.is_empty(), "{errors:?}");
        let (_, errors, _) = read_text("SQLALCHEMY_DATABASE_URL 'sqlite:///x'\n");
        assert_eq!(errors.len(), 1, "another database would be served");
    }

    #[test]
    fn lines_of_unknown_names_never_matter() {
        let (values, errors, warnings) = read_text("FOO='x\nBAR\n1A=2\nnon sense\n=\nUVICORN_PORT=1\nD=\"\u{FFFD}\"\n");
        assert_eq!((errors, warnings), (vec![], vec![]));
        assert_eq!(values["UVICORN_PORT"], Value { text: "1".to_owned(), line: Some(6) });
    }

    #[test]
    fn settings_that_a_line_leaves_unset_are_warned_of() {
        let (values, errors, warnings) = read_text("FOO=\"x\nUVICORN_PORT=1\nBAR=\"y\"\nDEBUG\nDOCS= # no\n");
        assert!(values.is_empty() && errors.is_empty(), "{values:?} {errors:?}");
        assert_eq!(
            warnings,
            [
                ".env: line 2 (UVICORN_PORT) is not used, because a quote that line 1 opens is closed behind it",
                ".env: line 4 (DEBUG) has no value; write DEBUG=value, or remove it",
                ".env: line 5 (DOCS) has a comment in place of a value, and is not used",
            ]
        );
    }

    #[test]
    fn only_values_of_settings_must_be_text() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(".env");
        let text = |bytes: &[u8]| {
            std::fs::write(&path, bytes).expect("a file");
            read_text(&read(&path).expect("readable").expect("a file")).1
        };
        assert!(text(b"# caf\xe9\nFOO=\xff\nUVICORN_PORT=1\n").is_empty());
        assert_eq!(text(b"\nUVICORN_HOST=\xff\n"), ["UVICORN_HOST (line 2 of .env) must be UTF-8 text"]);
    }

    #[test]
    fn folder_and_missing_file_are_no_file_and_large_files_are_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        assert_eq!(read(folder.path()), Ok(None));
        let path = folder.path().join(".env");
        assert_eq!(read(&path), Ok(None));
        std::fs::write(&path, vec![b'#'; MAX_FILE + 1]).expect("a file");
        assert!(read(&path).is_err_and(|error| error.to_string().contains("1 MiB")));
    }
}
