//! Share links, one per line: understood by every client, with a syntax for each protocol.

mod fields;
mod query;
mod vmess;

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use crate::domain::client_rule::RuleResult;
use crate::domain::inbound::{Network, Protocol, Security};
use crate::subscription::entry::Entry;
use crate::subscription::format::{Format, Order};
use crate::subscription::formats::shadowsocks as ciphers;
use crate::subscription::percent;
use crate::subscription::refusal::Versions::Any;
use crate::subscription::refusal::{Refusal, holding};

use query::Query;

/// Plain links.
pub static LINKS: Format = Format {
    client_type: "links",
    rule_result: Some(RuleResult::Links),
    content_type: "text/plain; charset=utf-8",
    order: Order::Weight,
    has_chains: false,
    needs_entry: false,
    supports,
    core: None,
    refusals,
    render: |entries, _| render(entries).into(),
};

/// The links as one base64 text.
pub static BASE64_LINKS: Format = Format {
    client_type: "v2ray",
    rule_result: Some(RuleResult::Base64Links),
    content_type: "text/plain; charset=utf-8",
    order: Order::Weight,
    has_chains: false,
    needs_entry: false,
    supports,
    core: None,
    refusals,
    render: |entries, _| STANDARD.encode(render(entries)).into(),
};

fn supports(protocol: Protocol, network: Network) -> bool {
    protocol != Protocol::Shadowtls && network != Network::H2
}

/// Why no client could use the link.
fn refusals(entry: &Entry<'_>) -> Vec<Refusal> {
    let no_pin = matches!(entry.protocol, Protocol::Tuic | Protocol::Anytls | Protocol::Vmess);
    let no_ech = matches!(entry.protocol, Protocol::Tuic | Protocol::Vmess);
    let is_layered = ciphers::is_layered(entry);
    let unknown_cipher = entry.protocol == Protocol::Shadowsocks && !ciphers::is_valid(entry.method, entry.password);
    holding([
        (is_layered, Any, "links of its protocol have no transport"),
        (unknown_cipher, Any, "no client knows its cipher, or the cipher needs a key of another size"),
        (no_pin && entry.core.is_pinned(), Any, "links of its protocol have no pinned certificate"),
        (no_ech && entry.core.ech_config_list.is_some(), Any, "links of its protocol have no ECH"),
        (
            entry.protocol == Protocol::Anytls && entry.security == Security::Reality,
            Any,
            "links of its protocol have no REALITY",
        ),
        (
            entry.core.finalmask.is_some() && !query::has_finalmask(entry.protocol),
            Any,
            "links of its protocol have no finalmask",
        ),
    ])
}

fn render(entries: &[Entry<'_>]) -> String {
    let mut text = String::with_capacity(entries.len() * 320);
    for entry in entries {
        if !text.is_empty() {
            text.push('\n');
        }
        push(entry, &mut text);
    }
    text
}

fn push(entry: &Entry<'_>, text: &mut String) {
    match entry.protocol {
        Protocol::Vmess => return vmess::push(entry, text),
        Protocol::Shadowsocks => shadowsocks(entry, text),
        Protocol::Vless => {
            start("vless", &[entry.uuid], entry, text);
            Query::new(text).add_stream(entry);
        }
        Protocol::Trojan => {
            start("trojan", &[entry.password], entry, text);
            Query::new(text).add_stream(entry);
        }
        Protocol::Hysteria2 => {
            start("hysteria2", &[entry.password], entry, text);
            let mut query = Query::new(text);
            query.add("sni", entry.sni.as_deref());
            if entry.header_type.is_some() {
                query.add("obfs", entry.header_type);
                query.add("obfs-password", entry.path.as_deref());
            }
            query.add("insecure", entry.spec.allowinsecure.then_some("1"));
            query.add("pinSHA256", entry.core.pin().as_deref());
            query.add("ech", entry.core.ech_config_list.as_deref());
            query.add("mport", entry.core.ports.as_deref());
            query.add_number("up", entry.core.up_mbps);
            query.add_number("down", entry.core.down_mbps);
            query.add_object("fm", entry.core.finalmask.as_ref());
        }
        Protocol::Tuic => {
            start("tuic", &[entry.uuid, entry.password], entry, text);
            let mut query = Query::new(text);
            query.add("sni", entry.sni.as_deref());
            query.add("alpn", fields::alpn(entry).as_deref());
            query.add("insecure", entry.spec.allowinsecure.then_some("1"));
            query.add("congestion_control", entry.core.congestion_control.as_deref());
            query.add("udp_relay_mode", entry.core.udp_relay_mode.as_deref());
        }
        Protocol::Anytls => {
            start("anytls", &[entry.password], entry, text);
            let mut query = Query::new(text);
            query.add("sni", entry.sni.as_deref());
            query.add("fp", entry.fingerprint);
            query.add("alpn", fields::alpn(entry).as_deref());
            query.add("insecure", entry.spec.allowinsecure.then_some("1"));
            query.add("ech", entry.core.ech_config_list.as_deref());
        }
        Protocol::Wireguard => {
            start("wireguard", &[entry.wireguard_key], entry, text);
            let mut query = Query::new(text);
            query.add("publickey", entry.path.as_deref());
            query.add("address", entry.client_address.as_deref());
            query.add_number("mtu", entry.spec.mtu);
        }
        Protocol::Shadowtls => return,
    }
    text.push('#');
    text.extend(percent::encoded(&entry.remark));
}

/// Appends `scheme://user:password@address:port`.
fn start(scheme: &str, credentials: &[&str], entry: &Entry<'_>, text: &mut String) {
    text.push_str(scheme);
    text.push_str("://");
    for (index, credential) in credentials.iter().enumerate() {
        if index > 0 {
            text.push(':');
        }
        text.extend(percent::encoded(credential));
    }
    let _ = write!(text, "@{}:{}", entry.bracketed_address(), entry.port);
}

/// Appends the link without its name (SIP002): the credential in base64url, or percent-encoded with the ciphers of 2022
/// (SIP022), whose keys are base64 already.
fn shadowsocks(entry: &Entry<'_>, text: &mut String) {
    if entry.method.starts_with("2022-") {
        return start("ss", &[entry.method, entry.password], entry, text);
    }
    text.push_str("ss://");
    URL_SAFE_NO_PAD.encode_string(format!("{}:{}", entry.method, entry.password), text);
    let _ = write!(text, "@{}:{}", entry.bracketed_address(), entry.port);
}
