//! sing-box's format: one configuration with an outbound for each entry, and groups that list them.

mod outbound;
mod refusal;
mod release;
mod transport;

use serde_json::Value;

use crate::domain::inbound::{Network, Protocol};

use super::entry::{Entry, Reason};
use super::json;
use super::templates::{SingBoxTemplate, SingBoxTemplates};
use super::unique::Names;
use outbound::{Endpoint, Outbound};
use release::Release;

/// Whether sing-box can do it.
pub fn carries(_protocol: Protocol, network: Network) -> bool {
    !matches!(network, Network::Kcp | Network::H2)
}

/// Why this program would refuse the whole configuration for the entry's sake.
pub fn refusal(entry: &Entry<'_>, user_agent: &str) -> Option<Reason> {
    if Release::of(user_agent) == Release::Unknown { None } else { refusal::refusal(entry) }
}

/// The configuration.
pub fn render(entries: &[Entry<'_>], templates: &SingBoxTemplates, user_agent: &str) -> String {
    let release = Release::of(user_agent);
    let template = if release == Release::Current { &templates.current } else { &templates.old };
    let mut names = Names::taken(template.tags());
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
        for (at, hop) in entry.hops.iter().enumerate() {
            push(hop, &hops[at], hops.get(at + 1));
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

    /// A group whose list is empty, with the entries in it; selectors offer the automatic groups as well.
    fn filled(&self, outbound: &Value, tags: &[String]) -> Option<Value> {
        let kind = outbound["type"].as_str().filter(|kind| matches!(*kind, "selector" | "urltest"))?;
        if !outbound["outbounds"].as_array().is_none_or(Vec::is_empty) {
            return None;
        }
        let automatic = self.outbounds.iter().filter(|other| kind == "selector" && other["type"] == "urltest");
        let mut listed: Vec<Value> =
            automatic.map(|other| other["tag"].clone()).chain(tags.iter().map(|tag| tag.as_str().into())).collect();
        if listed.is_empty() {
            // A group of nothing is refused.
            listed.extend(
                self.outbounds.iter().find(|other| other["type"] == "direct").map(|direct| direct["tag"].clone()),
            );
        }
        let mut group = outbound.clone();
        group["outbounds"] = listed.into();
        Some(group)
    }
}
