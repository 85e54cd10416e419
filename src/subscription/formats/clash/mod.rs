//! Clash and Clash.Meta: YAML with one proxy per line, each line in JSON syntax, which all YAML parsers read.

mod credential;
mod options;
mod proxy;
mod refusal;
pub mod template;
mod xhttp_extra;

use serde_json::{Value, json};

use super::unique_names::UniqueNames;
use crate::domain::client_rule::RuleResult;
use crate::subscription::entry::Entry;
use crate::subscription::format::{Document, Format, Order};
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
    supports: |protocol, network| refusal::supports(Dialect::Clash, protocol, network),
    refusal: |entry, client| refusal::refusal(Dialect::Clash, entry, client),
    render: |entries, request| render(Dialect::Clash, entries, request),
};

/// The configuration of Clash.Meta, now called Mihomo.
pub static CLASH_META: Format = Format {
    client_type: "clash-meta",
    rule_result: Some(RuleResult::ClashMeta),
    content_type: "text/yaml; charset=utf-8",
    order: Order::Weight,
    has_chains: false,
    supports: |protocol, network| refusal::supports(Dialect::Meta, protocol, network),
    refusal: |entry, client| refusal::refusal(Dialect::Meta, entry, client),
    render: |entries, request| render(Dialect::Meta, entries, request),
};

/// Renders the operator's Jinja template if there is one, and the fixed parts around the proxies otherwise.
fn render(dialect: Dialect, entries: &[Entry<'_>], request: &Request<'_>) -> Document {
    let (template, pages) = (&request.templates.clash, &request.templates.pages);
    let mut names = UniqueNames::new(template.names());
    let proxies: Vec<(String, &Entry<'_>)> = entries.iter().map(|entry| (names.unique(&entry.remark), entry)).collect();
    let listed: Vec<&str> = proxies.iter().map(|(name, _)| name.as_str()).collect();
    let groups = template.filled_groups(&listed);
    let Some(page) = pages.clash_page() else { return document(dialect, &proxies, template, &groups).into() };
    match pages.clash(page, &configuration(dialect, &proxies, template, &groups), &listed, request.variables.now()) {
        Ok(body) => body.into(),
        Err(error) => Document { body: document(dialect, &proxies, template, &groups), template_error: Some(error) },
    }
}

/// The template around the proxies, as a value.
fn configuration(
    dialect: Dialect,
    proxies: &[(String, &Entry<'_>)],
    template: &ClashTemplate,
    groups: &[Value],
) -> Value {
    let mut configuration: serde_json::Map<String, Value> = template.members.iter().cloned().collect();
    let entries = proxies.iter().map(|(name, entry)| json!(Proxy::new(dialect, entry, name)));
    let all = template.proxies.iter().cloned().chain(entries).collect();
    configuration.insert("proxy-groups".to_owned(), groups.into());
    configuration.insert("proxies".to_owned(), all);
    configuration.into()
}

/// The template around the proxies, as text.
fn document(dialect: Dialect, proxies: &[(String, &Entry<'_>)], template: &ClashTemplate, groups: &[Value]) -> String {
    let mut text = String::with_capacity(512 + proxies.len() * 384);
    for (name, value) in &template.members {
        yaml::push_member(name, value, &mut text);
    }
    text.push_str("proxy-groups:\n");
    for group in groups {
        yaml::push_item(group, &mut text);
    }
    // A key with nothing below it would be null.
    let is_empty = proxies.is_empty() && template.proxies.is_empty();
    text.push_str(if is_empty { "proxies: []\n" } else { "proxies:\n" });
    for proxy in &template.proxies {
        yaml::push_item(proxy, &mut text);
    }
    for (name, entry) in proxies {
        yaml::push_item(&Proxy::new(dialect, entry, name), &mut text);
    }
    text
}
