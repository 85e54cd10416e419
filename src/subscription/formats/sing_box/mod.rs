//! sing-box: one configuration with an outbound for each entry, and groups that list the outbounds.

mod ages;
mod outbound;
mod refusal;
mod release;
pub mod template;
mod tls;
mod transport;

use std::borrow::Cow;

use super::unique_names::UniqueNames;
use crate::domain::client_rule::RuleResult;
use crate::domain::inbound::{Network, Protocol};
use crate::domain::programs::Core;
use crate::subscription::client::Client;
use crate::subscription::entry::Entry;
use crate::subscription::format::{Format, Order};
use crate::subscription::text_buffer::TextBuffer;

use outbound::{Endpoint, Outbound};
use release::Release;
use template::SingBoxTemplates;

/// sing-box's configuration.
pub static SING_BOX: Format = Format {
    client_type: "sing-box",
    rule_result: Some(RuleResult::SingBox),
    content_type: "application/json",
    order: Order::Weight,
    has_chains: true,
    needs_entry: true,
    supports: |_, network| !matches!(network, Network::Kcp | Network::H2 | Network::SplitHttp),
    core: Some(Core::SingBox),
    refusals: refusal::refusals,
    render: |entries, request| render(entries, &request.templates.sing_box, &request.client).into(),
};

fn render(entries: &[Entry<'_>], templates: &SingBoxTemplates, client: &Client<'_>) -> String {
    let release = Release::of(client);
    let template = templates.template(client);
    let mut names = UniqueNames::new(template.tags.iter().map(String::as_str));
    let tags: Vec<Cow<'_, str>> = entries.iter().map(|entry| names.unique(&entry.remark)).collect();
    let listed: Vec<&str> = tags.iter().map(AsRef::as_ref).collect();
    let mut text = TextBuffer::with_capacity(template.members.len() + 512 + entries.len() * 640);
    text.push_str("{");
    text.push_str(&template.members);
    if !template.members.is_empty() {
        text.push_str(",");
    }
    text.push_str("\"outbounds\":[");
    for outbound in &template.outbounds {
        text.push_item(&outbound.filled(&listed));
    }
    let mut endpoints = TextBuffer::default();
    endpoints.push_str(",\"endpoints\":[");
    let mut has_endpoints = false;
    let mut push = |entry: &Entry<'_>, tag: &str, detour: Option<&str>| {
        if release == Release::Current && entry.protocol == Protocol::Wireguard {
            has_endpoints = true;
            endpoints.push_item(&Endpoint::new(entry, tag, detour));
        } else {
            text.push_item(&Outbound::new(entry, tag, detour, release));
        }
    };
    for (entry, tag) in entries.iter().zip(&listed) {
        let hops: Vec<Cow<'_, str>> = entry.hops.iter().map(|hop| names.unique(&hop.remark)).collect();
        push(entry, tag, hops.first().map(AsRef::as_ref));
        for (index, hop) in entry.hops.iter().enumerate() {
            push(hop, &hops[index], hops.get(index + 1).map(AsRef::as_ref));
        }
    }
    for endpoint in &template.endpoints {
        has_endpoints = true;
        endpoints.push_item(endpoint);
    }
    text.push_str("]");
    if has_endpoints {
        text.push_str(&endpoints.into_string());
        text.push_str("]");
    }
    text.push_str("}");
    text.into_string()
}
