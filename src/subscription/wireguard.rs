//! WireGuard's own format: a JSON list of names with the text of a configuration file each.

use std::fmt::Write as _;

use serde::Serialize;

use crate::domain::inbound::{Network, Protocol};

use super::catalogue::said;
use super::entry::Entry;
use super::json;
use super::links::bracketed;

/// Only WireGuard itself.
pub fn carries(protocol: Protocol, network: Network) -> bool {
    protocol == Protocol::Wireguard && network == Network::Unset
}

/// The list.
pub fn render(entries: &[Entry<'_>]) -> String {
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
    let endpoint = format!("{}:{}", bracketed(&entry.address), entry.port);
    let mut text = String::from("[Interface]\n");
    push(&mut text, "Address", entry.client_address.as_deref());
    push(&mut text, "PrivateKey", Some(entry.wireguard_key));
    push(&mut text, "MTU", mtu.as_deref());
    push(&mut text, "DNS", said(entry.spec.dns_servers.as_deref()));
    text.push_str("\n[Peer]\n");
    push(&mut text, "PublicKey", entry.path.as_deref());
    push(&mut text, "Endpoint", Some(&endpoint));
    push(&mut text, "AllowedIPs", Some(&entry.allowed_ips().join(", ")));
    push(&mut text, "PersistentKeepalive", Some("25"));
    text
}

fn push(text: &mut String, name: &str, value: Option<&str>) {
    let Some(value) = value else { return };
    // A line break in a value would begin a setting of its own.
    let value: String = value.chars().filter(|letter| !letter.is_control()).collect();
    let _ = writeln!(text, "{name} = {value}");
}
