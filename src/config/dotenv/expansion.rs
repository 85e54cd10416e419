//! `${NAME}` and `${NAME:-default}` in a value.

/// Returns the value with its variables replaced, or none when it would be longer than `limit` bytes. A variable that
/// is not set is its default, or else empty. `$NAME` without braces is a plain text.
pub(super) fn expand<'a>(value: &'a str, of: impl Fn(&str) -> Option<&'a str>, limit: usize) -> Option<String> {
    let mut result = String::new();
    let mut rest = value;
    while !rest.is_empty() {
        let (plain, variable, after) = next(rest);
        let text = variable.map(|(name, default)| of(name).unwrap_or(default)).unwrap_or_default();
        if result.len() + plain.len() + text.len() > limit {
            return None;
        }
        result.push_str(plain);
        result.push_str(text);
        rest = after;
    }
    Some(result)
}

/// Returns the text before the first variable, the variable with its default, and the text behind it.
fn next(text: &str) -> (&str, Option<(&str, &str)>, &str) {
    let starts = text.match_indices("${").map(|(start, _)| start);
    for start in starts {
        if let Some((name, default, after)) = variable(&text[start + 2..]) {
            return (&text[..start], Some((name, default)), after);
        }
    }
    (text, None, "")
}

/// Reads `NAME}` or `NAME:-default}`.
fn variable(text: &str) -> Option<(&str, &str, &str)> {
    let end = text.find(['}', ':'])?;
    let name = &text[..end];
    if let Some(after) = text[end..].strip_prefix('}') {
        return Some((name, "", after));
    }
    let (default, after) = text[end..].strip_prefix(":-")?.split_once('}')?;
    Some((name, default, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_in_braces_are_variables() {
        let of = |name: &str| (name == "A").then_some("a");
        for (value, expanded) in [
            ("${A}/${A}", "a/a"),
            ("pa$word$ $A", "pa$word$ $A"),
            ("${B}x", "x"),
            ("${A:-b}${B:-b c}${B:-}", "ab c"),
            ("${A:b}${A", "${A:b}${A"),
            ("${A:b ${A}", "${A:b a"),
            ("${}", ""),
        ] {
            assert_eq!(expand(value, of, 100).as_deref(), Some(expanded), "{value}");
        }
        assert_eq!(expand("${A}bc", of, 2), None);
    }
}
