//! Who sent a request, and how the panel looks from there: through proxies that may be trusted, or directly.

use std::net::IpAddr;

use poem::http::header;
use poem::{Addr, FromRequest, Request, RequestBody};

use crate::api::state::State;
use crate::config::http::Networks;

/// The sender of a request and the address by which it reached the panel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// The sender's address; `None` on a Unix socket without a proxy's word.
    pub address: Option<IpAddr>,
    /// A proxy header is there, whether or not it was believed.
    pub through_proxy: bool,
    scheme: String,
    host: String,
}

impl Client {
    /// Reads it from a request. Only peers in `trusted`, and Unix sockets, may say who sent them what.
    pub fn of(request: &Request, trusted: &Networks) -> Self {
        let peer = match &request.remote_addr().0 {
            Addr::SocketAddr(address) => Some(address.ip().to_canonical()),
            _ => None,
        };
        Self::behind(peer, request, trusted)
    }

    fn behind(peer: Option<IpAddr>, request: &Request, trusted: &Networks) -> Self {
        let is_trusted = |address: IpAddr| trusted.contain(address);
        let believed = peer.is_none_or(is_trusted);
        let header = |name: &str| request.header(name).filter(|_| believed);
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

    /// An absolute address of the panel, as this client would write it.
    pub fn url(&self, path_and_query: &str) -> String {
        format!("{}://{}{path_and_query}", self.scheme, self.host)
    }

    /// On the same machine, and without a proxy in between.
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

/// The last address of the list that no trusted proxy wrote of itself: what stands before it anybody may have invented.
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
        Client::behind(Some(peer), &builder.finish(), &trusted)
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        let headers = [
            ("host", "panel.example.com"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-for", "1.1.1.1, 8.8.8.8, 10.0.0.7"),
        ];
        let through = client("127.0.0.1", &headers);
        assert_eq!(through.address, Some([8, 8, 8, 8].into()), "what stands before 8.8.8.8 may be invented");
        assert_eq!(through.url("/api/users?size=2"), "https://panel.example.com/api/users?size=2");
        assert!(!through.is_local());
        let direct = client("9.9.9.9", &headers);
        assert_eq!(direct.address, Some([9, 9, 9, 9].into()));
        assert_eq!(direct.url("/"), "http://panel.example.com/");
        assert!(direct.through_proxy);
    }

    #[test]
    fn nonsense_is_not_believed() {
        let client = client("127.0.0.1", &[("x-forwarded-for", "1.1.1.1, unknown"), ("x-forwarded-proto", "gopher")]);
        assert_eq!(client.address, Some([127, 0, 0, 1].into()));
        assert_eq!(client.url("/"), "http://localhost/");
    }

    #[test]
    fn local_means_loopback_without_a_proxy() {
        assert!(client("127.0.0.1", &[]).is_local());
        assert!(!client("127.0.0.1", &[("forwarded", "for=1.1.1.1")]).is_local());
        assert!(!client("10.0.0.1", &[]).is_local());
    }
}
