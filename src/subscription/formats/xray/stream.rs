//! Stream settings of Xray: the transport and its TLS.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Serialize;

use crate::domain::inbound::{Network, Protocol, Security};
use crate::subscription::entry::Entry;
use crate::subscription::formats::early_data;
use crate::subscription::formats::xmux::XMux;

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
    sockopt: Option<Sockopt<'a>>,
}

#[derive(Serialize)]
enum Transport<'a> {
    #[serde(rename = "tcpSettings")]
    Tcp { header: TcpHeader<'a> },
    #[serde(rename = "kcpSettings")]
    Kcp {
        header: Kind<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        seed: Option<&'a str>,
    },
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
        headers: Option<&'a BTreeMap<String, String>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        mode: Option<&'a str>,
        #[serde(rename = "noGRPCHeader", skip_serializing_if = "Option::is_none")]
        no_grpc_header: Option<bool>,
        #[serde(skip_serializing_if = "Option::is_none")]
        xmux: Option<XMux<'a>>,
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
    headers: HostHeader<'a>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    path: Vec<&'a str>,
}

#[derive(Serialize)]
struct HostHeader<'a> {
    #[serde(rename = "Host", skip_serializing_if = "Vec::is_empty")]
    host: Vec<&'a str>,
}

#[derive(Serialize)]
struct Upgrade<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    headers: Option<&'a BTreeMap<String, String>>,
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
    alpn: &'static [&'static str],
    #[serde(skip_serializing_if = "Option::is_none")]
    fingerprint: Option<&'a str>,
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
    spider_x: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Sockopt<'a> {
    dialer_proxy: &'a str,
}

impl<'a> Stream<'a> {
    /// The settings of an entry that dials through the outbound with the tag `through`; `None` when they are empty.
    pub fn new(entry: &'a Entry<'_>, through: Option<&'a str>) -> Option<Self> {
        let sockopt = through.map(|dialer_proxy| Sockopt { dialer_proxy });
        let bare = Self {
            network: None,
            transport: None,
            security: None,
            tls_settings: None,
            reality_settings: None,
            sockopt,
        };
        let Some(transport) = Transport::new(entry) else {
            return bare.sockopt.is_some().then_some(bare);
        };
        Some(Self {
            network: Some(entry.network.word()),
            transport: Some(transport),
            security: Some(entry.security.word()),
            tls_settings: (entry.security == Security::Tls).then(|| Tls::new(entry)),
            reality_settings: (entry.security == Security::Reality).then(|| Reality::new(entry)),
            ..bare
        })
    }
}

impl<'a> Transport<'a> {
    /// `None` without a network: then TLS settings are left out as well, and Xray dials plain TCP.
    fn new(entry: &'a Entry<'_>) -> Option<Self> {
        if entry.protocol == Protocol::Wireguard {
            return None;
        }
        let (path, host) = (entry.path.as_deref(), entry.host.as_deref());
        let headers = entry.spec.http_headers.as_ref().filter(|headers| !headers.is_empty());
        let kind = || Kind { kind: entry.header_type.unwrap_or("none") };
        let upgrade = || Upgrade { headers, path: early_data::in_path(path, entry.spec.early_data), host };
        Some(match entry.network {
            Network::Unset | Network::H2 => return None,
            Network::Tcp => Self::Tcp { header: TcpHeader::new(entry) },
            Network::Kcp => Self::Kcp { header: kind(), seed: path },
            Network::Ws => Self::Ws(upgrade()),
            Network::HttpUpgrade => Self::HttpUpgrade(upgrade()),
            Network::Http => Self::Http { path, host: host.into_iter().collect() },
            Network::Quic => Self::Quic { security: host, header: kind(), key: path },
            Network::Grpc => Self::Grpc { service_name: path, authority: host },
            Network::SplitHttp => {
                let settings = entry.spec.splithttp_settings.as_ref();
                Self::SplitHttp {
                    path,
                    host,
                    headers,
                    mode: settings.and_then(|settings| settings.mode.as_deref()),
                    no_grpc_header: settings.and_then(|settings| settings.no_grpc_header),
                    xmux: settings.and_then(|settings| settings.xmux.as_ref()).map(XMux::new),
                }
            }
        })
    }
}

impl<'a> TcpHeader<'a> {
    fn new(entry: &'a Entry<'_>) -> Self {
        if entry.header_type != Some("http") {
            return Self { kind: "none", request: None };
        }
        let headers = HostHeader { host: entry.host.as_deref().into_iter().collect() };
        Self { kind: "http", request: Some(HttpRequest { headers, path: entry.path.as_deref().into_iter().collect() }) }
    }
}

impl<'a> Tls<'a> {
    fn new(entry: &'a Entry<'_>) -> Self {
        let alpn = entry.alpn.protocols();
        Self {
            server_name: entry.sni.as_deref(),
            allow_insecure: entry.spec.allowinsecure,
            alpn: if alpn.is_empty() { &["h2", "http/1.1"] } else { alpn },
            fingerprint: entry.fingerprint,
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
            spider_x: "",
        }
    }
}
