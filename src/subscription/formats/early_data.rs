//! Early data of WebSocket and HTTPUpgrade, as Xray and links spell it: a number in the path's query.

use std::borrow::Cow;

/// The path with `ed=BYTES` in its query, in place of any other `ed`. 0 bytes leave the path unchanged.
pub fn in_path(path: Option<&str>, bytes: Option<i64>) -> Option<Cow<'_, str>> {
    let Some(bytes) = bytes.filter(|bytes| *bytes != 0) else {
        return path.map(Cow::Borrowed);
    };
    let (path, query) = path.unwrap_or("/").split_once('?').unwrap_or((path.unwrap_or("/"), ""));
    let mut with = format!("{path}?");
    for pair in query.split('&').filter(|pair| !pair.is_empty() && *pair != "ed" && !pair.starts_with("ed=")) {
        with.push_str(pair);
        with.push('&');
    }
    with.push_str("ed=");
    with.push_str(&bytes.to_string());
    Some(with.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_of_bytes_replaces_ed_in_the_query() {
        for (path, bytes, with) in [
            (None, None, None),
            (Some("/a?b=c"), Some(0), Some("/a?b=c")),
            (None, Some(5), Some("/?ed=5")),
            (Some("/a"), Some(2048), Some("/a?ed=2048")),
            (Some("/a?x=1"), Some(2048), Some("/a?x=1&ed=2048")),
            (Some("/a?ed=1&x=1"), Some(2), Some("/a?x=1&ed=2")),
        ] {
            assert_eq!(in_path(path, bytes).as_deref(), with);
        }
    }
}
