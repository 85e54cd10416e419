//! A host: how one inbound (or one server that no node knows) is shown in subscriptions.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::ids::{HostId, InboundId, ServiceId};

/// A host as the panel knows it.
#[derive(Clone, Debug, PartialEq)]
pub struct Host {
    /// The row.
    pub id: HostId,
    /// The inbound that it shows; `None`: unbound, it brings everything itself.
    pub inbound_id: Option<InboundId>,
    /// Left out of subscriptions.
    pub is_disabled: bool,
    /// Unbound and for everybody.
    pub universal: bool,
    /// Its place in subscriptions: smaller comes first.
    pub weight: i64,
    /// Everything else.
    pub spec: HostSpec,
    /// The services that give an unbound host, by id.
    pub service_ids: Vec<ServiceId>,
    /// The hosts that traffic goes through after this one, in order.
    pub chain_ids: Vec<HostId>,
}

/// The part of a host that nothing filters by: one document in the database and most of the API's object.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HostSpec {
    /// A template: the entry's name.
    pub remark: String,
    /// A template: where clients connect to.
    pub address: String,
    /// For unbound hosts: the credential of protocols with UUIDs.
    #[serde(default)]
    pub uuid: Option<String>,
    /// For unbound hosts: the credential of protocols with passwords.
    #[serde(default)]
    pub password: Option<String>,
    /// For unbound hosts: any text, but only known protocols are rendered.
    #[serde(default)]
    pub protocol: Option<String>,
    /// For unbound hosts: the transport.
    #[serde(default)]
    pub network: Option<String>,
    /// Instead of the inbound's.
    #[serde(default)]
    pub port: Option<i64>,
    /// Server names, separated by commas: one is picked at random, `*` becomes random digits.
    #[serde(default)]
    pub sni: Option<String>,
    /// Host headers, in the same way.
    #[serde(default)]
    pub host: Option<String>,
    /// A template: path, service name, seed, … as the transport has it.
    #[serde(default)]
    pub path: Option<String>,
    /// Instead of the inbound's TLS.
    #[serde(default)]
    pub security: HostSecurity,
    /// The protocols offered in the TLS handshake.
    #[serde(default)]
    pub alpn: Alpn,
    /// The browser that the TLS handshake looks like.
    #[serde(default)]
    pub fingerprint: Fingerprint,
    /// Whether clients skip the certificate's check.
    #[serde(default)]
    pub allowinsecure: bool,
    /// Splits the first packets (Xray).
    #[serde(default)]
    pub fragment: Option<FragmentSettings>,
    /// Sends noise first (Xray).
    #[serde(default)]
    pub noise: Option<Vec<Noise>>,
    /// Further request headers.
    #[serde(default)]
    pub http_headers: Option<BTreeMap<String, String>>,
    /// WireGuard's packet size.
    #[serde(default)]
    pub mtu: Option<i64>,
    /// WireGuard's name servers, separated by commas.
    #[serde(default)]
    pub dns_servers: Option<String>,
    /// What WireGuard routes, separated by commas; everything unless set.
    #[serde(default)]
    pub allowed_ips: Option<String>,
    /// Instead of the inbound's.
    #[serde(default)]
    pub header_type: Option<String>,
    /// Kept for the API, never rendered.
    #[serde(default)]
    pub reality_public_key: Option<String>,
    /// Kept for the API, never rendered.
    #[serde(default)]
    pub reality_short_ids: Option<Vec<String>>,
    /// Instead of the inbound's.
    #[serde(default)]
    pub flow: Option<String>,
    /// Instead of the inbound's.
    #[serde(default)]
    pub shadowtls_version: Option<i64>,
    /// Shadowsocks's cipher.
    #[serde(default)]
    pub shadowsocks_method: Option<String>,
    /// What splithttp (XHTTP) is tuned with.
    #[serde(default)]
    pub splithttp_settings: Option<SplitHttpSettings>,
    /// Bytes sent with the first request of a websocket.
    #[serde(default)]
    pub early_data: Option<i64>,
    /// Several streams in one connection.
    #[serde(default)]
    pub mux_settings: Option<MuxSettings>,
}

/// What a host says about TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HostSecurity {
    /// As the inbound has it.
    #[default]
    InboundDefault,
    /// No TLS.
    None,
    /// TLS.
    Tls,
}

/// The protocols that a TLS handshake offers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Alpn {
    /// Nothing said.
    #[default]
    #[serde(rename = "none")]
    None,
    /// HTTP/2.
    #[serde(rename = "h2")]
    H2,
    /// HTTP/1.1.
    #[serde(rename = "http/1.1")]
    Http1,
    /// HTTP/2, then 1.1.
    #[serde(rename = "h2,http/1.1")]
    H2Http1,
    /// HTTP/3.
    #[serde(rename = "h3")]
    H3,
    /// HTTP/3, then 2.
    #[serde(rename = "h3,h2")]
    H3H2,
    /// All three.
    #[serde(rename = "h3,h2,http/1.1")]
    H3H2Http1,
}

