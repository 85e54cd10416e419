//! Stream settings of Xray: the transport and its TLS.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value};

use super::finalmask::{self, header_type};
use crate::domain::inbound::{Network, Protocol, Security};
use crate::subscription::early_data;
use crate::subscription::entry::Entry;
use crate::subscription::formats::xhttp::{self, Headers};

/// Transport, TLS and the outbound to dial through.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Stream<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    network: Option<&'static str>,
    #[serde(flatten)]
    transport: Option<Transport<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    security: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_settings: Option<Tls<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reality_settings: Option<Reality<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    finalmask: Option<Cow<'a, Map<String, Value>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sockopt: Option<Sockopt<'a>>,
}

#[derive(Serialize)]
enum Transport<'a> {
    #[serde(rename = "tcpSettings")]
    Tcp { header: TcpHeader<'a> },
    #[serde(rename = "kcpSettings")]
    Kcp {
        #[serde(skip_serializing_if = "Option::is_none")]
        header: Option<Kind<'a>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        seed: Option<&'a str>,
    },
    #[serde(rename = "hysteriaSettings")]
    Hysteria { version: u8, auth: &'a str },
    #[serde(rename = "wsSettings")]
    Ws(Upgrade<'a>),
    #[serde(rename = "httpupgradeSettings")]
    HttpUpgrade(Upgrade<'a>),
    #[serde(rename = "httpSettings")]
    Http {
        #[serde(skip_serializing_if = "Option::is_none")]
        path: Option<&'a str>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        host: Vec<&'a str>,
    },
    #[serde(rename = "quicSettings")]
    Quic {
        #[serde(skip_serializing_if = "Option::is_none")]
        security: Option<&'a str>,
        header: Kind<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        key: Option<&'a str>,
    },
    #[serde(rename = "grpcSettings", rename_all = "camelCase")]
    Grpc {
        #[serde(skip_serializing_if = "Option::is_none")]
        service_name: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        authority: Option<&'a str>,
    },
    #[serde(rename = "splithttpSettings")]
    SplitHttp {
        #[serde(skip_serializing_if = "Option::is_none")]
        path: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        host: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        mode: Option<&'a str>,
        #[serde(flatten)]
        settings: xhttp::Settings<'a>,
    },
}

#[derive(Serialize)]
struct Kind<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
}

#[derive(Serialize)]
struct TcpHeader<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<HttpRequest<'a>>,
}

#[derive(Serialize)]
struct HttpRequest<'a> {
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    headers: BTreeMap<&'a str, [&'a str; 1]>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    path: Vec<&'a str>,
}

#[derive(Serialize)]
struct Upgrade<'a> {
    #[serde(skip_serializing_if = "Headers::is_empty")]
    headers: Headers<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Tls<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    server_name: Option<&'a str>,
    allow_insecure: bool,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    alpn: &'static [&'static str],
    #[serde(skip_serializing_if = "Option::is_none")]
    fingerprint: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pinned_peer_cert_sha256: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ech_config_list: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Reality<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    server_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fingerprint: Option<&'a str>,
    show: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    public_key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    short_id: Option<&'a str>,
    spider_x: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    mldsa65_verify: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Sockopt<'a> {
    dialer_proxy: &'a str,
}

impl<'a> Stream<'a> {
    /// The settings of an entry that dials through the outbound with the tag `through`; `None` when they are empty.
    pub fn new(entry: &'a Entry<'_>, through: Option<&'a str>, knows_masks: bool) -> Option<Self> {
        let sockopt = through.map(|dialer_proxy| Sockopt { dialer_proxy });
        let bare = Self {
            network: None,
            transport: None,
            security: None,
            tls_settings: None,
            reality_settings: None,
            finalmask: if knows_masks || entry.core.finalmask.is_some() { finalmask::of(entry) } else { None },
            sockopt,
        };
        let Some(transport) = Transport::new(entry, bare.finalmask.is_some()) else {
            return (bare.sockopt.is_some() || bare.finalmask.is_some()).then_some(bare);
        };
        Some(Self {
            network: Some(if entry.protocol == Protocol::Hysteria2 { "hysteria" } else { entry.network.word() }),
            transport: Some(transport),
            security: Some(entry.security.word()),
            tls_settings: (entry.security == Security::Tls).then(|| Tls::new(entry)),
            reality_settings: (entry.security == Security::Reality).then(|| Reality::new(entry)),
            ..bare
        })
    }
}

impl<'a> Transport<'a> {
    /// `None` without a network, which only entries without TLS have.
    /// `masked`: header and seed stand elsewhere.
    fn new(entry: &'a Entry<'_>, masked: bool) -> Option<Self> {
        match entry.protocol {
            Protocol::Wireguard => return None,
            Protocol::Hysteria2 => return Some(Self::Hysteria { version: 2, auth: entry.password }),
            _ => {}
        }
        let (path, host) = (entry.path.as_deref(), entry.host.as_deref());
        let kind = || Kind { kind: entry.header_type.unwrap_or("none") };
        let upgrade =
            || Upgrade { headers: Headers(entry.headers), path: early_data::in_path(path, entry.early_data), host };
        Some(match entry.network {
            Network::Unset | Network::H2 => return None,
            Network::Tcp => Self::Tcp { header: TcpHeader::new(entry) },
            // Some versions refuse the header that means none.
            Network::Kcp => Self::Kcp {
                header: header_type(entry).filter(|_| !masked).map(|kind| Kind { kind }),
                seed: path.filter(|_| !masked),
            },
            Network::Ws => Self::Ws(upgrade()),
            Network::HttpUpgrade => Self::HttpUpgrade(upgrade()),
            Network::Http => Self::Http { path, host: host.into_iter().collect() },
            Network::Quic => Self::Quic { security: host, header: kind(), key: path },
            Network::Grpc => Self::Grpc { service_name: path, authority: host },
            Network::SplitHttp => Self::SplitHttp {
                path,
                host,
                mode: xhttp::mode(entry.spec.splithttp_settings.as_ref()),
                settings: entry.xhttp_settings(),
            },
        })
    }
}

impl<'a> TcpHeader<'a> {
    fn new(entry: &'a Entry<'_>) -> Self {
        if entry.header_type != Some("http") {
            return Self { kind: "none", request: None };
        }
        let host = entry.host.as_deref().map(|host| ("Host", host));
        let headers = entry.headers().chain(host).map(|(name, value)| (name, [value])).collect();
        Self { kind: "http", request: Some(HttpRequest { headers, path: entry.path.as_deref().into_iter().collect() }) }
    }
}

impl<'a> Tls<'a> {
    fn new(entry: &'a Entry<'_>) -> Self {
        Self {
            server_name: entry.sni.as_deref(),
            // New versions refuse both together.
            allow_insecure: entry.spec.allowinsecure && !entry.core.is_pinned(),
            // Hysteria 2 is HTTP/3.
            alpn: if entry.protocol == Protocol::Hysteria2 { &["h3"] } else { entry.alpn },
            fingerprint: entry.fingerprint,
            pinned_peer_cert_sha256: entry.core.pin(),
            ech_config_list: entry.core.ech_config_list.as_deref(),
        }
    }
}

impl<'a> Reality<'a> {
    fn new(entry: &'a Entry<'_>) -> Self {
        Self {
            server_name: entry.sni.as_deref(),
            fingerprint: entry.fingerprint,
            show: false,
            public_key: entry.reality_public_key,
            short_id: entry.reality_short_id,
            spider_x: entry.core.spider_x.as_deref().unwrap_or_default(),
            mldsa65_verify: entry.core.mldsa65_verify.as_deref(),
        }
    }
}
