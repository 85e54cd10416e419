//! Clash and Clash.Meta: YAML with one proxy per line, each line in JSON syntax, which all YAML parsers read.

mod credential;
mod options;
mod proxy;
mod refusal;
pub mod template;
pub(super) mod xhttp_extra;

use std::borrow::Cow;

use serde_json::{Value, json};

use super::unique_names::UniqueNames;
use crate::domain::client_rule::RuleResult;
use crate::domain::programs::Core;
use crate::subscription::entry::Entry;
use crate::subscription::format::{Document, Format, Order};
use crate::subscription::request::Request;
use crate::subscription::text_buffer::TextBuffer;
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
    needs_entry: false,
    supports: |protocol, network| refusal::supports(Dialect::Clash, protocol, network),
    core: Some(Core::Mihomo),
    refusals: |entry| refusal::refusals(Dialect::Clash, entry),
    render: |entries, request| render(Dialect::Clash, entries, request),
};

/// The configuration of Clash.Meta, now called Mihomo.
pub static CLASH_META: Format = Format {
    client_type: "clash-meta",
    rule_result: Some(RuleResult::ClashMeta),
    content_type: "text/yaml; charset=utf-8",
    order: Order::Weight,
    has_chains: false,
    needs_entry: false,
    supports: |protocol, network| refusal::supports(Dialect::Meta, protocol, network),
    core: Some(Core::Mihomo),
    refusals: |entry| refusal::refusals(Dialect::Meta, entry),
    render: |entries, request| render(Dialect::Meta, entries, request),
};

/// An entry with its unique name.
type Named<'a> = (Cow<'a, str>, &'a Entry<'a>);

/// Renders the operator's Jinja template if there is one, and the fixed parts around the proxies otherwise.
fn render(dialect: Dialect, entries: &[Entry<'_>], request: &Request<'_>) -> Document {
    let (template, pages) = (&request.templates.clash, &request.templates.pages);
    let mut names = UniqueNames::new(template.names.iter().map(String::as_str));
    let proxies: Vec<Named<'_>> = entries.iter().map(|entry| (names.unique(&entry.remark), entry)).collect();
    let listed: Vec<&str> = proxies.iter().map(|(name, _)| name.as_ref()).collect();
    let document = || document(dialect, &proxies, template, &listed);
    let Some(page) = pages.clash_page() else { return document().into() };
    match pages.clash(page, &configuration(dialect, &proxies, template, &listed), &listed, request.variables.now()) {
        Ok(body) => body.into(),
        Err(error) => Document { body: document(), template_error: Some(error) },
    }
}

/// The template around the proxies, as a value.
fn configuration(dialect: Dialect, proxies: &[Named<'_>], template: &ClashTemplate, listed: &[&str]) -> Value {
    let mut configuration: serde_json::Map<String, Value> = template.members.iter().cloned().collect();
    let entries = proxies.iter().map(|(name, entry)| json!(Proxy::new(dialect, entry, name)));
    let all = template.proxies.iter().cloned().chain(entries).collect();
    let groups = template.groups.iter().map(|group| json!(group.filled(listed))).collect();
    configuration.insert("proxy-groups".to_owned(), groups);
    configuration.insert("proxies".to_owned(), all);
    configuration.into()
}

/// The template around the proxies, as text.
fn document(dialect: Dialect, proxies: &[Named<'_>], template: &ClashTemplate, listed: &[&str]) -> String {
    let mut text = TextBuffer::with_capacity(512 + proxies.len() * 448);
    for (name, value) in &template.members {
        yaml::push_member(name, value, &mut text);
    }
    text.push_str("proxy-groups:\n");
    for group in &template.groups {
        yaml::push_item(&group.filled(listed), &mut text);
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
    text.into_string()
}