/// Whose TLS handshake a client imitates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fingerprint {
    /// As the inbound says, else nobody's.
    #[default]
    #[serde(rename = "")]
    None,
    /// Chrome.
    Chrome,
    /// Firefox.
    Firefox,
    /// Safari.
    Safari,
    /// Safari on iOS.
    Ios,
    /// Android.
    Android,
    /// Edge.
    Edge,
    /// The browser called 360.
    #[serde(rename = "360")]
    Browser360,
    /// The browser called QQ.
    Qq,
    /// One of them.
    Random,
    /// A new one each time.
    Randomized,
}

/// How Xray splits packets. All three are ranges of numbers as text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FragmentSettings {
    /// `tlshello`, or which packets.
    pub packets: String,
    /// Bytes.
    pub length: String,
    /// Milliseconds.
    pub interval: String,
}

/// One packet of noise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Noise {
    /// How `packet` is read.
    #[serde(rename = "type")]
    pub kind: NoiseKind,
    /// A range of lengths, a text, or base64.
    pub packet: String,
    /// Milliseconds: `n` or `n-m`.
    pub delay: String,
}

/// How a packet of noise is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NoiseKind {
    /// So many random bytes.
    Rand,
    /// This text.
    Str,
    /// These bytes.
    Base64,
}

/// What splithttp (XHTTP) is tuned with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SplitHttpSettings {
    /// `packet-up`, `stream-one`, …
    #[serde(default)]
    pub mode: Option<String>,
    /// Leaves out the header that looks like gRPC.
    #[serde(default)]
    pub no_grpc_header: Option<bool>,
    /// A range.
    #[serde(default)]
    pub padding_bytes: Option<String>,
    /// Connection reuse.
    #[serde(default)]
    pub xmux: Option<XMuxSettings>,
}

/// How splithttp (XHTTP) reuses connections. The texts are `n` or `n-m`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct XMuxSettings {
    /// Streams at a time.
    #[serde(default)]
    pub max_concurrency: Option<String>,
    /// Connections at a time.
    #[serde(default)]
    pub max_connections: Option<String>,
    /// Streams before a connection is given up.
    #[serde(default)]
    pub max_reuse_times: Option<String>,
    /// Milliseconds before a connection is given up.
    #[serde(default)]
    pub max_lifetime: Option<String>,
    /// Requests before a connection is given up.
    #[serde(default)]
    pub max_request_times: Option<String>,
    /// Seconds.
    #[serde(default)]
    pub keep_alive_period: Option<i64>,
}

/// Several streams in one connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MuxSettings {
    /// `mux_cool` is Xray's; `h2mux`, `yamux` and `smux` are sing-box's.
    pub protocol: String,
    /// For sing-box.
    #[serde(default)]
    pub sing_box_mux_settings: Option<SingBoxMuxSettings>,
    /// For Xray.
    #[serde(default)]
    pub mux_cool_settings: Option<MuxCoolSettings>,
}

/// sing-box's multiplexing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SingBoxMuxSettings {
    /// Connections at most.
    #[serde(default)]
    pub max_connections: Option<i64>,
    /// Streams in a connection at most.
    #[serde(default)]
    pub max_streams: Option<i64>,
    /// Streams in a connection before another is opened.
    #[serde(default)]
    pub min_streams: Option<i64>,
    /// Hides lengths.
    #[serde(default)]
    pub padding: Option<bool>,
}

/// Xray's multiplexing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MuxCoolSettings {
    /// Streams in a connection.
    #[serde(default)]
    pub concurrency: Option<i64>,
    /// The same for UDP.
    #[serde(default)]
    pub xudp_concurrency: Option<i64>,
    /// What happens to UDP on port 443: `reject`, `allow` or `skip`.
    #[serde(default)]
    pub xudp_proxy_443: Option<String>,
}

impl HostSecurity {
    /// All, in the API's order.
    pub const ALL: [Self; 3] = [Self::InboundDefault, Self::None, Self::Tls];

    /// The word of the API and the database.
    pub const fn word(self) -> &'static str {
        match self {
            Self::InboundDefault => "inbound_default",
            Self::None => "none",
            Self::Tls => "tls",
        }
    }

    /// From the word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|security| security.word() == word)
    }
}

impl Alpn {
    /// All, in the API's order.
    pub const ALL: [Self; 7] =
        [Self::None, Self::H2, Self::Http1, Self::H2Http1, Self::H3, Self::H3H2, Self::H3H2Http1];

