//! WireGuard configuration files: a JSON array of objects with the entry's name and the text of its file.

use std::fmt::Write as _;

use serde::Serialize;

use super::json;
use crate::domain::inbound::{Network, Protocol};
use crate::subscription::catalogue::non_empty;
use crate::subscription::entry::Entry;
use crate::subscription::format::{Format, Order, never_refused};

/// WireGuard's own format.
pub static WIREGUARD: Format = Format {
    client_type: "wireguard",
    rule_result: None,
    content_type: "application/json",
    order: Order::HostId,
    has_chains: false,
    supports,
    refusal: never_refused,
    render: |entries, _| render(entries).into(),
};

fn supports(protocol: Protocol, network: Network) -> bool {
    protocol == Protocol::Wireguard && network == Network::Unset
}

fn render(entries: &[Entry<'_>]) -> String {
    let mut text = String::from("[");
    for entry in entries {
        json::push_item(&Named { remark: &entry.remark, config: config(entry) }, &mut text);
    }
    text.push(']');
    text
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
    push(&mut text, "AllowedIPs", Some(&entry.allowed_ips().join(", ")));
    push(&mut text, "PersistentKeepalive", Some("25"));
    text
}

fn push(text: &mut String, name: &str, value: Option<&str>) {
    let Some(value) = value else { return };
    // A line break in a value would start another setting.
    let value: String = value.chars().filter(|letter| !letter.is_control()).collect();
    let _ = writeln!(text, "{name} = {value}");
}
