//! Outbounds of Xray: the server with its protocol, and the helpers that split packets or send noise.

use serde::Serialize;

use crate::domain::host::{FragmentSettings, HostSpec, Noise};
use crate::domain::inbound::Protocol;
use crate::subscription::entry::Entry;
use crate::subscription::transport_rules::vmess_cipher;

use super::stream::Stream;

/// One outbound.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Outbound<'a> {
    tag: &'a str,
    protocol: &'static str,
    settings: Settings<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_settings: Option<Stream<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mux: Option<Mux<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
enum Settings<'a> {
    Vnext([Vnext<'a>; 1]),
    Servers([Server<'a>; 1]),
    #[serde(untagged)]
    Hysteria(Hysteria<'a>),
    #[serde(untagged)]
    Wireguard(Wireguard<'a>),
    #[serde(untagged)]
    Freedom(Freedom<'a>),
}

#[derive(Serialize)]
struct Vnext<'a> {
    address: &'a str,
    port: u16,
    users: [VnextUser<'a>; 1],
}

#[derive(Serialize)]
struct VnextUser<'a> {
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    security: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    encryption: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    flow: Option<&'a str>,
}

#[derive(Serialize)]
struct Server<'a> {
    address: &'a str,
    port: u16,
    password: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uot: Option<bool>,
}

/// The server; the password stands with the transport.
#[derive(Serialize)]
struct Hysteria<'a> {
    version: u8,
    address: &'a str,
    port: u16,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Wireguard<'a> {
    secret_key: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    address: Vec<&'a str>,
    peers: [Peer<'a>; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    mtu: Option<i64>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Peer<'a> {
    endpoint: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    public_key: Option<&'a str>,
    #[serde(rename = "allowedIPs")]
    allowed_ips: &'a [String],
    keep_alive: i64,
}

#[derive(Serialize)]
struct Freedom<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    fragment: Option<Fragment<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    noises: Option<&'a [Noise]>,
}

#[derive(Serialize)]
struct Fragment<'a> {
    packets: &'a str,
    length: &'a str,
    interval: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Mux<'a> {
    enabled: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    concurrency: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    xudp_concurrency: Option<i64>,
    #[serde(rename = "xudpProxyUDP443", skip_serializing_if = "Option::is_none")]
    xudp_proxy_443: Option<&'a str>,
}

/// An outbound that the entry dials through and that changes its packets.
pub enum Helper<'a> {
    /// Splits packets.
    Fragment(&'a FragmentSettings),
    /// Sends noise first.
    Noise(&'a [Noise]),
}

impl<'a> Outbound<'a> {
    /// The outbound of an entry that dials through the outbound with the tag `through`.
    /// `knows_masks`: the client knows `finalmask`.
    pub fn new(entry: &'a Entry<'_>, tag: &'a str, through: Option<&'a str>, knows_masks: bool) -> Self {
        Self {
            tag,
            protocol: if entry.protocol == Protocol::Hysteria2 { "hysteria" } else { entry.protocol.word() },
            settings: Settings::new(entry),
            stream_settings: Stream::new(entry, through, knows_masks),
            mux: mux(entry.spec),
        }
    }
}

impl<'a> Settings<'a> {
    fn new(entry: &'a Entry<'_>) -> Self {
        let server =
            Server { address: &entry.address, port: entry.port, password: entry.password, method: None, uot: None };
        let vnext = |user| Self::Vnext([Vnext { address: &entry.address, port: entry.port, users: [user] }]);
        let user = VnextUser { id: entry.uuid, security: None, encryption: None, flow: None };
        match entry.protocol {
            Protocol::Vmess => vnext(VnextUser { security: Some(vmess_cipher(entry.security)), ..user }),
            Protocol::Vless => vnext(VnextUser {
                encryption: Some(entry.core.encryption.as_deref().unwrap_or("none")),
                flow: entry.flow,
                ..user
            }),
            Protocol::Shadowsocks => Self::Servers([Server { method: Some(entry.method), uot: Some(false), ..server }]),
            Protocol::Hysteria2 => Self::Hysteria(Hysteria { version: 2, address: &entry.address, port: entry.port }),
            Protocol::Wireguard => Self::Wireguard(Wireguard {
                secret_key: entry.wireguard_key,
                address: entry.client_address.as_deref().into_iter().collect(),
                peers: [Peer {
                    endpoint: format!("{}:{}", entry.bracketed_address(), entry.port),
                    public_key: entry.path.as_deref(),
                    allowed_ips: entry.allowed_ips,
                    keep_alive: 25,
                }],
                mtu: entry.spec.mtu,
            }),
            // `supports` excludes the other protocols.
            Protocol::Trojan | Protocol::Tuic | Protocol::Shadowtls | Protocol::Anytls => Self::Servers([server]),
        }
    }
}

impl<'a> Helper<'a> {
    /// The helper that a host asks for.
    pub fn new(spec: &'a HostSpec) -> Option<Self> {
        let fragment = spec.fragment.as_ref().map(Self::Fragment);
        fragment.or_else(|| spec.noise.as_deref().filter(|noise| !noise.is_empty()).map(Self::Noise))
    }

    /// The tag of its outbound.
    pub const fn tag(&self) -> &'static str {
        match self {
            Self::Fragment(_) => "fragment_out",
            Self::Noise(_) => "noisy_out",
        }
    }

    /// Its outbound.
    pub fn outbound(&self) -> Outbound<'a> {
        let settings = match *self {
            Self::Fragment(FragmentSettings { packets, length, interval }) => {
                // Older panels stored a colon before the word.
                let packets = packets.trim_start_matches(':');
                Freedom { fragment: Some(Fragment { packets, length, interval }), noises: None }
            }
            Self::Noise(noises) => Freedom { fragment: None, noises: Some(noises) },
        };
        Outbound {
            tag: self.tag(),
            protocol: "freedom",
            settings: Settings::Freedom(settings),
            stream_settings: None,
            mux: None,
        }
    }
}

fn mux(spec: &HostSpec) -> Option<Mux<'_>> {
    let asked = spec.mux_settings.as_ref().filter(|mux| mux.protocol == "mux_cool")?;
    let settings = asked.mux_cool_settings.as_ref();
    Some(Mux {
        enabled: true,
        concurrency: settings.and_then(|mux| mux.concurrency),
        xudp_concurrency: settings.and_then(|mux| mux.xudp_concurrency),
        xudp_proxy_443: settings.and_then(|mux| mux.xudp_proxy_443.as_deref()).filter(|word| !word.is_empty()),
    })
}
