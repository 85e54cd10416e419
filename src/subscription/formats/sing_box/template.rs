//! The fixed parts of a sing-box configuration; operators may supply their own.

use serde_json::{Value, json};

use super::ages::Ages;
use super::release::Release;
use crate::domain::programs::Core;
use crate::subscription::client::Client;
use crate::subscription::formats::group::{Group, OpenGroup};
use crate::subscription::formats::template_object::{TemplateError, members, parse_json, take_objects};

/// Log, name servers, routes and the tunnel, for sing-box before 1.12.
const OLD_MEMBERS: &str = r#""log": {"level": "warn"},
"dns": {"servers": [{"tag": "dns-remote", "address": "1.1.1.2", "detour": "proxy"}, {"tag": "dns-local", "address": "local", "detour": "direct"}], "rules": [{"outbound": "any", "server": "dns-local"}], "final": "dns-remote", "strategy": "prefer_ipv4"},
"inbounds": [{"type": "tun", "tag": "tun-in", "interface_name": "sbtun0", "address": ["172.19.0.1/30", "fdfe:dcba:9876::1/126"], "auto_route": true, "route_exclude_address": ["192.168.0.0/16", "fc00::/7"], "sniff": true, "domain_strategy": "prefer_ipv4"}],
"route": {"rules": [{"protocol": "dns", "outbound": "dns-out"}, {"ip_is_private": true, "outbound": "direct"}], "final": "proxy", "auto_detect_interface": true, "override_android_vpn": true},
"experimental": {"cache_file": {"enabled": true, "store_rdrc": true}}"#;

/// The same parts for sing-box 1.12 and later: typed name servers, and rules with actions.
const CURRENT_MEMBERS: &str = r#""log": {"level": "warn"},
"dns": {"servers": [{"tag": "dns-remote", "type": "udp", "server": "1.1.1.2", "detour": "proxy"}, {"tag": "dns-local", "type": "local"}], "final": "dns-remote", "strategy": "prefer_ipv4"},
"inbounds": [{"type": "tun", "tag": "tun-in", "interface_name": "sbtun0", "address": ["172.19.0.1/30", "fdfe:dcba:9876::1/126"], "auto_route": true, "route_exclude_address": ["192.168.0.0/16", "fc00::/7"]}],
"route": {"rules": [{"action": "sniff"}, {"protocol": "dns", "action": "hijack-dns"}, {"ip_is_private": true, "outbound": "direct"}], "final": "proxy", "auto_detect_interface": true, "default_domain_resolver": "dns-local"},
"experimental": {"cache_file": {"enabled": true}}"#;

/// The member of a group with the names that it lists.
const LIST: &str = "outbounds";

/// The parts around the entries, by the version of the sing-box that reads them.
#[derive(Clone, Debug)]
pub struct SingBoxTemplates {
    /// The operator's, for the versions that read it.
    own: Option<(SingBoxTemplate, Ages)>,
    /// For sing-box before 1.12 or of an unknown version.
    old: SingBoxTemplate,
    /// For sing-box 1.12 and later.
    current: SingBoxTemplate,
}

/// The parts around the entries.
#[derive(Clone, Debug)]
pub(super) struct SingBoxTemplate {
    /// The members of the object except `outbounds` and `endpoints`, as JSON without the braces.
    pub(super) members: String,
    /// The endpoints after the entries'.
    pub(super) endpoints: Vec<Value>,
    /// The outbounds before the entries'.
    pub(super) outbounds: Vec<Group>,
    /// The tags of outbounds and endpoints.
    pub(super) tags: Vec<String>,
}

