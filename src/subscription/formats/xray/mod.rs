//! Xray: a JSON array with a complete configuration for each entry.

mod ages;
mod finalmask;
mod outbound;
mod refusal;
mod stream;
pub mod template;

use std::borrow::Cow;

use super::unique_names::unique_name;
use crate::domain::client_rule::RuleResult;
use crate::domain::inbound::{Network, Protocol};
use crate::domain::programs::Core;
use crate::subscription::client::Client;
use crate::subscription::entry::Entry;
use crate::subscription::format::{Format, Order};
use crate::subscription::text_buffer::TextBuffer;

use outbound::{Helper, Outbound};
use template::XrayTemplate;

/// Xray's configurations.
pub static XRAY: Format = Format {
    client_type: "xray",
    rule_result: Some(RuleResult::Xray),
    content_type: "application/json",
    order: Order::Weight,
    has_chains: true,
    needs_entry: false,
    supports,
    core: Some(Core::Xray),
    refusals: refusal::refusals,
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
    let mut text =
        TextBuffer::with_capacity(2 + entries.len() * (template.before.len() + template.after.len() + 1_024));
    text.push_str("[");
    for entry in entries {
        text.begin_item();
        text.push_str(&template.before);
        text.push_json(&entry.remark);
        text.push_str(",\"outbounds\":[");
        push_outbounds(entry, template, knows_masks, &mut text);
        text.push_str(&template.after);
    }
    text.push_str("]");
    text.into_string()
}

/// Appends the entry and the outbounds that it dials through: its hops, or a helper. Outbounds refer to each other by
/// tag: each tag is unique.
fn push_outbounds(entry: &Entry<'_>, template: &XrayTemplate, knows_masks: bool, text: &mut TextBuffer) {
    let helper = if entry.hops.is_empty() { Helper::new(entry.spec) } else { None };
    let helper_tag = helper.as_ref().map(Helper::tag);
    let mut tags: Vec<Cow<'_, str>> = Vec::with_capacity(1 + entry.hops.len());
    for entry in std::iter::once(entry).chain(&entry.hops) {
        let is_taken = |name: &str| {
            helper_tag == Some(name)
                || template.tags.iter().any(|tag| tag == name)
                || tags.iter().any(|tag| tag == name)
        };
        tags.push(unique_name(&entry.remark, is_taken));
    }
    for (index, hop) in std::iter::once(entry).chain(&entry.hops).enumerate() {
        let through = tags.get(index + 1).map(AsRef::as_ref).or(helper_tag);
        text.push_item(&Outbound::new(hop, &tags[index], through, knows_masks));
    }
    if let Some(helper) = helper {
        text.push_item(&helper.outbound());
    }
}
