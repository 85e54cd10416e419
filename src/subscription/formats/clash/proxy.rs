//! Proxies of Clash: flat objects with one options object for the transport.

use serde::Serialize;

use crate::domain::host::Ech;
use crate::domain::inbound::{Network, Protocol, Security};
use crate::subscription::entry::Entry;

use super::credential::Credential;
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
    /// The SHA-256 of the only certificate that is accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    fingerprint: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ech_opts: Option<EchOptions<'a>>,
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
#[serde(rename_all = "kebab-case")]
struct EchOptions<'a> {
    enable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    config: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    query_server_name: Option<&'a str>,
}

impl<'a> Proxy<'a> {
    /// The proxy of an entry, with a unique name.
    pub fn new(dialect: Dialect, entry: &'a Entry<'_>, name: &'a str) -> Self {
        let meta = dialect == Dialect::Meta;
        let layered = matches!(entry.protocol, Protocol::Vmess | Protocol::Vless | Protocol::Trojan);
        let over_quic = matches!(entry.protocol, Protocol::Hysteria2 | Protocol::Tuic);
        let anytls = entry.protocol == Protocol::Anytls;
        let secured = entry.security != Security::None && (layered || over_quic || anytls);
        let server_name = entry.sni.as_deref().filter(|_| secured);
        let has_sni = over_quic || anytls || entry.protocol == Protocol::Trojan;
        let reality = meta && layered && entry.security == Security::Reality;
        let fingerprint = entry
            .fingerprint
            .filter(|_| meta && secured && !over_quic)
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
            skip_cert_verify: (secured && entry.spec.allowinsecure && !entry.core.is_pinned()).then_some(true),
            // Mihomo's QUIC has no fingerprints.
            client_fingerprint: fingerprint,
            reality_opts: reality.then_some(Reality {
                public_key: entry.reality_public_key,
                short_id: entry.reality_short_id,
                support_x25519mlkem768: (fingerprint == Some(REALITY_FINGERPRINT)).then_some(true),
            }),
            fingerprint: entry.core.pin(),
            ech_opts: entry.core.ech().map(EchOptions::new),
            credential: Credential::new(entry),
        }
    }
}

impl<'a> EchOptions<'a> {
    const fn new(ech: Ech<'a>) -> Self {
        let (config, query_server_name) = match ech {
            Ech::List(list) => (Some(list), None),
            Ech::Lookup(name) => (None, name),
        };
        Self { enable: true, config, query_server_name }
    }
}
