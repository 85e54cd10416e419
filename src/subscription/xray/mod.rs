//! Xray's format: a JSON list with one whole configuration for each entry.

mod outbound;
mod stream;

use crate::domain::inbound::{Network, Protocol, Security};

use super::entry::{Entry, Reason};
use super::json;
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

/// Why Xray would refuse the entry's configuration.
pub fn refusal(entry: &Entry<'_>) -> Option<Reason> {
    let layered = !matches!(entry.protocol, Protocol::Shadowsocks | Protocol::Wireguard);
    let over = matches!(entry.network, Network::Tcp | Network::Grpc | Network::SplitHttp | Network::Unset);
    (layered && entry.security == Security::Reality && !over)
        .then_some("Xray has REALITY only over TCP, gRPC and XHTTP")
}

/// The list.
pub fn render(entries: &[Entry<'_>], template: &XrayTemplate) -> String {
    let mut text = String::with_capacity(2 + entries.len() * (template.members.len() + 1_024));
    text.push('[');
    for entry in entries {
        if text.len() > 1 {
            text.push(',');
        }
        configuration(entry, template, &mut text);
    }
    text.push(']');
    text
}

fn configuration(entry: &Entry<'_>, template: &XrayTemplate, text: &mut String) {
    text.push('{');
    text.push_str(&template.members);
    if !template.members.is_empty() {
        text.push(',');
    }
    text.push_str("\"remarks\":");
    json::push(&entry.remark, text);
    text.push_str(",\"outbounds\":[");
    outbounds(entry, template, text);
    for outbound in &template.outbounds {
        text.push(',');
        text.push_str(outbound);
    }
    text.push_str("]}");
}

/// The entry and what it dials through: its hops, or else a helper.
fn outbounds(entry: &Entry<'_>, template: &XrayTemplate, text: &mut String) {
    if entry.hops.is_empty() {
        let helper = Helper::of(entry.spec);
        json::push_item(&Outbound::new(entry, &entry.remark, helper.as_ref().map(Helper::tag)), text);
        if let Some(helper) = helper {
            json::push_item(&helper.outbound(), text);
        }
        return;
    }
    // Tags are what dialling refers to, and people may give two hosts one name.
    let mut names = Names::taken(template.tags.iter().map(String::as_str).chain([entry.remark.as_ref()]));
    let tags: Vec<String> = entry.hops.iter().map(|hop| names.unique(&hop.remark)).collect();
    json::push_item(&Outbound::new(entry, &entry.remark, tags.first().map(String::as_str)), text);
    for (at, hop) in entry.hops.iter().enumerate() {
        json::push_item(&Outbound::new(hop, &tags[at], tags.get(at + 1).map(String::as_str)), text);
    }
}
