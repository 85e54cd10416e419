//! Transports of Clash and Mihomo: an object of options beside the name of the network.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::domain::inbound::{Network, Security};
use crate::subscription::entry::Entry;
use crate::subscription::formats::xhttp::{self, Xhttp};

type TextByName<'a> = BTreeMap<&'a str, &'a str>;

/// The options of one transport.
#[derive(Serialize)]
pub enum Options<'a> {
    /// HTTP/1.1 requests around TCP.
    #[serde(rename = "http-opts")]
    Http {
        method: &'static str,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        path: Vec<&'a str>,
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        headers: BTreeMap<&'a str, [&'a str; 1]>,
    },
    /// WebSocket; in Mihomo also HTTPUpgrade.
    #[serde(rename = "ws-opts", rename_all = "kebab-case")]
    Ws {
        #[serde(skip_serializing_if = "Option::is_none")]
        path: Option<&'a str>,
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        headers: TextByName<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        max_early_data: Option<u32>,
        #[serde(skip_serializing_if = "Option::is_none")]
        early_data_header_name: Option<&'static str>,
        #[serde(rename = "v2ray-http-upgrade", skip_serializing_if = "Option::is_none")]
        http_upgrade: Option<bool>,
    },
    /// gRPC.
    #[serde(rename = "grpc-opts", rename_all = "kebab-case")]
    Grpc { grpc_service_name: &'a str },
    /// HTTP/2.
    #[serde(rename = "h2-opts")]
    H2 {
        #[serde(skip_serializing_if = "Option::is_none")]
        path: Option<&'a str>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        host: Vec<&'a str>,
    },
    /// mKCP (Mihomo).
    #[serde(rename = "mkcp-opts")]
    Kcp {
        #[serde(skip_serializing_if = "Option::is_none")]
        seed: Option<&'a str>,
    },
    /// XHTTP (Mihomo).
    #[serde(rename = "xhttp-opts", rename_all = "kebab-case")]
    Xhttp {
        #[serde(skip_serializing_if = "Option::is_none")]
        path: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        host: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        mode: Option<&'a str>,
        /// All other settings.
        #[serde(flatten)]
        others: Option<&'a Map<String, Value>>,
    },
}

impl<'a> Options<'a> {
    /// The options of an entry; `None`: the transport needs none.
    pub fn new(entry: &'a Entry<'_>) -> Option<Self> {
        let (path, host) = (entry.path.as_deref(), entry.host.as_deref());
        let host_header = host.map(|host| ("Host", host));
        let is_bare = path.is_none() && host.is_none() && entry.headers.is_empty();
        Some(match entry.network {
            Network::Tcp | Network::Http if is_http(entry) => Self::Http {
                method: "GET",
                path: path.into_iter().collect(),
                headers: entry.headers().chain(host_header).map(|(name, value)| (name, [value])).collect(),
            },
            Network::Ws | Network::HttpUpgrade => {
                let http_upgrade = (entry.network == Network::HttpUpgrade).then_some(true);
                if is_bare && entry.early_data.is_none() && http_upgrade.is_none() {
                    return None;
                }
                // HTTPUpgrade has no early data of this kind.
                let early_data = entry.early_data.filter(|_| http_upgrade.is_none());
                Self::Ws {
                    path,
                    headers: entry.headers().chain(host_header).collect(),
                    max_early_data: early_data,
                    early_data_header_name: early_data.map(|_| "Sec-WebSocket-Protocol"),
                    http_upgrade,
                }
            }
            Network::Grpc => Self::Grpc { grpc_service_name: path? },
            Network::Http | Network::H2 if !is_bare => Self::H2 { path, host: host.into_iter().collect() },
            Network::Kcp => Self::Kcp { seed: path },
            Network::SplitHttp => {
                // `refusals` excludes what Mihomo does not know.
                let others = entry.xhttp.map(Xhttp::mihomo);
                Self::Xhttp { path, host, mode: xhttp::mode(entry.spec.splithttp_settings.as_ref()), others }
            }
            _ => return None,
        })
    }
}

/// The name of the network. Xray's `http` with TLS is HTTP/2, which Clash calls `h2`.
pub fn network(entry: &Entry<'_>) -> Option<&'static str> {
    Some(match entry.network {
        Network::Unset | Network::Quic => return None,
        Network::Tcp | Network::Http if is_http(entry) => "http",
        Network::Tcp => "tcp",
        Network::Ws | Network::HttpUpgrade => "ws",
        Network::Grpc => "grpc",
        Network::Http | Network::H2 => "h2",
        Network::Kcp => "kcp",
        Network::SplitHttp => "xhttp",
    })
}

/// True for TCP with HTTP/1.1 requests around it, also by its name without TLS.
pub fn is_http(entry: &Entry<'_>) -> bool {
    match entry.network {
        Network::Tcp => entry.header_type == Some("http"),
        Network::Http => entry.security == Security::None,
        _ => false,
    }
}
