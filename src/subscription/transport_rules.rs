//! Rules of transports and TLS that hold for every client, whatever the format.

use std::borrow::Cow;

use uuid::Uuid;

use crate::domain::host::{Alpn, HostSpec, SplitHttpSettings, is_header, is_reality_key, needs_packet_up};
use crate::domain::inbound::{Network, Protocol, Security};
use crate::domain::programs::Core;

use super::client::Client;
use super::entry::Entry;
use super::percent;
use super::refusal::Reason;

/// Headers of packets.
const PACKET_HEADERS: [&str; 7] = ["none", "srtp", "utp", "wechat-video", "dtls", "wireguard", "dns"];
const VISION: &str = "xtls-rprx-vision";
/// Vision that leaves UDP on port 443 alone; only Xray tells the two apart.
const VISION_UDP443: &str = "xtls-rprx-vision-udp443";

/// The transport that clients need to be told. Sing-box nodes report inbounds over TCP without one, and Xray would drop
/// the TLS settings of an outbound without one. Protocols over UDP have no transport.
pub(super) const fn network(protocol: Protocol, network: Network, security: Security) -> Network {
    match (protocol, network, security) {
        (Protocol::Hysteria2 | Protocol::Tuic | Protocol::Wireguard | Protocol::Shadowtls | Protocol::Anytls, _, _) => {
            Network::Unset
        }
        (Protocol::Vmess | Protocol::Vless | Protocol::Trojan, Network::Unset, Security::Tls | Security::Reality) => {
            Network::Tcp
        }
        _ => network,
    }
}

/// The flow, where the connection can have one: VLESS over bare TCP with TLS, REALITY or encryption of its own.
pub(super) fn flow(
    flow: Option<&str>,
    protocol: Protocol,
    network: Network,
    header_type: Option<&str>,
    security: Security,
    is_encrypted: bool,
) -> Result<Option<&'static str>, Reason> {
    let can_have_one = protocol == Protocol::Vless
        && network == Network::Tcp
        && header_type != Some("http")
        && (security != Security::None || is_encrypted);
    match flow.filter(|_| can_have_one) {
        None | Some("" | "none") => Ok(None),
        Some(VISION) => Ok(Some(VISION)),
        Some(VISION_UDP443) => Ok(Some(VISION_UDP443)),
        Some(_) => Err("no client knows its flow"),
    }
}

/// The flow in the spelling of clients other than Xray.
pub(super) fn plain_flow(flow: Option<&'static str>) -> Option<&'static str> {
    flow.map(|_| VISION)
}

/// The protocols offered in the TLS handshake. A WebSocket starts with an HTTP/1.1 request: a server that may choose
/// HTTP/2 does, and refuses it. Servers of Hysteria 2 and TUIC accept only HTTP/3.
pub(super) const fn alpn(alpn: Alpn, protocol: Protocol, network: Network) -> &'static [&'static str] {
    match (protocol, network, alpn) {
        (Protocol::Tuic, ..) | (Protocol::Hysteria2, _, Alpn::H3 | Alpn::H3H2 | Alpn::H3H2Http1) => {
            Alpn::H3.protocols()
        }
        // Clients of Hysteria 2 offer HTTP/3 themselves.
        (Protocol::Hysteria2, ..) | (_, _, Alpn::None) => &[],
        (_, Network::Ws | Network::HttpUpgrade, _) => Alpn::Http1.protocols(),
        _ => alpn.protocols(),
    }
}

/// The cipher of VMess. With TLS, clients that choose themselves send data without encryption, which current servers
/// refuse.
pub(super) fn vmess_cipher(security: Security) -> &'static str {
    if security == Security::None { "auto" } else { "aes-128-gcm" }
}

/// The browser whose handshake is imitated. A new random browser at each start of the program fails in many starts of
/// Xray and Mihomo, which then connect to no server until the next start; a random known browser works in both.
pub(super) fn fingerprint<'a>(chosen: Option<&'a str>, client: &Client<'_>) -> Option<&'a str> {
    let fails = matches!(client.program().map(|program| program.core), Some(Core::Xray | Core::Mihomo));
    if fails && chosen == Some("randomized") { Some("random") } else { chosen }
}

