//! Clash's formats: YAML with one proxy a line, written as JSON within YAML, which every reader of YAML takes.

mod proxy;
mod yaml;

use serde_json::Value;

use crate::domain::inbound::{Network, Protocol, Security};

use super::entry::Entry;
use super::templates::ClashTemplate;
use super::unique::Names;
use proxy::Proxy;

/// Which of the two programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Clash as it was first.
    Clash,
    /// Clash.Meta, later Mihomo: it knows VLESS, REALITY and fingerprints.
    Meta,
}

/// Whether the program can do it.
pub fn carries(dialect: Dialect, protocol: Protocol, network: Network) -> bool {
    let speaks = match protocol {
        Protocol::Vmess | Protocol::Trojan | Protocol::Shadowsocks => true,
        Protocol::Vless => dialect == Dialect::Meta,
        _ => false,
    };
    let carried =
        matches!(network, Network::Tcp | Network::Http | Network::Ws | Network::Grpc | Network::H2 | Network::Unset);
    speaks && carried
}

/// The configuration.
pub fn render(dialect: Dialect, entries: &[Entry<'_>], template: &ClashTemplate) -> String {
    // Without REALITY such a server cannot be reached at all.
    let reachable = |entry: &&Entry<'_>| dialect == Dialect::Meta || entry.security != Security::Reality;
    let groups = template.groups.iter().filter_map(|group| group["name"].as_str());
    let mut names = Names::taken(groups.chain(["DIRECT", "REJECT", "GLOBAL"]));
    let proxies: Vec<(String, &Entry<'_>)> =
        entries.iter().filter(reachable).map(|entry| (names.unique(&entry.remark), entry)).collect();
    let mut text = String::with_capacity(512 + proxies.len() * 384);
    for (name, value) in &template.members {
        yaml::push_member(name, value, &mut text);
    }
    text.push_str("proxy-groups:\n");
    for (at, group) in template.groups.iter().enumerate() {
        if at == 0 {
            let mut first = group.clone();
            first["proxies"] = proxies.iter().map(|(name, _)| Value::from(name.as_str())).collect();
            yaml::push_item(&first, &mut text);
        } else {
            yaml::push_item(group, &mut text);
        }
    }
    // A key without anything below it would be null.
    text.push_str(if proxies.is_empty() { "proxies: []\n" } else { "proxies:\n" });
    for (name, entry) in &proxies {
        yaml::push_item(&Proxy::new(dialect, entry, name), &mut text);
    }
    text
}
