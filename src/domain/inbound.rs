//! An inbound: a listener of a node's engine, as the node describes it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::host::{CoreSettings, Fingerprint};
use super::ids::{InboundId, NodeId};

/// An inbound of a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inbound {
    /// The row.
    pub id: InboundId,
    /// The node.
    pub node_id: NodeId,
    /// Unique on its node.
    pub tag: String,
    /// The protocol's name on the node; subscriptions render those of [`Protocol`].
    pub protocol: String,
    /// The node's JSON text, stored unchanged.
    pub config: String,
}

/// A protocol that subscriptions render.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// VMess.
    Vmess,
    /// VLESS.
    Vless,
    /// Trojan.
    Trojan,
    /// Shadowsocks with the ciphers before 2022.
    Shadowsocks,
    /// Hysteria 2.
    Hysteria2,
    /// WireGuard.
    Wireguard,
    /// TUIC.
    Tuic,
    /// ShadowTLS: only as a wrapper around another protocol.
    Shadowtls,
    /// AnyTLS.
    Anytls,
}

/// The transport below a protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// No transport named: the protocol's own.
    Unset,
    /// TCP.
    Tcp,
    /// mKCP.
    Kcp,
    /// Websocket.
    Ws,
    /// HTTP/2.
    Http,
    /// QUIC.
    Quic,
    /// gRPC.
    Grpc,
    /// HTTP Upgrade.
    HttpUpgrade,
    /// SplitHTTP, later called XHTTP.
    SplitHttp,
    /// HTTP/2, in Clash's spelling.
    H2,
}

/// The TLS layer of an inbound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Security {
    /// None.
    #[default]
    None,
    /// TLS.
    Tls,
    /// REALITY.
    Reality,
}

/// The settings in an inbound's JSON text that subscriptions need. Malformed parts are skipped: one malformed inbound
/// must not break a subscription.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct InboundConfig {
    /// The port.
    pub port: Option<i64>,
    /// The transport's name.
    pub network: Option<String>,
    /// TLS.
    pub security: Security,
    /// Server names.
    pub sni: Vec<String>,
    /// Host headers.
    pub host: Vec<String>,
    /// Path, service name, seed or peer key.
    pub path: Option<String>,
    /// Header type, or the obfuscation of Hysteria 2.
    pub header_type: Option<String>,
    /// The flow of VLESS.
    pub flow: Option<String>,
    /// The browser whose TLS handshake clients imitate.
    pub fingerprint: Option<String>,
    /// The REALITY public key.
    pub reality_public_key: Option<String>,
    /// The REALITY short id.
    pub reality_short_id: Option<String>,
    /// The node's WireGuard address with its network.
    pub address: Option<String>,
    /// The ShadowTLS version.
    pub shadowtls_version: Option<i64>,
    /// The Shadowsocks cipher.
    pub method: Option<String>,
    /// Settings of current cores.
    pub core: CoreSettings,
}

impl InboundConfig {
    /// Reads the text; missing and malformed values stay empty.
    pub fn parse(config: &str) -> Self {
        let read: Value = serde_json::from_str(config).unwrap_or_default();
        Self {
            port: port(&read["port"]),
            network: text(&read["network"]),
            security: match read["tls"].as_str() {
                Some("tls") => Security::Tls,
                Some("reality") => Security::Reality,
                _ => Security::None,
            },
            sni: texts(&read["sni"]),
            host: texts(&read["host"]),
            path: text(&read["path"]),
            header_type: text(&read["header_type"]),
            flow: text(&read["flow"]),
            fingerprint: text(&read["fp"]).filter(|word| Fingerprint::from_word(word).is_some()),
            reality_public_key: text(&read["pbk"]),
            reality_short_id: text(&read["sid"]),
            address: texts(&read["address"]).into_iter().next(),
            shadowtls_version: integer(&read["shadowtls_version"]),
            method: text(&read["method"]),
            core: CoreSettings::reported(&read),
        }
    }
}

impl Protocol {
    const ALL: [Self; 9] = [
        Self::Vmess,
        Self::Vless,
        Self::Trojan,
        Self::Shadowsocks,
        Self::Hysteria2,
        Self::Wireguard,
        Self::Tuic,
        Self::Shadowtls,
        Self::Anytls,
    ];

    /// The name on nodes.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Vmess => "vmess",
            Self::Vless => "vless",
            Self::Trojan => "trojan",
            Self::Shadowsocks => "shadowsocks",
            Self::Hysteria2 => "hysteria2",
            Self::Wireguard => "wireguard",
            Self::Tuic => "tuic",
            Self::Shadowtls => "shadowtls",
            Self::Anytls => "anytls",
        }
    }

    /// Reads the name; `None`: subscriptions can't render it.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|protocol| protocol.word() == word)
    }
}

