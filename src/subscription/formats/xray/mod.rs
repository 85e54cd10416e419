//! Xray: a JSON array with a complete configuration for each entry.

mod outbound;
mod stream;
pub mod template;

use super::json;
use super::unique_names::UniqueNames;
use crate::domain::inbound::{Network, Protocol, Security};
use crate::domain::subscription_settings::RuleResult;
use crate::subscription::entry::Entry;
use crate::subscription::format::{Format, Order, Reason};

use outbound::{Helper, Outbound};
use template::XrayTemplate;

/// Xray's configurations.
pub static XRAY: Format = Format {
    client_type: "xray",
    rule_result: Some(RuleResult::Xray),
    content_type: "application/json",
    order: Order::Weight,
    has_chains: true,
    supports,
    refusal: |entry, _| refusal(entry),
    render: |entries, request| render(entries, &request.templates.xray).into(),
};

fn supports(protocol: Protocol, network: Network) -> bool {
    let has_protocol = matches!(
        protocol,
        Protocol::Vmess | Protocol::Vless | Protocol::Trojan | Protocol::Shadowsocks | Protocol::Wireguard
    );
    has_protocol && network != Network::H2
}

fn refusal(entry: &Entry<'_>) -> Option<Reason> {
    let layered = !matches!(entry.protocol, Protocol::Shadowsocks | Protocol::Wireguard);
    let has_reality = matches!(entry.network, Network::Tcp | Network::Grpc | Network::SplitHttp | Network::Unset);
    (layered && entry.security == Security::Reality && !has_reality)
        .then_some("Xray supports REALITY only over TCP, gRPC and XHTTP")
}

fn render(entries: &[Entry<'_>], template: &XrayTemplate) -> String {
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

/// Appends the entry and the outbounds that it dials through: its hops, or a helper.
fn outbounds(entry: &Entry<'_>, template: &XrayTemplate, text: &mut String) {
    if entry.hops.is_empty() {
        let helper = Helper::new(entry.spec);
        json::push_item(&Outbound::new(entry, &entry.remark, helper.as_ref().map(Helper::tag)), text);
        if let Some(helper) = helper {
            json::push_item(&helper.outbound(), text);
        }
        return;
    }
    // Outbounds refer to each other by tag, and two hosts may have the same name.
    let mut names = UniqueNames::new(template.tags.iter().map(String::as_str).chain([entry.remark.as_ref()]));
    let tags: Vec<String> = entry.hops.iter().map(|hop| names.unique(&hop.remark)).collect();
    json::push_item(&Outbound::new(entry, &entry.remark, tags.first().map(String::as_str)), text);
    for (index, hop) in entry.hops.iter().enumerate() {
        json::push_item(&Outbound::new(hop, &tags[index], tags.get(index + 1).map(String::as_str)), text);
    }
}
