//! WireGuard configuration files: a JSON array of objects with the entry's name and the text of its file.

use std::fmt::Write as _;

use ipnet::IpNet;
use serde::Serialize;

use super::shadowsocks::is_key;
use crate::domain::inbound::{Network, Protocol};
use crate::subscription::connection::non_empty;
use crate::subscription::entry::Entry;
use crate::subscription::format::{Format, Order, never_refused};
use crate::subscription::text_buffer::TextBuffer;

/// WireGuard's own format.
pub static WIREGUARD: Format = Format {
    client_type: "wireguard",
    rule_result: None,
    content_type: "application/json",
    order: Order::HostId,
    has_chains: false,
    needs_entry: false,
    supports,
    core: None,
    refusals: never_refused,
    render: |entries, _| render(entries).into(),
};

fn supports(protocol: Protocol, network: Network) -> bool {
    protocol == Protocol::Wireguard && network == Network::Unset
}

/// True for entries with valid keys, address and networks.
pub fn has_valid_peer(entry: &Entry<'_>) -> bool {
    is_key(entry.wireguard_key, 32)
        && entry.path.as_deref().is_some_and(|key| is_key(key, 32))
        && entry.client_address.is_some()
        && entry.allowed_ips.iter().all(|net| net.parse::<IpNet>().is_ok())
}

fn render(entries: &[Entry<'_>]) -> String {
    let mut text = TextBuffer::with_capacity(2 + entries.len() * 384);
    text.push_str("[");
    for entry in entries {
        text.push_item(&Named { remark: &entry.remark, config: config(entry) });
    }
    text.push_str("]");
    text.into_string()
}

#[derive(Serialize)]
struct Named<'a> {
    remark: &'a str,
    config: String,
}

fn config(entry: &Entry<'_>) -> String {
    let mtu = entry.spec.mtu.map(|mtu| mtu.to_string());
    let endpoint = format!("{}:{}", entry.bracketed_address(), entry.port);
    let mut text = String::from("[Interface]\n");
    push(&mut text, "Address", entry.client_address.as_deref());
    push(&mut text, "PrivateKey", Some(entry.wireguard_key));
    push(&mut text, "MTU", mtu.as_deref());
    push(&mut text, "DNS", non_empty(entry.spec.dns_servers.as_deref()));
    text.push_str("\n[Peer]\n");
    push(&mut text, "PublicKey", entry.path.as_deref());
    push(&mut text, "Endpoint", Some(&endpoint));
    push(&mut text, "AllowedIPs", Some(&entry.allowed_ips.join(", ")));
    push(&mut text, "PersistentKeepalive", Some("25"));
    text
}

fn push(text: &mut String, name: &str, value: Option<&str>) {
    let Some(value) = value else { return };
    // A line break in a value would start another setting.
    let value: String = value.chars().filter(|letter| !letter.is_control()).collect();
    let _ = writeln!(text, "{name} = {value}");
}
