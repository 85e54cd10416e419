//! Xray: a JSON array with a complete configuration for each entry.

mod ages;
mod finalmask;
mod outbound;
mod refusal;
mod stream;
pub mod template;

use super::json;
use super::unique_names::UniqueNames;
use crate::domain::client_rule::RuleResult;
use crate::domain::inbound::{Network, Protocol};
use crate::domain::programs::Core;
use crate::subscription::client::Client;
use crate::subscription::entry::Entry;
use crate::subscription::format::{Format, Order};

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
    refusal: refusal::refusal,
    render: |entries, request| {
        render(entries, request.templates.xray.template(&request.client), &request.client).into()
    },
};

fn supports(protocol: Protocol, network: Network) -> bool {
    let has_protocol = matches!(
        protocol,
        Protocol::Vmess
            | Protocol::Vless
            | Protocol::Trojan
            | Protocol::Shadowsocks
            | Protocol::Wireguard
            | Protocol::Hysteria2
    );
    has_protocol && network != Network::H2
}

fn render(entries: &[Entry<'_>], template: &XrayTemplate, client: &Client<'_>) -> String {
    let knows_masks = client.age(Core::Xray).is_known_from(refusal::MASKS);
    let mut text = String::with_capacity(2 + entries.len() * (template.members.len() + 1_024));
    text.push('[');
    for entry in entries {
        if text.len() > 1 {
            text.push(',');
        }
        configuration(entry, template, knows_masks, &mut text);
    }
    text.push(']');
    text
}

fn configuration(entry: &Entry<'_>, template: &XrayTemplate, knows_masks: bool, text: &mut String) {
    text.push('{');
    text.push_str(&template.members);
    if !template.members.is_empty() {
        text.push(',');
    }
    text.push_str("\"remarks\":");
    json::push(&entry.remark, text);
    text.push_str(",\"outbounds\":[");
    outbounds(entry, template, knows_masks, text);
    for outbound in &template.outbounds {
        text.push(',');
        text.push_str(outbound);
    }
    text.push_str("]}");
}

/// Appends the entry and the outbounds that it dials through: its hops, or a helper. Outbounds refer to each other by
/// tag: each tag is unique.
fn outbounds(entry: &Entry<'_>, template: &XrayTemplate, knows_masks: bool, text: &mut String) {
    let helper = if entry.hops.is_empty() { Helper::new(entry.spec) } else { None };
    let reserved = template.tags.iter().map(String::as_str).chain(helper.as_ref().map(Helper::tag));
    let mut names = UniqueNames::new(reserved);
    let tags: Vec<String> =
        std::iter::once(entry).chain(&entry.hops).map(|entry| names.unique(&entry.remark)).collect();
    for (index, hop) in std::iter::once(entry).chain(&entry.hops).enumerate() {
        let through = tags.get(index + 1).map(String::as_str).or(helper.as_ref().map(Helper::tag));
        json::push_item(&Outbound::new(hop, &tags[index], through, knows_masks), text);
    }
    if let Some(helper) = helper {
        json::push_item(&helper.outbound(), text);
    }
}
