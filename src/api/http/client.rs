//! The client of a request: its address, and the panel's own URL as the client sees it, directly or through proxies.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use poem::http::{HeaderName, header};
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
    prefix: String,
}

impl Client {
    /// Reads the client of a request. Proxy headers are trusted from peers in `trusted` and from Unix sockets only, and of
    /// their elements only those that trusted proxies added.
    pub fn of(request: &Request, trusted: &Networks) -> Self {
        let peer = match &request.remote_addr().0 {
            Addr::SocketAddr(address) => Some(address.ip().to_canonical()),
            _ => None,
        };
        Self::from_peer(peer, request, trusted)
    }

    fn from_peer(peer: Option<IpAddr>, request: &Request, trusted: &Networks) -> Self {
        let is_trusted = |address: IpAddr| trusted.contain(address);
        // Nothing that a stranger claims is read.
        let believed = peer.is_none_or(is_trusted);
        let address = sender(elements(request, "x-forwarded-for", believed), is_trusted).or(peer);
        let scheme = elements(request, "x-forwarded-proto", believed).next().map(str::to_ascii_lowercase);
        let scheme = scheme.filter(|scheme| scheme == "http" || scheme == "https");
        let prefix = elements(request, "x-forwarded-prefix", believed).next().map(|path| path.trim_end_matches('/'));
        Self {
            address,
            through_proxy: request.headers().keys().any(comes_from_proxies),
            scheme: scheme.unwrap_or_else(|| request.scheme().to_string()),
            host: request.header(header::HOST).or(request.uri().host()).unwrap_or("localhost").to_owned(),
            prefix: prefix.filter(|prefix| is_path(prefix)).unwrap_or_default().to_owned(),
        }
    }

    /// Returns an absolute URL of the panel, as this client sees it.
    pub fn url(&self, path_and_query: &str) -> String {
        format!("{}://{}{}{path_and_query}", self.scheme, self.host, self.prefix)
    }

    /// Returns the host of the panel, as this client names it, without the port.
    pub fn host_name(&self) -> &str {
        match self.host.rsplit_once(':') {
            Some((name, port)) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => name,
            _ => &self.host,
        }
    }

    /// Returns a URL of the panel without scheme and host. No proxy has to report them for a client to find it.
    pub fn relative_url(&self, path_and_query: &str) -> String {
        // Two slashes would begin a host name.
        format!("{}/{}", self.prefix, path_and_query.trim_start_matches('/'))
    }

    /// Returns the address by which wrong attempts are limited; none for a client on this machine.
    pub fn limited(&self) -> Option<IpAddr> {
        self.address.filter(|_| !self.is_local())
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

/// Returns true for a path that can stand in a URL as it is. Longer ones than 128 bytes are not believed.
fn is_path(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~%".contains(&byte);
    text.len() <= 128 && text.starts_with('/') && !text.contains("//") && text.bytes().all(is_plain)
}

/// Returns true for headers that proxies add. Of these only X-Forwarded-For, X-Forwarded-Proto and X-Forwarded-Prefix are
/// read.
fn comes_from_proxies(name: &HeaderName) -> bool {
    matches!(name.as_str(), "forwarded" | "via" | "x-real-ip") || name.as_str().starts_with("x-forwarded-")
}

/// Returns the elements of a header from right to left: those of the last line first, because each proxy adds its own
/// element at the end, within the last line or as a line of its own. A line that is not text is one empty element.
fn elements<'a>(request: &'a Request, name: &'static str, believed: bool) -> impl Iterator<Item = &'a str> {
    let lines = request.headers().get_all(name).iter().rev().filter(move |_| believed);
    lines.flat_map(|line| line.to_str().unwrap_or_default().rsplit(',').map(str::trim))
}

/// Returns the first address, from the right, that is not a trusted proxy. Addresses further left may be forged.
fn sender<'a>(from_right: impl Iterator<Item = &'a str>, is_trusted: impl Fn(IpAddr) -> bool) -> Option<IpAddr> {
    let mut sender = None;
    for text in from_right {
        let Some(address) = address(text) else { break };
        sender = Some(address);
        if !is_trusted(address) {
            break;
        }
    }
    sender
}

/// Reads an address. Some proxies add the port, and put IPv6 addresses into brackets.
fn address(text: &str) -> Option<IpAddr> {
    let address = text.parse::<IpAddr>().or_else(|_| text.parse::<SocketAddr>().map(|address| address.ip()));
    let bare = || text.strip_prefix('[')?.strip_suffix(']')?.parse::<Ipv6Addr>().ok().map(IpAddr::V6);
    address.ok().or_else(bare).map(|address| address.to_canonical())
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
        assert_eq!(through.host_name(), "panel.example.com");
        let host_name = |host: &str| client("9.9.9.9", &[("host", host)]).host_name().to_owned();
        assert_eq!(host_name("panel.example.com:8443"), "panel.example.com");
        assert_eq!((host_name("[::1]"), host_name("[::1]:80")), ("[::1]".to_owned(), "[::1]".to_owned()));
        let direct = client("9.9.9.9", &headers);
        assert_eq!(direct.address, Some([9, 9, 9, 9].into()));
        assert_eq!(direct.url("/"), "http://panel.example.com/");
        assert!(direct.through_proxy);
    }

