//! The share link of VMess: a small JSON object in base64.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use super::fields;
use crate::domain::inbound::{Network, Security};
use crate::subscription::early_data;
use crate::subscription::entry::Entry;
use crate::subscription::formats::xhttp;
use crate::subscription::transport_rules::vmess_cipher;

#[derive(Serialize)]
struct Link<'a> {
    add: &'a str,
    aid: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    alpn: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fp: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<&'a str>,
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    net: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pbk: Option<&'a str>,
    port: u16,
    ps: &'a str,
    scy: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    sid: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sni: Option<&'a str>,
    tls: &'static str,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<&'a str>,
    v: &'static str,
}

/// Appends the link.
pub(super) fn push(entry: &Entry<'_>, text: &mut String) {
    let secured = entry.security != Security::None;
    let reality = entry.security == Security::Reality;
    let mode = || xhttp::mode(entry.spec.splithttp_settings.as_ref());
    let link = Link {
        add: &entry.address,
        aid: "0",
        alpn: fields::alpn(entry).filter(|_| entry.security == Security::Tls),
        fp: entry.fingerprint.filter(|_| secured),
        host: entry.host.as_deref(),
        id: entry.uuid,
        net: fields::network(entry.network),
        path: early_data::in_path(entry.path.as_deref(), entry.early_data),
        pbk: entry.reality_public_key.filter(|_| reality),
        port: entry.port,
        ps: &entry.remark,
        scy: vmess_cipher(entry.security),
        sid: entry.reality_short_id.filter(|_| reality),
        sni: entry.sni.as_deref().filter(|_| secured),
        tls: entry.security.word(),
        kind: if entry.network == Network::SplitHttp { mode() } else { entry.header_type },
        v: "2",
    };
    text.push_str("vmess://");
    // An object of texts and numbers always serializes.
    STANDARD.encode_string(serde_json::to_vec(&link).unwrap_or_default(), text);
}
