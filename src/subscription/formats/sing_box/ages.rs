//! The versions of sing-box that read a template: newer ones refuse what was removed, older ones what they do not know.

use serde_json::{Map, Value};

use crate::subscription::client::{Age, Version};
use crate::subscription::formats::refused_members;

/// The first version that knows rule actions and endpoints.
const ACTIONS: Version = Version(1, 11, 0);
/// The first version that knows typed name servers.
const TYPED_SERVERS: Version = Version(1, 12, 0);

/// Refused from this version on; the programs themselves judge the list in tests/subscription/sing_box_ages.rs.
const CLASH_API_CACHE: Version = Version(1, 10, 0);
const SPECIAL_OUTBOUNDS: Version = Version(1, 12, 0);
const OLD_SERVERS: Version = Version(1, 13, 0);
const OLD_INBOUND_FIELDS: Version = Version(1, 14, 0);

/// Fields of a tun inbound.
const TUN: [&str; 7] = [
    "inet4_address",
    "inet6_address",
    "inet4_route_address",
    "inet6_route_address",
    "inet4_route_exclude_address",
    "inet6_route_exclude_address",
    "gso",
];
/// Fields of all inbounds.
const INBOUND: [&str; 5] =
    ["sniff", "sniff_override_destination", "sniff_timeout", "domain_strategy", "udp_disable_domain_unmapping"];
/// Lists of rules by country or category.
const GEO: [&str; 3] = ["geoip", "geosite", "source_geoip"];
const CLASH_API: [&str; 5] = ["cache_file", "cache_id", "store_mode", "store_selected", "store_fakeip"];

/// The versions that read a template.
#[derive(Clone, Debug, Default)]
pub(super) struct Ages {
    since: Option<Version>,
    /// Removed members by their place, each with the first version that refuses it.
    removed: Vec<(String, Version)>,
}

impl Ages {
    /// Looks for members of a configuration that not all versions have.
    pub(super) fn of(configuration: &Map<String, Value>) -> Self {
        let mut ages = Self::default();
        let list = |path: &str| items(configuration, path);
        for (place, inbound) in list("inbounds") {
            ages.remove(&place, inbound, &INBOUND, OLD_INBOUND_FIELDS);
            if inbound["type"] == "tun" {
                ages.remove(&place, inbound, &TUN, SPECIAL_OUTBOUNDS);
            }
        }
        for (place, outbound) in list("outbounds") {
            ages.remove(&place, outbound, &["domain_strategy"], OLD_SERVERS);
            if let Some(kind @ ("dns" | "wireguard")) = outbound["type"].as_str() {
                ages.removed.push((format!("{place} of type {kind}"), SPECIAL_OUTBOUNDS));
            }
            if outbound["type"] == "direct" {
                ages.remove(&place, outbound, &["override_address", "override_port"], SPECIAL_OUTBOUNDS);
            }
        }
        for (place, server) in list("dns.servers") {
            ages.remove(&place, server, &["address"], OLD_SERVERS);
            ages.need(server.get("type").is_some(), TYPED_SERVERS);
        }
        if let Some(dns) = configuration.get("dns") {
            ages.remove("dns", dns, &["fakeip"], OLD_SERVERS);
        }
        for (place, rule) in list("dns.rules").flat_map(with_inner) {
            ages.remove(&place, rule, &["outbound"], OLD_SERVERS);
            ages.remove(&place, rule, &GEO, SPECIAL_OUTBOUNDS);
            ages.need(rule.get("action").is_some(), ACTIONS);
        }
        for (place, rule) in list("route.rules").flat_map(with_inner) {
            ages.remove(&place, rule, &GEO, SPECIAL_OUTBOUNDS);
            ages.need(rule.get("action").is_some(), ACTIONS);
        }
        let member = |path: [&str; 2]| configuration.get(path[0]).and_then(|parent| parent.get(path[1]));
        if let Some(api) = member(["experimental", "clash_api"]) {
            ages.remove("experimental.clash_api", api, &CLASH_API, CLASH_API_CACHE);
        }
        ages.need(member(["route", "default_domain_resolver"]).is_some(), TYPED_SERVERS);
        ages.need(items(configuration, "endpoints").next().is_some(), ACTIONS);
        ages.removed.sort_by_key(|(_, version)| *version);
        ages
    }

    fn remove(&mut self, place: &str, object: &Value, names: &[&str], version: Version) {
        let present = names.iter().filter(|name| object.get(**name).is_some());
        self.removed.extend(present.map(|name| (format!("{place}.{name}"), version)));
    }