    #[test]
    fn lines_of_a_proxy_header_are_one_list_read_from_the_right() {
        let address = |lines: &[&str]| {
            let lines: Vec<_> = lines.iter().map(|line| ("x-forwarded-for", *line)).collect();
            client("127.0.0.1", &lines).address.expect("an address").to_string()
        };
        assert_eq!(address(&["6.6.6.6", "8.8.8.8"]), "8.8.8.8", "a proxy added a line to the client's");
        assert_eq!(address(&["6.6.6.6", "8.8.8.8", "10.0.0.7, 10.0.0.8"]), "8.8.8.8");
        assert_eq!(address(&["6.6.6.6, 8.8.8.8", "10.0.0.7"]), "8.8.8.8");
        assert_eq!(address(&["8.8.8.8", ""]), "127.0.0.1", "a line that names nobody ends the list");
        assert_eq!(address(&["10.0.0.7", "10.0.0.8"]), "10.0.0.7", "a client inside of the trusted networks");
        assert_eq!(address(&["6.6.6.6", "8.8.8.8:4711"]), "8.8.8.8");
        assert_eq!(address(&["6.6.6.6", "[2001:db8::8]:4711"]), "2001:db8::8");
        assert_eq!(address(&["6.6.6.6", "[2001:db8::8]"]), "2001:db8::8");
        let schemes = [("host", "a"), ("x-forwarded-proto", "http"), ("x-forwarded-proto", "http, https")];
        assert_eq!(client("127.0.0.1", &schemes).url("/"), "https://a/", "the nearest proxy's");
    }

    #[test]
    fn no_other_proxy_header_is_believed() {
        let others = [
            ("host", "panel.example.com"),
            ("forwarded", "for=6.6.6.6;proto=https;host=evil"),
            ("x-real-ip", "6.6.6.6"),
            ("x-forwarded-host", "evil"),
            ("x-forwarded-port", "1"),
        ];
        let client = client("127.0.0.1", &others);
        assert_eq!(client.address, Some([127, 0, 0, 1].into()));
        assert_eq!(client.url("/"), "http://panel.example.com/");
        assert!(!client.is_local());
    }

    #[test]
    fn prefix_is_believed_from_trusted_peers_when_it_is_a_path() {
        let urls = |peer: &str, prefix: &str| {
            let client = client(peer, &[("host", "a"), ("x-forwarded-prefix", prefix)]);
            (client.url("/x?y=z"), client.relative_url("/x?y=z"))
        };
        assert_eq!(urls("127.0.0.1", "/my/panel/"), ("http://a/my/panel/x?y=z".into(), "/my/panel/x?y=z".into()));
        assert_eq!(urls("127.0.0.1", "/forged, /near").1, "/near/x?y=z", "the nearest proxy's");
        assert_eq!(urls("9.9.9.9", "/my"), ("http://a/x?y=z".into(), "/x?y=z".into()), "of a stranger");
        for wrong in ["panel", "//evil.example", "/a//b", "/a b", "/a?b", "/a\\b", "https://evil.example", "/", ""] {
            assert_eq!(urls("127.0.0.1", wrong).1, "/x?y=z", "{wrong}");
        }
        assert_eq!(client("127.0.0.1", &[]).relative_url("//evil.example/x"), "/evil.example/x");
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
        for header in ["forwarded", "via", "x-real-ip", "x-forwarded-host"] {
            assert!(!client("127.0.0.1", &[(header, "x")]).is_local(), "{header}");
        }
        assert!(!client("10.0.0.1", &[]).is_local());
    }
}
