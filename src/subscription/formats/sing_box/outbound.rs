//! Outbounds of sing-box: flat objects for all protocols.

use serde::Serialize;

use crate::domain::host::HostSpec;
use crate::domain::inbound::{Protocol, Security};
use crate::subscription::entry::Entry;
use crate::subscription::transport_rules::{plain_flow, vmess_cipher};

use super::release::Release;
use super::tls::Tls;
use super::transport::Transport;

/// One outbound.
#[derive(Serialize)]
pub struct Outbound<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    tag: &'a str,
    server: &'a str,
    server_port: u16,
    #[serde(flatten)]
    credential: Credential<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    transport: Option<Transport<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls: Option<Tls<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    multiplex: Option<Multiplex<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detour: Option<&'a str>,
}

/// The fields of one protocol.
#[derive(Serialize)]
#[serde(untagged)]
enum Credential<'a> {
    Vmess {
        uuid: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        security: Option<&'static str>,
    },
    Vless {
        uuid: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        flow: Option<&'a str>,
    },
    /// Trojan and AnyTLS.
    Trojan {
        password: &'a str,
    },
    Shadowsocks {
        method: &'a str,
        password: &'a str,
    },
    Hysteria2 {
        password: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        obfs: Option<Obfs<'a>>,
        /// Ranges with a colon; the single port is ignored then.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        server_ports: Vec<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        hop_interval: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        up_mbps: Option<i64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        down_mbps: Option<i64>,
    },
    Tuic {
        uuid: &'a str,
        password: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        congestion_control: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        udp_relay_mode: Option<&'a str>,
    },
    Shadowtls {
        #[serde(skip_serializing_if = "Option::is_none")]
        version: Option<i64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        password: Option<&'a str>,
    },
    Wireguard {
        private_key: &'a str,
        local_address: Vec<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        mtu: Option<i64>,
        peers: [Peer<'a>; 1],
    },
}

#[derive(Serialize)]
struct Obfs<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    password: Option<&'a str>,
}

#[derive(Serialize)]
struct Peer<'a> {
    server: &'a str,
    #[serde(flatten)]
    port: PeerPort,
    #[serde(skip_serializing_if = "Option::is_none")]
    public_key: Option<&'a str>,
    allowed_ips: &'a [String],
}

#[derive(Serialize)]
enum PeerPort {
    /// The name that sing-box reads.
    #[serde(rename = "server_port")]
    Documented(u16),
    /// The name that the old panel rendered, for clients that do not name sing-box.
    #[serde(rename = "port")]
    Recorded(u16),
}

/// A WireGuard interface with its peer, listed beside the outbounds (sing-box 1.11 and later).
#[derive(Serialize)]
pub struct Endpoint<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    tag: &'a str,
    address: Vec<&'a str>,
    private_key: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    mtu: Option<i64>,
    peers: [EndpointPeer<'a>; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    detour: Option<&'a str>,
}

#[derive(Serialize)]
struct EndpointPeer<'a> {
    address: &'a str,
    port: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    public_key: Option<&'a str>,
    allowed_ips: &'a [String],
    persistent_keepalive_interval: i64,
}

#[derive(Serialize)]
struct Multiplex<'a> {
    enabled: bool,
    protocol: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_connections: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    min_streams: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_streams: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    padding: Option<bool>,
}

impl<'a> Outbound<'a> {
    /// The outbound of an entry that dials through the outbound with the tag `detour`.
    pub fn new(entry: &'a Entry<'_>, tag: &'a str, detour: Option<&'a str>, release: Release) -> Self {
        let layered = matches!(entry.protocol, Protocol::Vmess | Protocol::Vless | Protocol::Trojan);
        let secured = !matches!(entry.protocol, Protocol::Shadowsocks | Protocol::Wireguard);
        Self {
            kind: entry.protocol.word(),
            tag,
            server: &entry.address,
            server_port: entry.port,
            credential: Credential::new(entry, release),
            transport: layered.then(|| Transport::new(entry)).flatten(),
            tls: (secured && entry.security != Security::None).then(|| Tls::new(entry, release)),
            multiplex: multiplex(entry.spec).filter(|_| layered || entry.protocol == Protocol::Shadowsocks),
            detour,
        }
    }
}

impl<'a> Endpoint<'a> {
    /// The endpoint of a WireGuard entry that dials through the outbound with the tag `detour`.
    pub fn new(entry: &'a Entry<'_>, tag: &'a str, detour: Option<&'a str>) -> Self {
        Self {
            kind: entry.protocol.word(),
            tag,
            address: entry.client_address.as_deref().into_iter().collect(),
            private_key: entry.wireguard_key,
            mtu: entry.spec.mtu,
            peers: [EndpointPeer {
                address: &entry.address,
                port: entry.port,
                public_key: entry.path.as_deref(),
                allowed_ips: entry.allowed_ips,
                persistent_keepalive_interval: 25,
            }],
            detour,
        }
    }
}

impl<'a> Credential<'a> {
    fn new(entry: &'a Entry<'_>, release: Release) -> Self {
        let (uuid, password) = (entry.uuid, entry.password);
        match entry.protocol {
            Protocol::Vmess => {
                Self::Vmess { uuid, security: Some(vmess_cipher(entry.security)).filter(|cipher| *cipher != "auto") }
            }
            Protocol::Vless => Self::Vless { uuid, flow: plain_flow(entry.flow) },
            Protocol::Trojan | Protocol::Anytls => Self::Trojan { password },
            Protocol::Shadowsocks => Self::Shadowsocks { method: entry.method, password },
            Protocol::Hysteria2 => Self::Hysteria2 {
                password,
                obfs: entry.header_type.map(|kind| Obfs { kind, password: entry.path.as_deref() }),
                server_ports: entry.core.port_ranges().iter().map(|(from, to)| format!("{from}:{to}")).collect(),
                hop_interval: entry.core.hop_interval.map(|seconds| format!("{seconds}s")),
                up_mbps: entry.core.up_mbps,
                down_mbps: entry.core.down_mbps,
            },
            Protocol::Tuic => Self::Tuic {
                uuid,
                password,
                congestion_control: entry.core.congestion_control.as_deref(),
                udp_relay_mode: entry.core.udp_relay_mode.as_deref(),
            },
            Protocol::Shadowtls => Self::Shadowtls {
                version: entry.shadowtls_version,
                password: matches!(entry.shadowtls_version, Some(2 | 3)).then_some(password),
            },
            Protocol::Wireguard => Self::Wireguard {
                private_key: entry.wireguard_key,
                local_address: entry.client_address.as_deref().into_iter().collect(),
                mtu: entry.spec.mtu,
                peers: [Peer {
                    server: &entry.address,
                    port: match release {
                        Release::Unknown => PeerPort::Recorded(entry.port),
                        Release::Old | Release::Current => PeerPort::Documented(entry.port),
                    },
                    public_key: entry.path.as_deref(),
                    allowed_ips: entry.allowed_ips,
                }],
            },
        }
    }
}

fn multiplex(spec: &HostSpec) -> Option<Multiplex<'_>> {
    let asked = spec.mux_settings.as_ref().filter(|mux| matches!(mux.protocol.as_str(), "h2mux" | "yamux" | "smux"))?;
    let settings = asked.sing_box_mux_settings.as_ref();
    Some(Multiplex {
        enabled: true,
        protocol: &asked.protocol,
        max_connections: settings.and_then(|mux| mux.max_connections),
        min_streams: settings.and_then(|mux| mux.min_streams),
        max_streams: settings.and_then(|mux| mux.max_streams),
        padding: settings.and_then(|mux| mux.padding),
    })
}