    /// The word of the API and the database.
    pub const fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::H2 => "h2",
            Self::Http1 => "http/1.1",
            Self::H2Http1 => "h2,http/1.1",
            Self::H3 => "h3",
            Self::H3H2 => "h3,h2",
            Self::H3H2Http1 => "h3,h2,http/1.1",
        }
    }

    /// From the word; the empty one is none.
    pub fn from_word(word: &str) -> Option<Self> {
        if word.is_empty() {
            return Some(Self::None);
        }
        Self::ALL.into_iter().find(|alpn| alpn.word() == word)
    }

    /// One by one; empty for none.
    pub const fn protocols(self) -> &'static [&'static str] {
        match self {
            Self::None => &[],
            Self::H2 => &["h2"],
            Self::Http1 => &["http/1.1"],
            Self::H2Http1 => &["h2", "http/1.1"],
            Self::H3 => &["h3"],
            Self::H3H2 => &["h3", "h2"],
            Self::H3H2Http1 => &["h3", "h2", "http/1.1"],
        }
    }
}

impl Fingerprint {
    /// All, in the API's order.
    pub const ALL: [Self; 11] = [
        Self::None,
        Self::Chrome,
        Self::Firefox,
        Self::Safari,
        Self::Ios,
        Self::Android,
        Self::Edge,
        Self::Browser360,
        Self::Qq,
        Self::Random,
        Self::Randomized,
    ];

    /// The word of the API and the database; empty for none.
    pub const fn word(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Chrome => "chrome",
            Self::Firefox => "firefox",
            Self::Safari => "safari",
            Self::Ios => "ios",
            Self::Android => "android",
            Self::Edge => "edge",
            Self::Browser360 => "360",
            Self::Qq => "qq",
            Self::Random => "random",
            Self::Randomized => "randomized",
        }
    }

    /// From the word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|fingerprint| fingerprint.word() == word)
    }
}

impl NoiseKind {
    /// All, in the API's order.
    pub const ALL: [Self; 3] = [Self::Rand, Self::Str, Self::Base64];

    /// The word of the API and the database.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Rand => "rand",
            Self::Str => "str",
            Self::Base64 => "base64",
        }
    }
}

/// `n` or `n-m` with at most ten digits each: delays of noise and the numbers of [`XMuxSettings`].
pub fn is_range(text: &str) -> bool {
    let is_number = |part: &str| (1..=10).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
    match text.split_once('-') {
        Some((from, to)) => is_number(from) && is_number(to),
        None => is_number(text),
    }
}

/// One to 32 digits and hyphens: the length and interval of [`FragmentSettings`].
pub fn is_fragment_range(text: &str) -> bool {
    (1..=32).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-')
}

/// `tlshello` or a range: the packets of [`FragmentSettings`]. Old panels took a colon before the word.
pub fn is_fragment_packets(text: &str) -> bool {
    matches!(text, "tlshello" | ":tlshello") || is_fragment_range(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_documents_agree() {
        for value in HostSecurity::ALL {
            assert_eq!(serde_json::to_value(value).unwrap(), value.word());
            assert_eq!(HostSecurity::from_word(value.word()), Some(value));
        }
        for value in Alpn::ALL {
            assert_eq!(serde_json::to_value(value).unwrap(), value.word());
            assert_eq!(Alpn::from_word(value.word()), Some(value));
            let listed = value.protocols().join(",");
            assert_eq!(if listed.is_empty() { "none" } else { &listed }, value.word());
        }
        for value in Fingerprint::ALL {
            assert_eq!(serde_json::to_value(value).unwrap(), value.word());
            assert_eq!(Fingerprint::from_word(value.word()), Some(value));
        }
        for value in NoiseKind::ALL {
            assert_eq!(serde_json::to_value(value).unwrap(), value.word());
        }
    }

    #[test]
    fn a_document_needs_only_a_name_and_an_address() {
        let spec: HostSpec = serde_json::from_str(r#"{"remark": "a", "address": "b"}"#).unwrap();
        assert_eq!(spec, HostSpec { remark: "a".into(), address: "b".into(), ..HostSpec::default() });
        let text = serde_json::to_string(&spec).unwrap();
        assert_eq!(serde_json::from_str::<HostSpec>(&text).unwrap(), spec);
        assert!(serde_json::from_str::<HostSpec>(r#"{"remark": "a"}"#).is_err());
    }

    #[test]
    fn ranges() {
        for good in ["0", "1-2", "1234567890-1234567890"] {
            assert!(is_range(good), "{good}");
        }
        for bad in ["", "-", "1-", "-1", "1-2-3", "12345678901", "a", "１"] {
            assert!(!is_range(bad), "{bad}");
        }
        assert!(is_fragment_range("-1-2-") && !is_fragment_range("") && !is_fragment_range(&"1".repeat(33)));
        assert!(is_fragment_packets("tlshello") && is_fragment_packets("1-3") && !is_fragment_packets("hello"));
    }
}
