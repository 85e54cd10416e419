//! sing-box's format: one configuration with an outbound for each entry, and groups that list them.

mod outbound;
mod transport;

use serde_json::Value;

use crate::domain::inbound::{Network, Protocol};

use super::entry::Entry;
use super::json;
use super::templates::SingBoxTemplate;
use super::unique::Names;
use outbound::Outbound;

/// Whether sing-box can do it.
pub fn carries(_protocol: Protocol, network: Network) -> bool {
    !matches!(network, Network::Kcp | Network::H2)
}

/// The configuration.
pub fn render(entries: &[Entry<'_>], template: &SingBoxTemplate) -> String {
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
    for (entry, tag) in entries.iter().zip(&tags) {
        let hops: Vec<String> = entry.hops.iter().map(|hop| names.unique(&hop.remark)).collect();
        json::push_item(&Outbound::new(entry, tag, hops.first()), &mut text);
        for (at, hop) in entry.hops.iter().enumerate() {
            json::push_item(&Outbound::new(hop, &hops[at], hops.get(at + 1)), &mut text);
        }
    }
    text.push_str("]}");
    text
}

impl SingBoxTemplate {
    fn tags(&self) -> impl Iterator<Item = &str> {
        self.outbounds.iter().filter_map(|outbound| outbound["tag"].as_str())
    }

    /// A group whose list is empty, with the entries in it; selectors offer the automatic groups as well.
    fn filled(&self, outbound: &Value, tags: &[String]) -> Option<Value> {
        let kind = outbound["type"].as_str().filter(|kind| matches!(*kind, "selector" | "urltest"))?;
        if !outbound["outbounds"].as_array().is_none_or(Vec::is_empty) {
            return None;
        }
        let automatic = self.outbounds.iter().filter(|other| kind == "selector" && other["type"] == "urltest");
        let mut group = outbound.clone();
        group["outbounds"] =
            automatic.map(|other| other["tag"].clone()).chain(tags.iter().map(|tag| tag.as_str().into())).collect();
        Some(group)
    }
}