    fn need(&mut self, is_present: bool, version: Version) {
        if is_present {
            self.since = self.since.max(Some(version));
        }
    }

    fn until(&self) -> Option<Version> {
        self.removed.first().map(|(_, version)| *version)
    }

    /// True for a client that reads the template. A client that is no sing-box takes what it knows.
    pub(super) fn fit(&self, age: Age) -> bool {
        match age {
            Age::Unknown => true,
            Age::Current => self.until().is_none(),
            Age::Of(version) => {
                self.since.is_none_or(|since| version >= since) && self.until().is_none_or(|until| version < until)
            }
        }
    }

    /// The sentence about removed members, if there are some.
    pub(super) fn warning(&self) -> Option<String> {
        refused_members::warning("sing-box", &self.removed)
    }
}

/// A rule with the rules inside it, at any depth, up to a number that no template has.
fn with_inner((place, rule): (String, &Value)) -> Vec<(String, &Value)> {
    const MOST: usize = 10_000;
    let mut all = vec![(place, rule)];
    let mut at = 0;
    while at < all.len() && all.len() < MOST {
        let (place, rule) = &all[at];
        let inner = rule["rules"].as_array().into_iter().flatten().enumerate();
        let inner: Vec<_> = inner.map(|(index, rule)| (format!("{place}.rules[{index}]"), rule)).collect();
        all.extend(inner);
        at += 1;
    }
    all
}

/// The elements of a list at `name` or `parent.name`, each with its place.
fn items<'a>(configuration: &'a Map<String, Value>, path: &str) -> impl Iterator<Item = (String, &'a Value)> + use<'a> {
    let list = match path.split_once('.') {
        Some((parent, name)) => configuration.get(parent).and_then(|parent| parent.get(name)),
        None => configuration.get(path),
    };
    let path = path.to_owned();
    let elements = list.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default().iter();
    elements.enumerate().map(move |(index, element)| (format!("{path}[{index}]"), element))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn ages(configuration: Value) -> Ages {
        Ages::of(configuration.as_object().unwrap())
    }

    #[test]
    fn template_fits_the_versions_that_know_its_members() {
        let fits = |configuration: &Value| {
            let ages = ages(configuration.clone());
            let of = |minor| ages.fit(Age::Of(Version(1, minor, 0)));
            (ages.fit(Age::Unknown), of(8), of(11), of(12), of(13), of(14), ages.fit(Age::Current))
        };
        assert_eq!(fits(&json!({"log": {}})), (true, true, true, true, true, true, true));
        let old = json!({"outbounds": [{"type": "direct"}, {"type": "dns"}], "inbounds": [{"sniff": true}]});
        assert_eq!(fits(&old), (true, true, true, false, false, false, false));
        let typed = json!({"dns": {"servers": [{"type": "local"}]}});
        assert_eq!(fits(&typed), (true, false, false, true, true, true, true));
        let between = json!({"dns": {"servers": [{"address": "local"}]}, "route": {"rules": [{"action": "sniff"}]}});
        assert_eq!(fits(&between), (true, false, true, true, false, false, false));
    }

    #[test]
    fn warning_names_what_was_removed_and_the_first_version_without_it() {
        assert_eq!(ages(json!({})).warning(), None);
        let configuration = json!({
            "inbounds": [{"type": "tun", "inet4_address": [], "sniff": true}],
            "outbounds": [{"type": "dns"}],
        });
        let warning = ages(configuration).warning().unwrap();
        assert!(
            warning.starts_with("sing-box 1.12 and later refuse inbounds[0].inet4_address, outbounds[0] of type dns")
        );
    }

    #[test]
    fn rules_inside_logical_rules_are_read() {
        let geo = json!({"type": "logical", "rules": [{"geoip": ["ir"]}, {"type": "logical", "rules": [{"geosite": ["a"]}]}]});
        let warning = ages(json!({"route": {"rules": [{}, geo]}})).warning().unwrap();
        assert!(
            warning.contains("route.rules[1].rules[0].geoip")
                && warning.contains("route.rules[1].rules[1].rules[0].geosite"),
            "{warning}"
        );
        let action = json!({"type": "logical", "rules": [{"type": "logical", "rules": [{"action": "x"}]}]});
        let new = ages(json!({"dns": {"rules": [action]}}));
        assert!(!new.fit(Age::Of(Version(1, 10, 0))) && new.fit(Age::Of(Version(1, 11, 0))));
    }

    #[test]
    fn configuration_of_any_shape_is_read() {
        let odd = json!({"dns": 1, "route": [], "inbounds": {}, "outbounds": [1, null], "experimental": ""});
        assert!(ages(odd).warning().is_none());
    }
}