impl SingBoxTemplates {
    /// Reads a complete sing-box configuration, which is then used for the versions that read it.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let mut object = parse_json(text)?;
        let ages = Ages::of(&object);
        let outbounds = take_objects(&mut object, "outbounds")?;
        let endpoints = take_objects(&mut object, "endpoints")?;
        let template = SingBoxTemplate::new(members(&object), endpoints, &outbounds);
        Ok(Self { own: Some((template, ages)), ..Self::built_in() })
    }

    /// A warning about members of the operator's template that sing-box has removed.
    pub fn warning(&self) -> Option<String> {
        self.own.as_ref()?.1.warning()
    }

    /// The template for a client.
    pub(super) fn template(&self, client: &Client<'_>) -> &SingBoxTemplate {
        match &self.own {
            Some((template, ages)) if ages.fit(client.age(Core::SingBox)) => template,
            _ if Release::of(client) == Release::Current => &self.current,
            _ => &self.old,
        }
    }

    pub(in crate::subscription) fn built_in() -> Self {
        let template =
            |members: &str, outbounds: &[Value]| SingBoxTemplate::new(members.to_owned(), Vec::new(), outbounds);
        let outbounds = [
            json!({"type": "selector", "tag": "proxy", "outbounds": [], "interrupt_exist_connections": true}),
            json!({"type": "urltest", "tag": "Best Latency", "outbounds": []}),
            json!({"type": "direct", "tag": "direct"}),
            json!({"type": "block", "tag": "block"}),
            json!({"type": "dns", "tag": "dns-out"}),
        ];
        // In sing-box 1.12 rule actions replaced the last two.
        let (old, current) = (template(OLD_MEMBERS, &outbounds), template(CURRENT_MEMBERS, &outbounds[..3]));
        Self { own: None, old, current }
    }
}

impl SingBoxTemplate {
    fn new(members: String, endpoints: Vec<Value>, outbounds: &[Value]) -> Self {
        let tag = |outbound: &Value| outbound["tag"].as_str().map(str::to_owned);
        let tags: Vec<String> = outbounds.iter().chain(&endpoints).filter_map(tag).collect();
        let of_kind = |kind: &'static str| outbounds.iter().filter(move |other| other["type"] == kind).filter_map(tag);
        let (automatic, direct) = (of_kind("urltest").collect::<Vec<_>>(), of_kind("direct").next());
        let outbounds = outbounds.iter().map(|outbound| group(outbound, &tags, &automatic, direct.clone())).collect();
        Self { members, endpoints, outbounds, tags }
    }
}

/// An outbound of a template with these tags. Entries are added to a group that the template leaves empty or that lists
/// names that do not exist: such names are servers of another document, and sing-box refuses them. An empty selector also
/// gets the automatic groups. sing-box refuses an empty group, which gets `direct`.
fn group(outbound: &Value, tags: &[String], automatic: &[String], direct: Option<String>) -> Group {
    let listed = outbound["outbounds"].as_array().map(Vec::as_slice).unwrap_or_default();
    let existing: Vec<String> = listed
        .iter()
        .filter_map(Value::as_str)
        .filter(|name| tags.iter().any(|tag| tag == name))
        .map(str::to_owned)
        .collect();
    let is_whole = !existing.is_empty() && existing.len() == listed.len();
    let (Some(kind @ ("selector" | "urltest")), Value::Object(members), false) =
        (outbound["type"].as_str(), outbound, is_whole)
    else {
        return Group::Fixed(outbound.clone());
    };
    let mut members = members.clone();
    members.insert(LIST.to_owned(), Value::Null);
    let listed = match (existing.is_empty(), kind) {
        (false, _) => existing,
        (true, "selector") => automatic.to_vec(),
        (true, _) => Vec::new(),
    };
    Group::Open(OpenGroup { members, list: LIST, listed, fallback: direct })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_parts_are_json() {
        for members in [OLD_MEMBERS, CURRENT_MEMBERS] {
            assert!(parse_json(&format!("{{{members}}}")).is_ok());
        }
    }

    #[test]
    fn template_of_another_shape_is_refused() {
        for text in ["", "[]", "{\"outbounds\": {}}", "{\"outbounds\": [1]}", "{\"endpoints\": 1}"] {
            assert!(SingBoxTemplates::parse(text).is_err(), "{text}");
        }
    }
}
