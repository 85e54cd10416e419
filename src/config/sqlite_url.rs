//! Addresses of SQLite files, with the parameters of pysqlite and aiosqlite.

use std::path::PathBuf;

use super::url_parameters::{is_true, parsed, refuse_others, take};

/// Parameters that change nothing: the panel has its own connections, locks and time limits.
const WITHOUT_EFFECT: &[&str] =
    &["timeout", "check_same_thread", "cached_statements", "detect_types", "isolation_level", "cache"];

/// Returns the path of the file: `rest` follows `sqlite://`. The error continues a sentence that begins with the setting's name.
pub(super) fn path(rest: &str) -> Result<PathBuf, String> {
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let path = match path.strip_prefix('/') {
        Some(path) if !path.is_empty() && path != ":memory:" => path,
        Some(_) => {
            return Err(
                "has no file name; write sqlite:///db.sqlite3 (in-memory databases are not supported)".to_owned()
            );
        }
        None => return Err("needs three slashes: sqlite:///db.sqlite3, or four for an absolute path".to_owned()),
    };
    let mut given = parsed(query).ok_or("has a text behind `?` that is not UTF-8")?;
    take(&mut given, WITHOUT_EFFECT);
    let is_uri = take(&mut given, &["uri"]).iter().any(|value| is_true(value));
    if is_uri {
        given.retain(|(name, value)| !(name == "mode" && matches!(value.as_str(), "rw" | "rwc")));
    }
    refuse_others(&given, "none; SARBAN_READ_ONLY=true is a panel that writes nothing")?;
    let path = if is_uri { path.strip_prefix("file:").unwrap_or(path) } else { path };
    Ok(PathBuf::from(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_without_effect_or_refused() {
        for (rest, file) in [
            ("/db.sqlite3", "db.sqlite3"),
            ("//var/lib/x.db?timeout=5&check_same_thread=False", "/var/lib/x.db"),
            ("/file:x.db?mode=rwc&uri=true", "x.db"),
        ] {
            assert_eq!(path(rest), Ok(PathBuf::from(file)), "{rest}");
        }
        for (rest, part) in [
            ("", "three slashes"),
            ("/", "no file name"),
            ("/:memory:", "no file name"),
            ("/file:x.db?mode=ro&uri=true", "\"mode\""),
            ("/x.db?immutable=1", "\"immutable\""),
        ] {
            let error = path(rest).expect_err(rest);
            assert!(error.contains(part), "{rest}: {error}");
        }
    }
}
