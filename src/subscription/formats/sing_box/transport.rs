//! Transports of sing-box outbounds.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::domain::inbound::Network;
use crate::subscription::entry::Entry;

type Headers<'a> = BTreeMap<&'a str, &'a str>;

/// One transport.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Transport<'a> {
    /// Websocket.
    Ws {
        #[serde(skip_serializing_if = "Option::is_none")]
        path: Option<&'a str>,
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        headers: Headers<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        max_early_data: Option<u32>,
        #[serde(skip_serializing_if = "Option::is_none")]
        early_data_header_name: Option<&'static str>,
    },
    /// HTTP Upgrade.
    HttpUpgrade {
        #[serde(skip_serializing_if = "Option::is_none")]
        path: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        host: Option<&'a str>,
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        headers: Headers<'a>,
    },
    /// HTTP/2, or HTTP/1.1 without TLS.
    Http {
        #[serde(skip_serializing_if = "Option::is_none")]
        path: Option<&'a str>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        host: Vec<&'a str>,
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        headers: Headers<'a>,
    },
    /// QUIC.
    Quic,
    /// gRPC.
    Grpc {
        #[serde(skip_serializing_if = "Option::is_none")]
        service_name: Option<&'a str>,
    },
}

impl<'a> Transport<'a> {
    /// The transport of an entry; `None`: plain TCP.
    pub fn new(entry: &'a Entry<'_>) -> Option<Self> {
        let (path, host) = (entry.path.as_deref(), entry.host.as_deref());
        let mut headers: Headers<'_> = entry.headers().collect();
        Some(match entry.network {
            Network::Ws => {
                headers.extend(host.map(|host| ("Host", host)));
                Self::Ws {
                    path,
                    headers,
                    max_early_data: entry.early_data,
                    early_data_header_name: entry.early_data.map(|_| "Sec-WebSocket-Protocol"),
                }
            }
            Network::HttpUpgrade => Self::HttpUpgrade { path, host, headers },
            Network::Http => Self::Http { path, host: host.into_iter().collect(), headers },
            Network::Tcp if entry.header_type == Some("http") => {
                Self::Http { path, host: host.into_iter().collect(), headers }
            }
            Network::Quic => Self::Quic,
            Network::Grpc => Self::Grpc { service_name: path },
            // `supports` excludes the last three.
            Network::Tcp | Network::Unset | Network::Kcp | Network::H2 | Network::SplitHttp => return None,
        })
    }
}
