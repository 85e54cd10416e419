//! Proxies of Clash: flat objects with one options object for the transport.

use serde::Serialize;

use crate::domain::inbound::{Network, Protocol, Security};
use crate::subscription::entry::Entry;

/// One of the two programs that read Clash configurations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// The original Clash.
    Clash,
    /// Clash.Meta, now called Mihomo: it supports VLESS, REALITY and fingerprints.
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
    port: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    network: Option<&'static str>,
    #[serde(flatten)]
    options: Option<Options<'a>>,
    udp: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    servername: Option<&'a str>,
    /// The server name of Trojan.
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
enum Options<'a> {
    #[serde(rename = "tcp-opts")]
    Tcp(Http<'a>),
    #[serde(rename = "http-opts")]
    Http(Http<'a>),
    #[serde(rename = "ws-opts")]
    Ws {
        #[serde(skip_serializing_if = "Option::is_none")]
        path: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        headers: Option<Host<'a>>,
    },
    #[serde(rename = "grpc-opts", rename_all = "kebab-case")]
    Grpc { grpc_service_name: &'a str },
    #[serde(rename = "h2-opts")]
    H2 {
        #[serde(skip_serializing_if = "Option::is_none")]
        path: Option<&'a str>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        host: Vec<&'a str>,
    },
}

#[derive(Serialize)]
struct Http<'a> {
    method: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    path: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    headers: Option<Host<'a>>,
}

#[derive(Serialize)]
struct Host<'a> {
    #[serde(rename = "Host")]
    host: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Reality<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    public_key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    short_id: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(untagged)]
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
        flow: Option<&'a str>,
    },
    Shadowsocks {
        cipher: &'a str,
        password: &'a str,
    },
    Trojan {
        password: &'a str,
    },
}

impl<'a> Proxy<'a> {
    /// The proxy of an entry, with a unique name.
    pub fn new(dialect: Dialect, entry: &'a Entry<'_>, name: &'a str) -> Self {
        let meta = dialect == Dialect::Meta;
        let trojan = entry.protocol == Protocol::Trojan;
        // Shadowsocks has no TLS of its own.
        let secured = entry.security != Security::None && entry.protocol != Protocol::Shadowsocks;
        let server_name = entry.sni.as_deref().filter(|_| secured);
        let kind = if entry.protocol == Protocol::Shadowsocks { "ss" } else { entry.protocol.word() };
        Self {
            name,
            kind,
            server: &entry.address,
            port: entry.port,
            network: (entry.network != Network::Unset).then(|| entry.network.word()),
            options: Options::new(entry),
            udp: true,
            tls: secured.then_some(true),
            servername: server_name.filter(|_| !trojan),
            sni: server_name.filter(|_| trojan),
            alpn: if secured { entry.alpn.protocols() } else { &[] },
            skip_cert_verify: (secured && entry.spec.allowinsecure).then_some(true),
            client_fingerprint: entry.fingerprint.filter(|_| meta && secured),
            reality_opts: (meta && entry.security == Security::Reality && secured)
                .then_some(Reality { public_key: entry.reality_public_key, short_id: entry.reality_short_id }),
            credential: Credential::new(entry),
        }
    }
}

impl<'a> Options<'a> {
    fn new(entry: &'a Entry<'_>) -> Option<Self> {
        let (path, host) = (entry.path.as_deref(), entry.host.as_deref());
        let headers = host.map(|host| Host { host });
        if entry.network != Network::Grpc && path.is_none() && host.is_none() {
            return None;
        }
        let http = |headers| Http { method: "GET", path: path.into_iter().collect(), headers };
        Some(match entry.network {
            Network::Tcp => Self::Tcp(http(headers)),
            Network::Http => Self::Http(http(headers)),
            Network::Ws => Self::Ws { path, headers },
            Network::Grpc => Self::Grpc { grpc_service_name: path? },
            Network::H2 => Self::H2 { path, host: host.into_iter().collect() },
            _ => return None,
        })
    }
}

impl<'a> Credential<'a> {
    fn new(entry: &'a Entry<'_>) -> Self {
        let (uuid, password) = (entry.uuid, entry.password);
        match entry.protocol {
            Protocol::Vmess => Self::Vmess { uuid, alter_id: 0, cipher: "auto" },
            Protocol::Vless => {
                let plain_tcp = entry.network == Network::Tcp && entry.header_type != Some("http");
                Self::Vless { uuid, flow: entry.flow.filter(|_| plain_tcp) }
            }
            Protocol::Shadowsocks => Self::Shadowsocks { cipher: entry.method, password },
            // `supports` excludes the other protocols.
            _ => Self::Trojan { password },
        }
    }
}
