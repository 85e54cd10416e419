//! The client of a request: its address, and the panel's own URL as the client sees it, directly or through proxies.

use std::net::IpAddr;

use poem::http::header;
use poem::{Addr, FromRequest, Request, RequestBody};

use crate::api::state::State;
use crate::config::http::Networks;

/// The sender of a request, and the URL under which it reached the panel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// The sender's address; `None` on a Unix socket without a proxy header.
    pub address: Option<IpAddr>,
    /// The request has a proxy header, trusted or not.
    pub through_proxy: bool,
    scheme: String,
    host: String,
}

impl Client {
    /// Reads the client of a request. Proxy headers are trusted from peers in `trusted` and from Unix sockets only.
    pub fn of(request: &Request, trusted: &Networks) -> Self {
        let peer = match &request.remote_addr().0 {
            Addr::SocketAddr(address) => Some(address.ip().to_canonical()),
            _ => None,
        };
        Self::from_peer(peer, request, trusted)
    }

    fn from_peer(peer: Option<IpAddr>, request: &Request, trusted: &Networks) -> Self {
        let is_trusted = |address: IpAddr| trusted.contain(address);
        let peer_is_trusted = peer.is_none_or(is_trusted);
        let header = |name: &str| request.header(name).filter(|_| peer_is_trusted);
        let address = header("x-forwarded-for").and_then(|list| sender(list, is_trusted)).or(peer);
        let scheme = header("x-forwarded-proto").map(|text| first(text).to_ascii_lowercase());
        let scheme = scheme.filter(|scheme| scheme == "http" || scheme == "https");
        Self {
            address,
            through_proxy: request.headers().contains_key(header::FORWARDED)
                || request.headers().keys().any(|name| name.as_str().starts_with("x-forwarded-")),
            scheme: scheme.unwrap_or_else(|| request.scheme().to_string()),
            host: request.header(header::HOST).or(request.uri().host()).unwrap_or("localhost").to_owned(),
        }
    }

    /// Returns an absolute URL of the panel, as this client sees it.
    pub fn url(&self, path_and_query: &str) -> String {
        format!("{}://{}{path_and_query}", self.scheme, self.host)
    }

    /// Returns true for a client on this machine that did not come through a proxy.
    pub fn is_local(&self) -> bool {
        !self.through_proxy && self.address.is_some_and(|address| address.is_loopback())
    }
}

impl<'a> FromRequest<'a> for Client {
    async fn from_request(request: &'a Request, body: &mut RequestBody) -> poem::Result<Self> {
        let state = <&State>::from_request(request, body).await?;
        Ok(Self::of(request, &state.options.http.trusted_proxies))
    }
}

/// Returns the last address of the list that is not a trusted proxy. Addresses before it may be forged.
fn sender(list: &str, is_trusted: impl Fn(IpAddr) -> bool) -> Option<IpAddr> {
    let mut sender = None;
    for text in list.rsplit(',') {
        let Ok(address) = text.trim().parse::<IpAddr>() else { break };
        sender = Some(address.to_canonical());
        if !is_trusted(address.to_canonical()) {
            break;
        }
    }
    sender
}

fn first(list: &str) -> &str {
    list.split(',').next().unwrap_or_default().trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, headers: &[(&str, &str)]) -> Client {
        let mut builder = Request::builder().uri_str("/x");
        for (name, value) in headers {
            builder = builder.header(*name, *value);
        }
        let peer = peer.parse().expect("an address");
        let trusted = "127.0.0.0/8,10.0.0.0/8".parse().expect("networks");
        Client::from_peer(Some(peer), &builder.finish(), &trusted)
    }

    #[test]
    fn proxy_headers_are_trusted_from_trusted_peers_only() {
        let headers = [
            ("host", "panel.example.com"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-for", "1.1.1.1, 8.8.8.8, 10.0.0.7"),
        ];
        let through = client("127.0.0.1", &headers);
        assert_eq!(through.address, Some([8, 8, 8, 8].into()), "addresses before 8.8.8.8 may be forged");
        assert_eq!(through.url("/api/users?size=2"), "https://panel.example.com/api/users?size=2");
        assert!(!through.is_local());
        let direct = client("9.9.9.9", &headers);
        assert_eq!(direct.address, Some([9, 9, 9, 9].into()));
        assert_eq!(direct.url("/"), "http://panel.example.com/");
        assert!(direct.through_proxy);
    }

    #[test]
    fn malformed_proxy_headers_are_ignored() {
        let client = client("127.0.0.1", &[("x-forwarded-for", "1.1.1.1, unknown"), ("x-forwarded-proto", "gopher")]);
        assert_eq!(client.address, Some([127, 0, 0, 1].into()));
        assert_eq!(client.url("/"), "http://localhost/");
    }

    #[test]
    fn client_is_local_on_loopback_without_a_proxy() {
        assert!(client("127.0.0.1", &[]).is_local());
        assert!(!client("127.0.0.1", &[("forwarded", "for=1.1.1.1")]).is_local());
        assert!(!client("10.0.0.1", &[]).is_local());
    }
}
