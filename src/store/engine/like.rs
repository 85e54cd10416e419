//! Patterns for text filters, in which the client's `%` and `_` act as wildcards.

/// Returns the pattern of "contains `text`", for `LOWER(column) LIKE LOWER($n) ESCAPE '\'`. An empty text matches
/// everything.
pub fn containing(text: &str) -> String {
    // A backslash has no special meaning to clients; a trailing one that is not doubled would be an error on
    // PostgreSQL.
    format!("%{}%", text.replace('\\', r"\\"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_live_and_backslashes_do_not() {
        assert_eq!(containing(""), "%%");
        assert_eq!(containing("a_b%"), "%a_b%%");
        assert_eq!(containing(r"a\"), r"%a\\%");
    }
}
