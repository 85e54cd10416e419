//! Early data of WebSocket: bytes that a client sends with its first request. Hosts have it as a number, or as `ed=` in the
//! path's query; each format has a notation of its own.

use std::borrow::Cow;

use crate::domain::inbound::Network;

/// A path without `ed=`, and the number of bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct EarlyData<'a> {
    /// The path.
    pub path: Option<Cow<'a, str>>,
    /// The bytes; `None`: no early data.
    pub bytes: Option<u32>,
}

impl<'a> EarlyData<'a> {
    /// Reads a host. Its number, 0 included, counts more than its path. Only WebSocket and HTTPUpgrade have early data.
    pub(super) fn of(network: Network, path: Option<Cow<'a, str>>, number: Option<u32>) -> Self {
        if !matches!(network, Network::Ws | Network::HttpUpgrade) {
            return Self { path, bytes: None };
        }
        let (path, in_path) = match path {
            Some(path) => without(path),
            None => (None, None),
        };
        Self { path, bytes: number.or(in_path).filter(|bytes| *bytes > 0) }
    }

    /// The same with texts of its own.
    pub(super) fn into_owned(self) -> EarlyData<'static> {
        EarlyData { path: self.path.map(|path| path.into_owned().into()), bytes: self.bytes }
    }

    /// The same with borrowed texts.
    pub(super) fn borrowed(&self) -> EarlyData<'_> {
        EarlyData { path: self.path.as_deref().map(Cow::Borrowed), bytes: self.bytes }
    }
}

/// The path without `ed=` in its query, and the number there.
fn without(path: Cow<'_, str>) -> (Option<Cow<'_, str>>, Option<u32>) {
    let Some((before, query)) = path.split_once('?') else { return (Some(path), None) };
    let is_early_data = |pair: &&str| *pair == "ed" || pair.starts_with("ed=");
    let Some(found) = query.split('&').find(|pair| is_early_data(pair)) else { return (Some(path), None) };
    let number = found.strip_prefix("ed=").and_then(|digits| digits.parse().ok());
    let rest: Vec<&str> = query.split('&').filter(|pair| !pair.is_empty() && !is_early_data(pair)).collect();
    let path = if rest.is_empty() { before.to_owned() } else { format!("{before}?{}", rest.join("&")) };
    (Some(path).filter(|path| !path.is_empty()).map(Cow::Owned), number)
}

/// The path with `ed=` in its query, as Xray and links have it.
pub(super) fn in_path(path: Option<&str>, bytes: Option<u32>) -> Option<Cow<'_, str>> {
    let Some(bytes) = bytes else { return path.map(Cow::Borrowed) };
    let path = path.unwrap_or("/");
    let separator = if path.contains('?') { '&' } else { '?' };
    Some(format!("{path}{separator}ed={bytes}").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_and_path_mean_the_same() {
        for (path, number, expected) in [
            (None, None, (None, None)),
            (Some("/w"), None, (Some("/w"), None)),
            (Some("/w?ed=2048"), None, (Some("/w"), Some(2_048))),
            (Some("/w?a=b&ed=2048&c"), None, (Some("/w?a=b&c"), Some(2_048))),
            (Some("/w?ed=2048"), Some(512), (Some("/w"), Some(512))),
            (Some("/w?ed=2048"), Some(0), (Some("/w"), None)),
            (Some("/w?ed"), None, (Some("/w"), None)),
            (Some("/w?red=1"), None, (Some("/w?red=1"), None)),
            (None, Some(512), (None, Some(512))),
        ] {
            let read = EarlyData::of(Network::Ws, path.map(Cow::Borrowed), number);
            assert_eq!((read.path.as_deref(), read.bytes), expected, "{path:?} {number:?}");
        }
        let grpc = EarlyData::of(Network::Grpc, Some("a?ed=1".into()), Some(1));
        assert_eq!((grpc.path.as_deref(), grpc.bytes), (Some("a?ed=1"), None));
    }

    #[test]
    fn number_of_bytes_is_added_to_the_query() {
        for (path, bytes, with) in [
            (None, None, None),
            (Some("/a?b=c"), None, Some("/a?b=c")),
            (None, Some(5), Some("/?ed=5")),
            (Some("/a"), Some(2_048), Some("/a?ed=2048")),
            (Some("/a?x=1"), Some(2_048), Some("/a?x=1&ed=2048")),
        ] {
            assert_eq!(in_path(path, bytes).as_deref(), with);
        }
    }
}