/// The Host header among a host's headers, and the other headers: programs refuse `Host` where it has a setting of its
/// own.
pub(super) fn headers(spec: &HostSpec, network: Network) -> (Option<String>, Vec<(String, String)>) {
    let carries_headers = matches!(
        network,
        Network::Tcp | Network::Ws | Network::HttpUpgrade | Network::Http | Network::SplitHttp | Network::H2
    );
    let all = spec.http_headers.iter().flatten().filter(|_| carries_headers);
    let (mut host, mut headers) = (None, Vec::new());
    for (name, value) in all {
        if name.eq_ignore_ascii_case("host") {
            host = Some(value.clone()).filter(|value| !value.is_empty());
        } else {
            headers.push((name.clone(), value.clone()));
        }
    }
    (host, headers)
}

/// The header type, or the obfuscation of Hysteria 2, which has `none` for none.
pub(super) fn header_type(kind: Option<&str>, protocol: Protocol) -> Option<&str> {
    kind.filter(|kind| protocol != Protocol::Hysteria2 || *kind != "none")
}

/// The path; of transports with requests of HTTP, with all but ASCII percent-encoded and stray percent signs escaped.
pub(super) fn path(network: Network, path: Option<Cow<'_, str>>) -> Option<Cow<'_, str>> {
    let is_url = matches!(
        network,
        Network::Tcp | Network::Ws | Network::HttpUpgrade | Network::Http | Network::SplitHttp | Network::H2
    );
    match path {
        // A server has several names after the last slash, and a client one of them.
        Some(path) if network == Network::Grpc && path.starts_with('/') && path.contains('|') => {
            let last = path.rfind('/').unwrap_or_default();
            let end = path[last..].find('|').map_or(path.len(), |bar| last + bar);
            Some(path[..end].to_owned().into())
        }
        Some(path) if is_url && !percent::is_path(&path) => Some(percent::path(&path).into()),
        path => path,
    }
}

/// Why no client could connect with this entry.
pub(super) fn refusal(entry: &Entry<'_>) -> Option<Reason> {
    let over_quic = matches!(entry.protocol, Protocol::Hysteria2 | Protocol::Tuic);
    if entry.security == Security::Reality && entry.protocol != Protocol::Wireguard {
        if !has_reality_keys(entry) {
            return Some("its REALITY public key or short id is missing or malformed");
        }
        let has_transport = !matches!(entry.protocol, Protocol::Anytls | Protocol::Shadowtls);
        let is_bare_shadowsocks = entry.protocol == Protocol::Shadowsocks && entry.network == Network::Unset;
        if over_quic
            || has_transport
                && !is_bare_shadowsocks
                && !matches!(entry.network, Network::Tcp | Network::Grpc | Network::SplitHttp)
        {
            return Some("REALITY works only over TCP, gRPC and XHTTP");
        }
    }
    if !has_known_header_type(entry) {
        return Some("no client knows its header type");
    }
    if entry.protocol == Protocol::Tuic && Uuid::try_parse(entry.uuid).is_err() {
        return Some("its id is not a UUID");
    }
    if (over_quic || entry.protocol == Protocol::Anytls) && entry.security == Security::None {
        return Some("its protocol works only with TLS");
    }
    if entry.network == Network::SplitHttp
        && !entry.spec.splithttp_settings.as_ref().is_none_or(SplitHttpSettings::is_valid)
    {
        return Some("its XHTTP settings are not valid");
    }
    let mode = entry.spec.splithttp_settings.as_ref().and_then(|settings| settings.mode.as_deref());
    if mode != Some("packet-up") && entry.core.xhttp_extra.as_ref().is_some_and(needs_packet_up) {
        return Some("its XHTTP settings work only in the mode packet-up");
    }
    if !entry.headers().all(|(name, value)| is_header(name, value)) {
        return Some("one of its headers has a name or a value that HTTP does not allow");
    }
    None
}

/// A client with another one refuses its whole configuration, or sends what no server understands.
fn has_known_header_type(entry: &Entry<'_>) -> bool {
    let Some(kind) = entry.header_type else { return true };
    match (entry.protocol, entry.network) {
        (Protocol::Hysteria2, _) => kind == "salamander" && entry.path.is_some(),
        (Protocol::Vmess | Protocol::Vless | Protocol::Trojan, Network::Tcp) => matches!(kind, "none" | "http"),
        (Protocol::Vmess | Protocol::Vless | Protocol::Trojan, Network::Kcp | Network::Quic) => {
            PACKET_HEADERS.contains(&kind)
        }
        _ => true,
    }
}

fn has_reality_keys(entry: &Entry<'_>) -> bool {
    entry.reality_public_key.is_some_and(|key| is_reality_key(key, entry.reality_short_id.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flow_is_only_where_it_can_be() {
        let tcp = |text| flow(Some(text), Protocol::Vless, Network::Tcp, None, Security::Reality, false);
        assert_eq!(tcp(VISION), Ok(Some(VISION)));
        assert_eq!(tcp(VISION_UDP443), Ok(Some(VISION_UDP443)));
        assert_eq!((tcp("none"), tcp("")), (Ok(None), Ok(None)));
        assert!(tcp("xtls-rprx-direct").is_err() && tcp("foo").is_err());
        assert_eq!(plain_flow(Some(VISION_UDP443)), Some(VISION));
        for (protocol, network, header, security) in [
            (Protocol::Vless, Network::Ws, None, Security::Tls),
            (Protocol::Vless, Network::Grpc, None, Security::Reality),
            (Protocol::Vless, Network::SplitHttp, None, Security::Tls),
            (Protocol::Vless, Network::Tcp, None, Security::None),
            (Protocol::Vless, Network::Tcp, Some("http"), Security::Tls),
            (Protocol::Trojan, Network::Tcp, None, Security::Tls),
        ] {
            let none = flow(Some(VISION), protocol, network, header, security, false);
            assert_eq!(none, Ok(None), "{protocol:?} {network:?}");
        }
        let encrypted = flow(Some(VISION), Protocol::Vless, Network::Tcp, None, Security::None, true);
        assert_eq!(encrypted, Ok(Some(VISION)));
    }

    #[test]
    fn fingerprint_is_one_that_the_program_can_imitate() {
        for (user_agent, expected) in [("Xray/26.10.10", "random"), ("mihomo/1.19.32", "random"), ("", "randomized")] {
            assert_eq!(fingerprint(Some("randomized"), &Client::of(user_agent)), Some(expected), "{user_agent}");
            assert_eq!(fingerprint(Some("ios"), &Client::of(user_agent)), Some("ios"));
        }
    }

    #[test]
    fn alpn_fits_the_transport() {
        for (given, protocol, network, expected) in [
            (Alpn::None, Protocol::Vless, Network::Ws, &[] as &[&str]),
            (Alpn::H2Http1, Protocol::Vless, Network::Ws, &["http/1.1"]),
            (Alpn::H2, Protocol::Vmess, Network::HttpUpgrade, &["http/1.1"]),
            (Alpn::H2Http1, Protocol::Trojan, Network::Tcp, &["h2", "http/1.1"]),
            (Alpn::None, Protocol::Tuic, Network::Unset, &["h3"]),
            (Alpn::H3H2, Protocol::Tuic, Network::Unset, &["h3"]),
            (Alpn::H2Http1, Protocol::Hysteria2, Network::Unset, &[]),
            (Alpn::H3, Protocol::Hysteria2, Network::Unset, &["h3"]),
        ] {
            assert_eq!(alpn(given, protocol, network), expected, "{given:?} {protocol:?} {network:?}");
        }
    }

    #[test]
    fn paths_of_requests_are_percent_encoded() {
        let of = |network, text: &'static str| path(network, Some(text.into())).unwrap().into_owned();
        assert_eq!(of(Network::Ws, "/a b/ü?x=%2F&y=%zz"), "/a%20b/%C3%BC?x=%2F&y=%25zz");
        assert_eq!(of(Network::Ws, "/a/{b}"), "/a/{b}");
        assert_eq!(of(Network::Grpc, "ü b"), "ü b");
        assert_eq!(of(Network::Grpc, "/my/sample/one|two"), "/my/sample/one");
        assert_eq!((of(Network::Grpc, "a|b").as_str(), of(Network::Grpc, "/a|b/c").as_str()), ("a|b", "/a|b/c"));
    }
}