impl Network {
    const ALL: [Self; 10] = [
        Self::Unset,
        Self::Tcp,
        Self::Kcp,
        Self::Ws,
        Self::Http,
        Self::Quic,
        Self::Grpc,
        Self::HttpUpgrade,
        Self::SplitHttp,
        Self::H2,
    ];

    /// The name on nodes; empty for `Unset`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Unset => "",
            Self::Tcp => "tcp",
            Self::Kcp => "kcp",
            Self::Ws => "ws",
            Self::Http => "http",
            Self::Quic => "quic",
            Self::Grpc => "grpc",
            Self::HttpUpgrade => "httpupgrade",
            Self::SplitHttp => "splithttp",
            Self::H2 => "h2",
        }
    }

    /// Reads the name, or another name of the same transport; `None`: subscriptions can't render it.
    pub fn from_word(word: &str) -> Option<Self> {
        match word {
            "raw" => Some(Self::Tcp),
            "mkcp" => Some(Self::Kcp),
            "websocket" => Some(Self::Ws),
            "xhttp" => Some(Self::SplitHttp),
            _ => Self::ALL.into_iter().find(|network| network.word() == word),
        }
    }
}

impl Security {
    /// The name in links and configurations.
    pub const fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Tls => "tls",
            Self::Reality => "reality",
        }
    }
}

/// The first port of a number, a list or a range, as in `443`, `"443,8443"` and `"1000-2000"`.
fn port(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.split([',', '-']).next()?.trim().parse().ok())
}

fn integer(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.trim().parse().ok())
}

/// A text that is not empty.
fn text(value: &Value) -> Option<String> {
    value.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

/// A list of texts or a single text, without empty ones.
fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::Array(list) => list.iter().filter_map(text).collect(),
        one => text(one).into_iter().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn config_of_a_node_is_read() {
        let config = InboundConfig::parse(
            r#"{"tag": "a", "protocol": "vless", "port": 443, "network": "tcp", "tls": "reality", "sni": ["a.example"],
                "host": "b.example", "path": null, "header_type": "", "flow": "xtls-rprx-vision", "fp": "chrome",
                "pbk": "key", "sid": "aa", "address": "10.0.0.1/16", "shadowtls_version": 3, "is_fallback": false}"#,
        );
        assert_eq!(config.port, Some(443));
        assert_eq!(config.security, Security::Reality);
        assert_eq!((config.sni, config.host), (vec!["a.example".to_owned()], vec!["b.example".to_owned()]));
        assert_eq!((config.path, config.header_type), (None, None));
        assert_eq!(config.flow.as_deref(), Some("xtls-rprx-vision"));
        assert_eq!(config.address.as_deref(), Some("10.0.0.1/16"));
        assert_eq!(config.shadowtls_version, Some(3));
    }

    #[test]
    fn malformed_values_are_skipped() {
        for text in ["", "{", "[]", "null", "\"a\"", "{\"port\": {}}"] {
            assert_eq!(InboundConfig::parse(text), InboundConfig::default(), "{text}");
        }
        let config = InboundConfig::parse(r#"{"port": [1], "sni": [1, "", "a"], "path": 7, "tls": "tls"}"#);
        assert_eq!((config.port, config.path), (None, None));
        assert_eq!((config.sni, config.security), (vec!["a".to_owned()], Security::Tls));
    }

    #[test]
    fn names_read_back() {
        for protocol in Protocol::ALL {
            assert_eq!(Protocol::from_word(protocol.word()), Some(protocol));
        }
        for network in Network::ALL {
            assert_eq!(Network::from_word(network.word()), Some(network));
        }
        assert_eq!(Protocol::from_word("socks"), None);
        assert_eq!(Network::from_word("pigeon"), None);
        assert_eq!(Network::from_word("xhttp"), Some(Network::SplitHttp));
    }

    #[test]
    fn first_port_of_a_list_or_range_counts() {
        for (text, port) in [
            ("443", Some(443)),
            ("\"443\"", Some(443)),
            ("\"443,8443\"", Some(443)),
            ("\"1000-2000\"", Some(1_000)),
            ("\"env:PORT\"", None),
            ("\"\"", None),
            ("null", None),
        ] {
            assert_eq!(InboundConfig::parse(&format!("{{\"port\": {text}}}")).port, port, "{text}");
        }
    }
}
