//! The query of a link: transport and TLS of VLESS and Trojan, and single values of the other protocols.

use serde_json::{Map, Value};

use super::fields;
use crate::domain::inbound::{Network, Protocol, Security};
use crate::subscription::early_data;
use crate::subscription::entry::Entry;
use crate::subscription::formats::xhttp;
use crate::subscription::percent;

/// A query under construction at the end of a text.
pub(super) struct Query<'t> {
    text: &'t mut String,
    separator: char,
}

impl<'t> Query<'t> {
    /// An empty query.
    pub(super) fn new(text: &'t mut String) -> Self {
        Self { text, separator: '?' }
    }

    /// Adds a pair, unless the value is missing or empty.
    pub(super) fn add(&mut self, name: &str, value: Option<&str>) {
        let Some(value) = value.filter(|value| !value.is_empty()) else { return };
        self.text.push(self.separator);
        self.text.push_str(name);
        self.text.push('=');
        self.text.extend(percent::encoded(value));
        self.separator = '&';
    }

    /// Adds a pair with a number, unless it is missing.
    pub(super) fn add_number(&mut self, name: &str, value: Option<i64>) {
        self.add(name, value.map(|value| value.to_string()).as_deref());
    }

    /// Adds a pair with an object as JSON, unless it is missing.
    pub(super) fn add_object(&mut self, name: &str, value: Option<&Map<String, Value>>) {
        self.add(name, value.and_then(|value| serde_json::to_string(value).ok()).as_deref());
    }

    /// Adds transport and TLS of a VLESS or Trojan link.
    pub(super) fn add_stream(&mut self, entry: &Entry<'_>) {
        self.add("security", Some(entry.security.word()));
        self.add("type", fields::network(entry.network));
        if entry.protocol == Protocol::Vless {
            self.add("flow", entry.flow);
            self.add("encryption", entry.core.encryption.as_deref());
        }
        self.add_transport(entry);
        self.add_object("fm", entry.core.finalmask.as_ref());
        if entry.security != Security::None {
            self.add_tls(entry);
        }
    }

    fn add_transport(&mut self, entry: &Entry<'_>) {
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
                self.add("path", early_data::in_path(path, entry.early_data).as_deref());
                self.add("host", host);
            }
            Network::SplitHttp => {
                self.add("headerType", entry.header_type);
                self.add("path", path);
                self.add("host", host);
                self.add("mode", xhttp::mode(entry.spec.splithttp_settings.as_ref()));
                let extra = serde_json::to_string(&entry.xhttp_settings()).ok().filter(|text| text != "{}");
                self.add("extra", extra.as_deref());
            }
            Network::Tcp | Network::Http | Network::H2 | Network::Unset => {
                self.add("headerType", entry.header_type);
                self.add("path", path);
                self.add("host", host);
            }
        }
    }

    fn add_tls(&mut self, entry: &Entry<'_>) {
        self.add("sni", entry.sni.as_deref());
        self.add("fp", entry.fingerprint);
        // A pinned certificate needs no exception, and new cores refuse it.
        let insecure = entry.spec.allowinsecure && !entry.core.is_pinned();
        self.add("allowInsecure", insecure.then_some("1"));
        if entry.security == Security::Tls {
            self.add("alpn", fields::alpn(entry).as_deref());
            self.add("pcs", entry.core.pin().as_deref());
            self.add("ech", entry.core.ech_config_list.as_deref());
        } else {
            self.add("pbk", entry.reality_public_key);
            self.add("sid", entry.reality_short_id);
            self.add("spx", entry.core.spider_x.as_deref());
            self.add("pqv", entry.core.mldsa65_verify.as_deref());
        }
    }
}

/// True for protocols whose links have a parameter for `finalmask`.
pub(super) const fn has_finalmask(protocol: Protocol) -> bool {
    matches!(protocol, Protocol::Vless | Protocol::Trojan | Protocol::Hysteria2)
}
