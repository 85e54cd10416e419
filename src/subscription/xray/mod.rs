//! Xray's format: a JSON list with one whole configuration for each entry.

mod outbound;
mod stream;

use serde::Serialize;

use crate::domain::inbound::{Network, Protocol};

use super::entry::Entry;
use super::templates::XrayTemplate;
use super::unique::Names;
use outbound::{Helper, Outbound};

/// Whether Xray can do it.
pub fn carries(protocol: Protocol, network: Network) -> bool {
    let speaks = matches!(
        protocol,
        Protocol::Vmess | Protocol::Vless | Protocol::Trojan | Protocol::Shadowsocks | Protocol::Wireguard
    );
    speaks && network != Network::H2
}

/// The list.
pub fn render(entries: &[Entry<'_>], template: &XrayTemplate) -> String {
    let mut json = Vec::with_capacity(2 + entries.len() * (template.members.len() + 1_024));
    json.push(b'[');
    for entry in entries {
        if json.len() > 1 {
            json.push(b',');
        }
        configuration(entry, template, &mut json);
    }
    json.push(b']');
    // Made of texts only; a lossy reading changes nothing.
    String::from_utf8(json).unwrap_or_default()
}

fn configuration(entry: &Entry<'_>, template: &XrayTemplate, json: &mut Vec<u8>) {
    json.push(b'{');
    json.extend_from_slice(template.members.as_bytes());
    if !template.members.is_empty() {
        json.push(b',');
    }
    json.extend_from_slice(b"\"remarks\":");
    push(&entry.remark, json);
    json.extend_from_slice(b",\"outbounds\":[");
    outbounds(entry, template, json);
    for outbound in &template.outbounds {
        json.push(b',');
        json.extend_from_slice(outbound.as_bytes());
    }
    json.extend_from_slice(b"]}");
}

/// The entry and what it dials through: its hops, or else a helper.
fn outbounds(entry: &Entry<'_>, template: &XrayTemplate, json: &mut Vec<u8>) {
    if entry.hops.is_empty() {
        let helper = Helper::of(entry.spec);
        push(&Outbound::new(entry, &entry.remark, helper.as_ref().map(Helper::tag)), json);
        if let Some(helper) = helper {
            json.push(b',');
            push(&helper.outbound(), json);
        }
        return;
    }
    // Tags are what dialling refers to, and people may give two hosts one name.
    let mut names = Names::taken(template.tags.iter().map(String::as_str).chain([entry.remark.as_ref()]));
    let tags: Vec<String> = entry.hops.iter().map(|hop| names.unique(&hop.remark)).collect();
    push(&Outbound::new(entry, &entry.remark, tags.first().map(String::as_str)), json);
    for (at, hop) in entry.hops.iter().enumerate() {
        json.push(b',');
        push(&Outbound::new(hop, &tags[at], tags.get(at + 1).map(String::as_str)), json);
    }
}

fn push(value: &impl Serialize, json: &mut Vec<u8>) {
    let before = json.len();
    if serde_json::to_writer(&mut *json, value).is_err() {
        // Structs of texts and numbers always make JSON; should one not, the list stays whole.
        json.truncate(before);
        json.extend_from_slice(b"null");
    }
}
