//! Clash and Clash.Meta: YAML with one proxy per line, each line in JSON syntax, which all YAML parsers read.

mod proxy;
pub mod template;

use serde_json::{Value, json};
use uuid::Uuid;

use super::shadowsocks;
use super::unique_names::UniqueNames;
use crate::domain::inbound::{Network, Protocol, Security};
use crate::domain::subscription_settings::RuleResult;
use crate::subscription::entry::Entry;
use crate::subscription::format::{Document, Format, Order, Reason};
use crate::subscription::request::Request;
use crate::subscription::yaml;

use proxy::{Dialect, Proxy};
use template::ClashTemplate;

/// The configuration of the original Clash.
pub static CLASH: Format = Format {
    client_type: "clash",
    rule_result: Some(RuleResult::Clash),
    content_type: "text/yaml; charset=utf-8",
    order: Order::Weight,
    has_chains: false,
    supports: |protocol, network| supports(Dialect::Clash, protocol, network),
    refusal: |entry, _| refusal(Dialect::Clash, entry),
    render: |entries, request| render(Dialect::Clash, entries, request),
};

/// The configuration of Clash.Meta, now called Mihomo.
pub static CLASH_META: Format = Format {
    client_type: "clash-meta",
    rule_result: Some(RuleResult::ClashMeta),
    content_type: "text/yaml; charset=utf-8",
    order: Order::Weight,
    has_chains: false,
    supports: |protocol, network| supports(Dialect::Meta, protocol, network),
    refusal: |entry, _| refusal(Dialect::Meta, entry),
    render: |entries, request| render(Dialect::Meta, entries, request),
};

fn supports(dialect: Dialect, protocol: Protocol, network: Network) -> bool {
    let has_protocol = match protocol {
        Protocol::Vmess | Protocol::Trojan | Protocol::Shadowsocks => true,
        Protocol::Vless => dialect == Dialect::Meta,
        _ => false,
    };
    let has_transport =
        matches!(network, Network::Tcp | Network::Http | Network::Ws | Network::Grpc | Network::H2 | Network::Unset);
    has_protocol && has_transport
}

fn refusal(dialect: Dialect, entry: &Entry<'_>) -> Option<Reason> {
    let meta = dialect == Dialect::Meta;
    let knows_cipher = match dialect {
        Dialect::Clash => shadowsocks::is_known_to_clash(entry.method),
        Dialect::Meta => shadowsocks::is_valid(entry.method, entry.password),
    };
    let vmess = entry.protocol == Protocol::Vmess;
    let checks = [
        (meta || entry.security != Security::Reality, "Clash does not support REALITY"),
        (u16::try_from(entry.port).is_ok(), "invalid port"),
        (entry.protocol != Protocol::Shadowsocks || knows_cipher, "Clash does not know the cipher"),
        (
            !vmess || entry.security != Security::None || !matches!(entry.network, Network::H2 | Network::Grpc),
            "Clash supports this transport only with TLS",
        ),
        (meta || !vmess || Uuid::try_parse(entry.uuid).is_ok(), "the id is not a UUID"),
    ];
    checks.into_iter().find(|(is_valid, _)| !is_valid).map(|(_, reason)| reason)
}

/// Renders the operator's Jinja template if there is one, and the fixed parts around the proxies otherwise.
fn render(dialect: Dialect, entries: &[Entry<'_>], request: &Request<'_>) -> Document {
    let (template, pages) = (&request.templates.clash, &request.templates.pages);
    let groups = template.groups.iter().filter_map(|group| group["name"].as_str());
    let mut names = UniqueNames::new(groups.chain(["DIRECT", "REJECT", "GLOBAL"]));
    let proxies: Vec<(String, &Entry<'_>)> = entries.iter().map(|entry| (names.unique(&entry.remark), entry)).collect();
    let Some(page) = pages.clash_page() else { return document(dialect, &proxies, template).into() };
    let listed: Vec<&str> = proxies.iter().map(|(name, _)| name.as_str()).collect();
    match pages.clash(page, &configuration(dialect, &proxies, template), &listed) {
        Ok(body) => body.into(),
        Err(error) => Document { body: document(dialect, &proxies, template), template_error: Some(error) },
    }
}

/// The template around the proxies, as a value.
fn configuration(dialect: Dialect, proxies: &[(String, &Entry<'_>)], template: &ClashTemplate) -> Value {
    let mut configuration: serde_json::Map<String, Value> = template.members.iter().cloned().collect();
    let groups: Vec<Value> = template
        .groups
        .iter()
        .enumerate()
        .map(|(index, group)| if index == 0 { filled(group, proxies) } else { group.clone() })
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
    for (index, group) in template.groups.iter().enumerate() {
        if index == 0 {
            yaml::push_item(&filled(group, proxies), &mut text);
        } else {
            yaml::push_item(group, &mut text);
        }
    }
    // A key with nothing below it would be null.
    text.push_str(if proxies.is_empty() { "proxies: []\n" } else { "proxies:\n" });
    for (name, entry) in proxies {
        yaml::push_item(&Proxy::new(dialect, entry, name), &mut text);
    }
    text
}

/// The group with all proxies. An empty group would be refused: it gets DIRECT.
fn filled(group: &Value, proxies: &[(String, &Entry<'_>)]) -> Value {
    let listed: Vec<&str> = proxies.iter().map(|(name, _)| name.as_str()).collect();
    let mut filled = group.clone();
    filled["proxies"] = if listed.is_empty() { json!(["DIRECT"]) } else { listed.into() };
    filled
}
