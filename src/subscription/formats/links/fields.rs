//! Values that all kinds of links spell alike.

use crate::domain::inbound::Network;
use crate::subscription::entry::Entry;

/// The transport; `None` when the host has none.
pub(super) fn network(network: Network) -> Option<&'static str> {
    match network {
        Network::Unset => None,
        Network::SplitHttp => Some("xhttp"),
        other => Some(other.word()),
    }
}

/// The protocols offered in the TLS handshake, separated by commas.
pub(super) fn alpn(entry: &Entry<'_>) -> Option<String> {
    (!entry.alpn.is_empty()).then(|| entry.alpn.join(","))
}
