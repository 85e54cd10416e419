//! Proxies of Clash: flat objects with one options object for the transport.

use serde::Serialize;

use crate::domain::inbound::{Network, Protocol, Security};
use crate::subscription::entry::Entry;
use crate::subscription::transport_rules::{plain_flow, vmess_cipher};

use super::options::{Options, network};

/// One of the two programs that read Clash configurations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// The original Clash.
    Clash,
    /// Clash.Meta, now called Mihomo: it supports more protocols and transports, REALITY and fingerprints.
    Meta,
}

/// One proxy.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Proxy<'a> {
    name: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    server: &'a str,
    port: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    network: Option<&'static str>,
    #[serde(flatten)]
    options: Option<Options<'a>>,
    udp: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    servername: Option<&'a str>,
    /// The server name of protocols that always have TLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    sni: Option<&'a str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    alpn: &'static [&'static str],
    #[serde(skip_serializing_if = "Option::is_none")]
    skip_cert_verify: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_fingerprint: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reality_opts: Option<Reality<'a>>,
    #[serde(flatten)]
    credential: Credential<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Reality<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    public_key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    short_id: Option<&'a str>,
    /// The handshake has the key exchange that REALITY of Xray 26.9 and later asks for. Mihomo leaves it out unless told.
    #[serde(skip_serializing_if = "Option::is_none")]
    support_x25519mlkem768: Option<bool>,
}

/// The fingerprint of REALITY without one of its own, and the only one of Mihomo that current servers accept.
const REALITY_FINGERPRINT: &str = "chrome";

#[derive(Serialize)]
#[serde(untagged, rename_all_fields = "kebab-case")]
enum Credential<'a> {
    Vmess {
        uuid: &'a str,
        #[serde(rename = "alterId")]
        alter_id: i64,
        cipher: &'static str,
    },
    Vless {
        uuid: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        flow: Option<&'static str>,
    },
    Shadowsocks {
        cipher: &'a str,
        password: &'a str,
    },
    Trojan {
        password: &'a str,
    },
    Hysteria2 {
        password: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        obfs: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        obfs_password: Option<&'a str>,
    },
    Tuic {
        uuid: &'a str,
        password: &'a str,
    },
    Wireguard {
        private_key: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        public_key: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        ip: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        ipv6: Option<&'a str>,
        allowed_ips: Vec<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        mtu: Option<i64>,
        persistent_keepalive: i64,
    },
}

impl<'a> Proxy<'a> {
    /// The proxy of an entry, with a unique name.
    pub fn new(dialect: Dialect, entry: &'a Entry<'_>, name: &'a str) -> Self {
        let meta = dialect == Dialect::Meta;
        let layered = matches!(entry.protocol, Protocol::Vmess | Protocol::Vless | Protocol::Trojan);
        let over_quic = matches!(entry.protocol, Protocol::Hysteria2 | Protocol::Tuic);
        let secured = entry.security != Security::None && (layered || over_quic);
        let server_name = entry.sni.as_deref().filter(|_| secured);
        let has_sni = over_quic || entry.protocol == Protocol::Trojan;
        let reality = meta && layered && entry.security == Security::Reality;
        let fingerprint = entry
            .fingerprint
            .filter(|_| meta && secured && layered)
            // Mihomo supports REALITY only with a fingerprint.
            .or(reality.then_some(REALITY_FINGERPRINT));
        Self {
            name,
            kind: if entry.protocol == Protocol::Shadowsocks { "ss" } else { entry.protocol.word() },
            server: &entry.address,
            port: entry.port,
            network: network(entry).filter(|_| layered || entry.network == Network::Tcp),
            options: if layered { Options::new(entry) } else { None },
            udp: true,
            tls: (secured && layered).then_some(true),
            servername: server_name.filter(|_| !has_sni),
            sni: server_name.filter(|_| has_sni),
            alpn: if secured { entry.alpn } else { &[] },
            skip_cert_verify: (secured && entry.spec.allowinsecure).then_some(true),
            // Mihomo's QUIC has no fingerprints.
            client_fingerprint: fingerprint,
            reality_opts: reality.then_some(Reality {
                public_key: entry.reality_public_key,
                short_id: entry.reality_short_id,
                support_x25519mlkem768: (fingerprint == Some(REALITY_FINGERPRINT)).then_some(true),
            }),
            credential: Credential::new(entry),
        }
    }
}

impl<'a> Credential<'a> {
    fn new(entry: &'a Entry<'_>) -> Self {
        let (uuid, password) = (entry.uuid.as_ref(), entry.password);
        match entry.protocol {
            Protocol::Vmess => Self::Vmess { uuid, alter_id: 0, cipher: vmess_cipher(entry.security) },
            Protocol::Vless => Self::Vless { uuid, flow: plain_flow(entry.flow) },
            Protocol::Shadowsocks => Self::Shadowsocks { cipher: entry.method, password },
            Protocol::Hysteria2 => {
                Self::Hysteria2 { password, obfs: entry.header_type, obfs_password: obfs_password(entry) }
            }
            Protocol::Tuic => Self::Tuic { uuid, password },
            Protocol::Wireguard => {
                let address = entry.client_address.as_deref();
                let is_ipv6 = |address: &&str| address.contains(':');
                Self::Wireguard {
                    private_key: entry.wireguard_key,
                    public_key: entry.path.as_deref(),
                    ip: address.filter(|address| !is_ipv6(address)),
                    ipv6: address.filter(is_ipv6),
                    allowed_ips: entry.allowed_ips(),
                    mtu: entry.spec.mtu,
                    persistent_keepalive: 25,
                }
            }
            // `supports` excludes ShadowTLS.
            Protocol::Trojan | Protocol::Shadowtls => Self::Trojan { password },
        }
    }
}

/// The password of the obfuscation, which stands in the place of the path.
fn obfs_password<'a>(entry: &'a Entry<'_>) -> Option<&'a str> {
    entry.path.as_deref().filter(|_| entry.header_type.is_some())
}
