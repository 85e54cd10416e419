//! sing-box: one configuration with an outbound for each entry, and groups that list the outbounds.

mod ages;
mod outbound;
mod refusal;
mod release;
pub mod template;
mod tls;
mod transport;

use serde_json::Value;

use super::json;
use super::unique_names::UniqueNames;
use crate::domain::client_rule::RuleResult;
use crate::domain::inbound::{Network, Protocol};
use crate::subscription::client::Client;
use crate::subscription::entry::Entry;
use crate::subscription::format::{Format, Order, Reason};

use outbound::{Endpoint, Outbound};
use release::Release;
use template::{SingBoxTemplate, SingBoxTemplates};

/// sing-box's configuration.
pub static SING_BOX: Format = Format {
    client_type: "sing-box",
    rule_result: Some(RuleResult::SingBox),
    content_type: "application/json",
    order: Order::Weight,
    has_chains: true,
    supports: |_, network| !matches!(network, Network::Kcp | Network::H2 | Network::SplitHttp),
    refusal,
    render: |entries, request| render(entries, &request.templates.sing_box, &request.client).into(),
};

fn refusal(entry: &Entry<'_>, client: &Client<'_>) -> Option<Reason> {
    if Release::of(client) == Release::Unknown { refusal::useless(entry) } else { refusal::refusal(entry, client) }
}

fn render(entries: &[Entry<'_>], templates: &SingBoxTemplates, client: &Client<'_>) -> String {
    let release = Release::of(client);
    let template = templates.template(client);
    let mut names = UniqueNames::new(template.tags());
    let tags: Vec<String> = entries.iter().map(|entry| names.unique(&entry.remark)).collect();
    let mut text = String::with_capacity(template.members.len() + 512 + entries.len() * 512);
    text.push('{');
    text.push_str(&template.members);
    if !template.members.is_empty() {
        text.push(',');
    }
    text.push_str("\"outbounds\":[");
    for outbound in &template.outbounds {
        match template.filled(outbound, &tags) {
            Some(group) => json::push_item(&group, &mut text),
            None => json::push_item(outbound, &mut text),
        }
    }
    let mut endpoints = String::from("[");
    let mut push = |entry: &Entry<'_>, tag: &str, detour: Option<&String>| {
        let detour = detour.map(String::as_str);
        if release == Release::Current && entry.protocol == Protocol::Wireguard {
            json::push_item(&Endpoint::new(entry, tag, detour), &mut endpoints);
        } else {
            json::push_item(&Outbound::new(entry, tag, detour, release), &mut text);
        }
    };
    for (entry, tag) in entries.iter().zip(&tags) {
        let hops: Vec<String> = entry.hops.iter().map(|hop| names.unique(&hop.remark)).collect();
        push(entry, tag, hops.first());
        for (index, hop) in entry.hops.iter().enumerate() {
            push(hop, &hops[index], hops.get(index + 1));
        }
    }
    for endpoint in &template.endpoints {
        json::push_item(endpoint, &mut endpoints);
    }
    text.push(']');
    if endpoints.len() > 1 {
        text.push_str(",\"endpoints\":");
        text.push_str(&endpoints);
        text.push(']');
    }
    text.push('}');
    text
}

impl SingBoxTemplate {
    fn tags(&self) -> impl Iterator<Item = &str> {
        self.outbounds.iter().chain(&self.endpoints).filter_map(|outbound| outbound["tag"].as_str())
    }

    /// A group filled with the entries, if the template leaves it empty or lists names that do not exist: such names are
    /// servers of another document, and sing-box refuses them. A selector also gets the automatic groups.
    fn filled(&self, outbound: &Value, tags: &[String]) -> Option<Value> {
        let kind = outbound["type"].as_str().filter(|kind| matches!(*kind, "selector" | "urltest"))?;
        let listed = outbound["outbounds"].as_array().map(Vec::as_slice).unwrap_or_default();
        let exists = |name: &&Value| name.as_str().is_some_and(|name| self.tags().any(|tag| tag == name));
        let existing: Vec<Value> = listed.iter().filter(exists).cloned().collect();
        if !existing.is_empty() {
            if existing.len() == listed.len() {
                return None;
            }
            let entries = tags.iter().map(|tag| tag.as_str().into());
            return Some(with_outbounds(outbound, existing.into_iter().chain(entries).collect()));
        }
        let automatic_groups = self.outbounds.iter().filter(|other| kind == "selector" && other["type"] == "urltest");
        let mut listed: Vec<Value> = automatic_groups
            .map(|other| other["tag"].clone())
            .chain(tags.iter().map(|tag| tag.as_str().into()))
            .collect();
        if listed.is_empty() {
            // sing-box refuses an empty group.
            listed.extend(
                self.outbounds.iter().find(|other| other["type"] == "direct").map(|direct| direct["tag"].clone()),
            );
        }
        Some(with_outbounds(outbound, listed))
    }
}

/// The group with this list. A default that is not listed would be refused.
fn with_outbounds(group: &Value, listed: Vec<Value>) -> Value {
    let mut group = group.clone();
    if let Some(object) = group.as_object_mut()
        && object.get("default").is_some_and(|default| !listed.contains(default))
    {
        object.remove("default");
    }
    group["outbounds"] = listed.into();
    group
}
