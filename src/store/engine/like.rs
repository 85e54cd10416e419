//! Text filters: "contains, in any case", with the client's own `%` and `_` as live wildcards.

/// The pattern for `LOWER(column) LIKE LOWER($n) ESCAPE '\'`. An empty text matches everything.
pub fn containing(text: &str) -> String {
    // The escape character itself is ordinary to clients; undoubled, a trailing one would be an error on PostgreSQL.
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
