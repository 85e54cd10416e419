//! Share links, one a line: the format that every client reads, in a dialect for each protocol.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use crate::domain::host::SplitHttpSettings;
use crate::domain::inbound::{Network, Protocol, Security};

use super::entry::Entry;
use super::xmux::XMux;
use super::{early_data, percent, vmess_link};

/// Whether links can say it.
pub fn carries(protocol: Protocol, network: Network) -> bool {
    protocol != Protocol::Shadowtls && network != Network::H2
}

/// The links.
pub fn render(entries: &[Entry<'_>]) -> String {
    let mut text = String::with_capacity(entries.len() * 320);
    for entry in entries {
        if !text.is_empty() {
            text.push('\n');
        }
        push(entry, &mut text);
    }
    text
}

/// The links in base64.
pub fn render_base64(entries: &[Entry<'_>]) -> String {
    STANDARD.encode(render(entries))
}

fn push(entry: &Entry<'_>, text: &mut String) {
    match entry.protocol {
        Protocol::Vmess => return vmess_link::push(entry, text),
        Protocol::Shadowsocks => shadowsocks(entry, text),
        Protocol::Vless => {
            start("vless", &[entry.uuid], entry, text);
            Query::of(text).transport(entry);
        }
        Protocol::Trojan => {
            start("trojan", &[entry.password], entry, text);
            Query::of(text).transport(entry);
        }
        Protocol::Hysteria2 => {
            start("hysteria2", &[entry.password], entry, text);
            let mut query = Query::of(text);
            query.add("sni", entry.sni.as_deref());
            if entry.header_type.is_some() {
                query.add("obfs", entry.header_type);
                query.add("obfs-password", entry.path.as_deref());
            }
            query.add("insecure", entry.spec.allowinsecure.then_some("1"));
        }
        Protocol::Tuic => {
            start("tuic", &[entry.uuid, entry.password], entry, text);
            let mut query = Query::of(text);
            query.add("sni", entry.sni.as_deref());
            query.add("alpn", alpn(entry));
            query.add("insecure", entry.spec.allowinsecure.then_some("1"));
        }
        Protocol::Wireguard => {
            start("wireguard", &[entry.wireguard_key], entry, text);
            let mut query = Query::of(text);
            query.add("publickey", entry.path.as_deref());
            query.add("address", entry.client_address.as_deref());
            query.add("mtu", entry.spec.mtu.map(|mtu| mtu.to_string()).as_deref());
        }
        Protocol::Shadowtls => return,
    }
    text.push('#');
    percent::push(&entry.remark, text);
}

/// `scheme://user:password@address:port`
fn start(scheme: &str, credentials: &[&str], entry: &Entry<'_>, text: &mut String) {
    text.push_str(scheme);
    text.push_str("://");
    for (at, credential) in credentials.iter().enumerate() {
        if at > 0 {
            text.push(':');
        }
        percent::push(credential, text);
    }
    let _ = write!(text, "@{}:{}", bracketed(&entry.address), entry.port);
}

/// Everything before the name is one base64 text.
fn shadowsocks(entry: &Entry<'_>, text: &mut String) {
    let address = bracketed(&entry.address);
    text.push_str("ss://");
    STANDARD.encode_string(format!("{}:{}@{address}:{}", entry.method, entry.password, entry.port), text);
}

/// An IPv6 address needs brackets before a port.
pub(super) fn bracketed(address: &str) -> Cow<'_, str> {
    if address.contains(':') && !address.starts_with('[') { format!("[{address}]").into() } else { address.into() }
}

pub(super) fn network_word(network: Network) -> Option<&'static str> {
    match network {
        Network::Unset => None,
        Network::SplitHttp => Some("xhttp"),
        other => Some(other.word()),
    }
}

pub(super) fn alpn(entry: &Entry<'_>) -> Option<&'static str> {
    (!entry.alpn.protocols().is_empty()).then(|| entry.alpn.word())
}

/// A link's query under construction.
struct Query<'t> {
    text: &'t mut String,
    next: char,
}

impl<'t> Query<'t> {
    fn of(text: &'t mut String) -> Self {
        Self { text, next: '?' }
    }

    /// Adds a pair, unless the value is missing or empty.
    fn add(&mut self, name: &str, value: Option<&str>) {
        let Some(value) = value.filter(|value| !value.is_empty()) else { return };
        self.text.push(self.next);
        self.text.push_str(name);
        self.text.push('=');
        percent::push(value, self.text);
        self.next = '&';
    }

    /// What VLESS and Trojan say about TLS and transport.
    fn transport(&mut self, entry: &Entry<'_>) {
        self.add("security", Some(entry.security.word()));
        self.add("type", network_word(entry.network));
        if entry.protocol == Protocol::Vless {
            self.add("flow", entry.flow);
        }
        let (path, host) = (entry.path.as_deref(), entry.host.as_deref());
        match entry.network {
            Network::Grpc => {
                self.add("serviceName", path);
                self.add("authority", host);
                self.add("mode", Some("gun"));
            }
            Network::Quic => {
                self.add("headerType", entry.header_type);
                self.add("key", path);
                self.add("quicSecurity", host);
            }
            Network::Kcp => {
                self.add("headerType", entry.header_type);
                self.add("seed", path);
                self.add("host", host);
            }
            Network::Ws | Network::HttpUpgrade => {
                self.add("headerType", entry.header_type);
                self.add("path", early_data::in_path(path, entry.spec.early_data).as_deref());
                self.add("host", host);
            }
            Network::SplitHttp => {
                self.add("headerType", entry.header_type);
                self.add("path", path);
                self.add("host", host);
                if let Some(settings) = &entry.spec.splithttp_settings {
                    self.add("mode", settings.mode.as_deref());
                    self.add("extra", extra(settings, entry.spec.http_headers.as_ref()).as_deref());
                }
            }
            Network::Tcp | Network::Http | Network::H2 | Network::Unset => {
                self.add("headerType", entry.header_type);
                self.add("path", path);
                self.add("host", host);
            }
        }
        if entry.security == Security::None {
            return;
        }
        self.add("sni", entry.sni.as_deref());
        self.add("fp", entry.fingerprint);
        self.add("allowInsecure", entry.spec.allowinsecure.then_some("1"));
        if entry.security == Security::Tls {
            self.add("alpn", alpn(entry));
        } else {
            self.add("pbk", entry.reality_public_key);
            self.add("sid", entry.reality_short_id);
        }
    }
}

/// XHTTP's further settings: a JSON text within the link.
fn extra(settings: &SplitHttpSettings, headers: Option<&BTreeMap<String, String>>) -> Option<String> {
    let extra = Extra {
        headers: headers.filter(|headers| !headers.is_empty()),
        padding: settings.padding_bytes.as_deref(),
        no_grpc_header: settings.no_grpc_header,
        xmux: settings.xmux.as_ref().map(XMux::of),
    };
    serde_json::to_string(&extra).ok().filter(|text| text != "{}")
}

#[derive(Serialize)]
struct Extra<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    headers: Option<&'a BTreeMap<String, String>>,
    #[serde(rename = "xPaddingBytes", skip_serializing_if = "Option::is_none")]
    padding: Option<&'a str>,
    #[serde(rename = "noGRPCHeader", skip_serializing_if = "Option::is_none")]
    no_grpc_header: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    xmux: Option<XMux<'a>>,
}
