//! Clash's formats: YAML with one proxy a line, written as JSON within YAML, which every reader of YAML takes.

mod proxy;

use serde_json::{Value, json};
use uuid::Uuid;

use crate::domain::inbound::{Network, Protocol, Security};

use super::entry::{Entry, Reason};
use super::pages::{PageError, Pages};
use super::shadowsocks;
use super::templates::ClashTemplate;
use super::unique::Names;
use super::yaml;
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

/// Why the program would refuse the whole configuration for the entry's sake, or could never reach the server.
pub fn refusal(dialect: Dialect, entry: &Entry<'_>) -> Option<Reason> {
    let meta = dialect == Dialect::Meta;
    let knows_cipher = match dialect {
        Dialect::Clash => shadowsocks::is_known_to_first_clash(entry.method),
        Dialect::Meta => shadowsocks::is_known(entry.method, entry.password),
    };
    let vmess = entry.protocol == Protocol::Vmess;
    let checks = [
        (meta || entry.security != Security::Reality, "Clash has no REALITY"),
        (u16::try_from(entry.port).is_ok(), "its port is none"),
        (entry.protocol != Protocol::Shadowsocks || knows_cipher, "Clash does not know its cipher"),
        (
            !vmess || entry.security != Security::None || !matches!(entry.network, Network::H2 | Network::Grpc),
            "Clash has its transport only with TLS",
        ),
        (meta || !vmess || Uuid::try_parse(entry.uuid).is_ok(), "its id is no UUID"),
    ];
    checks.into_iter().find(|(fine, _)| !fine).map(|(_, reason)| reason)
}

/// The configuration. The error is that of the operator's page, in whose place the template was taken.
pub fn render(
    dialect: Dialect,
    entries: &[Entry<'_>],
    template: &ClashTemplate,
    pages: &Pages,
) -> (String, Option<PageError>) {
    let groups = template.groups.iter().filter_map(|group| group["name"].as_str());
    let mut names = Names::taken(groups.chain(["DIRECT", "REJECT", "GLOBAL"]));
    let proxies: Vec<(String, &Entry<'_>)> = entries.iter().map(|entry| (names.unique(&entry.remark), entry)).collect();
    if !pages.have_clash() {
        return (document(dialect, &proxies, template), None);
    }
    let listed: Vec<&str> = proxies.iter().map(|(name, _)| name.as_str()).collect();
    match pages.clash(&configuration(dialect, &proxies, template), &listed) {
        Some(Ok(text)) => (text, None),
        Some(Err(error)) => (document(dialect, &proxies, template), Some(error)),
        None => (document(dialect, &proxies, template), None),
    }
}

/// The template around the proxies, as data.
fn configuration(dialect: Dialect, proxies: &[(String, &Entry<'_>)], template: &ClashTemplate) -> Value {
    let mut configuration: serde_json::Map<String, Value> = template.members.iter().cloned().collect();
    let groups: Vec<Value> = template
        .groups
        .iter()
        .enumerate()
        .map(|(at, group)| if at == 0 { filled(group, proxies) } else { group.clone() })
        .collect();
    let all = proxies.iter().map(|(name, entry)| json!(Proxy::new(dialect, entry, name))).collect();
    configuration.insert("proxy-groups".to_owned(), groups.into());
    configuration.insert("proxies".to_owned(), all);
    configuration.into()
}

/// The template around the proxies, as text.
fn document(dialect: Dialect, proxies: &[(String, &Entry<'_>)], template: &ClashTemplate) -> String {
    let mut text = String::with_capacity(512 + proxies.len() * 384);
    for (name, value) in &template.members {
        yaml::push_member(name, value, &mut text);
    }
    text.push_str("proxy-groups:\n");
    for (at, group) in template.groups.iter().enumerate() {
        if at == 0 {
            yaml::push_item(&filled(group, proxies), &mut text);
        } else {
            yaml::push_item(group, &mut text);
        }
    }
    // A key without anything below it would be null.
    text.push_str(if proxies.is_empty() { "proxies: []\n" } else { "proxies:\n" });
    for (name, entry) in proxies {
        yaml::push_item(&Proxy::new(dialect, entry, name), &mut text);
    }
    text
}

/// A group that lists all proxies. One of nothing is refused.
fn filled(group: &Value, proxies: &[(String, &Entry<'_>)]) -> Value {
    let listed: Vec<&str> = proxies.iter().map(|(name, _)| name.as_str()).collect();
    let mut filled = group.clone();
    filled["proxies"] = if listed.is_empty() { json!(["DIRECT"]) } else { listed.into() };
    filled
}
