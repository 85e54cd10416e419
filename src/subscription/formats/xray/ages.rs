//! The versions of Xray that start a template: newer ones refuse the whole configuration for one member that was removed.

use serde_json::{Map, Value};

use crate::subscription::client::{Age, Version};
use crate::subscription::formats::refused_members;

/// The oldest version that was tried; earlier ones may refuse the same. The programs themselves judge the list in
/// tests/subscription/xray_ages.rs.
const TRIED: Version = Version(26, 7, 0);
/// `proxySettings` is refused.
const NO_PROXY_SETTINGS: Version = Version(26, 9, 0);

/// Transports that were removed.
const NETWORKS: [&str; 6] = ["quic", "http", "h2", "h3", "domainsocket", "gun"];
/// Flows that remain.
const FLOWS: [&str; 3] = ["", "xtls-rprx-vision", "xtls-rprx-vision-udp443"];
/// Protocols that can be sniffed for.
const SNIFFED: [&str; 5] = ["http", "tls", "quic", "fakedns", "fakedns+others"];

/// The versions that start a template.
#[derive(Clone, Debug, Default)]
pub(super) struct Ages {
    /// Refused members by their place, each with the first version that refuses it, in the order of versions.
    refused: Vec<(String, Version)>,
}

impl Ages {
    /// Looks for members of a configuration that not all versions take.
    pub(super) fn of(configuration: &Map<String, Value>) -> Self {
        let mut ages = Self::default();
        for name in ["transport", "reverse"] {
            ages.refuse(configuration.get(name).is_some_and(|value| is_used(name, value)), || name.to_owned());
        }
        for (index, inbound) in list(configuration.get("inbounds")) {
            let place = format!("inbounds[{index}]");
            ages.refuse(inbound["protocol"] == "mtproto", || format!("{place}.protocol"));
            for (sniffed, word) in list(inbound["sniffing"].get("destOverride")) {
                let is_known = word.as_str().is_none_or(|word| SNIFFED.contains(&word.to_ascii_lowercase().as_str()));
                ages.refuse(!is_known, || format!("{place}.sniffing.destOverride[{sniffed}]"));
            }
            ages.stream(&place, &inbound["streamSettings"]);
        }
        for (index, outbound) in list(configuration.get("outbounds")) {
            let place = format!("outbounds[{index}]");
            ages.stream(&place, &outbound["streamSettings"]);
            ages.settings(&place, outbound);
            if outbound["proxySettings"]["tag"].as_str().is_some_and(|tag| !tag.is_empty()) {
                ages.refused.push((format!("{place}.proxySettings"), NO_PROXY_SETTINGS));
            }
        }
        for (index, rule) in list(configuration.get("routing").and_then(|routing| routing.get("rules"))) {
            let place = || format!("routing.rules[{index}]");
            let has = |name: &str| rule[name].as_str().is_some_and(|tag| !tag.is_empty());
            ages.refuse(!has("outboundTag") && !has("balancerTag"), || format!("{} without outboundTag", place()));
            ages.refuse(rule["attrs"].is_string(), || format!("{}.attrs", place()));
        }
        ages.refused.sort_by_key(|(_, version)| *version);
        ages
    }

    fn refuse(&mut self, is_refused: bool, place: impl FnOnce() -> String) {
        if is_refused {
            self.refused.push((place(), TRIED));
        }
    }

    fn stream(&mut self, place: &str, stream: &Value) {
        let is_one_of = |name: &str, words: &[&str]| {
            stream[name].as_str().is_some_and(|word| words.contains(&word.to_ascii_lowercase().as_str()))
        };
        self.refuse(is_one_of("network", &NETWORKS), || format!("{place}.streamSettings.network"));
        self.refuse(is_one_of("security", &["xtls"]), || format!("{place}.streamSettings.security"));
        let skips = is_one_of("security", &["tls"]) && stream["tlsSettings"]["allowInsecure"] == true;
        self.refuse(skips, || format!("{place}.streamSettings.tlsSettings.allowInsecure"));
    }

    fn settings(&mut self, place: &str, outbound: &Value) {
        let settings = &outbound["settings"];
        match outbound["protocol"].as_str().unwrap_or_default() {
            "freedom" => self.refuse(settings["noise"].is_object(), || format!("{place}.settings.noise")),
            "vless" => {
                for (server, user) in users(&settings["vnext"]) {
                    let user_place = || format!("{place}.settings.vnext[{server}].users");
                    let flow = user["flow"].as_str().unwrap_or_default();
                    self.refuse(!FLOWS.contains(&flow), || format!("{}.flow", user_place()));
                    let encryption = user["encryption"].as_str().unwrap_or_default();
                    self.refuse(encryption.is_empty(), || format!("{} without encryption", user_place()));
                }
            }
            "trojan" => {
                for (server, one) in list(settings.get("servers")) {
                    let flow = one["flow"].as_str().is_some_and(|flow| !flow.is_empty());
                    self.refuse(flow, || format!("{place}.settings.servers[{server}].flow"));
                }
            }
            "shadowsocks" => {
                for (server, one) in list(settings.get("servers")) {
                    let is_old = one["method"].as_str().is_some_and(is_old_cipher);
                    self.refuse(is_old, || format!("{place}.settings.servers[{server}].method"));
                }
            }
            _ => {}
        }
    }

    /// True for a client that starts the template. A client that is no Xray takes what it knows.
    pub(super) fn fit(&self, age: Age) -> bool {
        let until = self.refused.first().map(|(_, version)| *version);
        match age {
            Age::Unknown => true,
            Age::Current => until.is_none(),
            Age::Of(version) => until.is_none_or(|until| version < until),
        }
    }

    /// The sentence about refused members, if there are some.
    pub(super) fn warning(&self) -> Option<String> {
        refused_members::warning("Xray", &self.refused)
    }
}

fn is_old_cipher(method: &str) -> bool {
    let method = method.to_ascii_lowercase();
    matches!(method.as_str(), "none" | "plain" | "rc4-md5" | "chacha20" | "chacha20-ietf")
        || method.ends_with("-cfb")
        || method.ends_with("-ctr")
}

/// Null is taken as absent, and so is an empty object of transports.
fn is_used(name: &str, value: &Value) -> bool {
    let is_empty = name == "transport" && value.as_object().is_some_and(Map::is_empty);
    !value.is_null() && !is_empty
}

/// All users of a list of servers, each with the index of its server.
fn users(servers: &Value) -> impl Iterator<Item = (usize, &Value)> {
    list(Some(servers)).flat_map(|(index, server)| list(server.get("users")).map(move |(_, user)| (index, user)))
}

fn list(value: Option<&Value>) -> impl Iterator<Item = (usize, &Value)> {
    value.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default().iter().enumerate()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn ages(configuration: Value) -> Ages {
        Ages::of(configuration.as_object().unwrap())
    }

    #[test]
    fn template_fits_the_versions_that_take_its_members() {
        let fits = |configuration: Value| {
            let ages = ages(configuration);
            let of = |minor| ages.fit(Age::Of(Version(26, minor, 1)));
            (ages.fit(Age::Unknown), ages.fit(Age::Of(Version(25, 1, 1))), of(7), of(9), ages.fit(Age::Current))
        };
        assert_eq!(fits(json!({"log": {}, "outbounds": [{"protocol": "freedom"}]})), (true, true, true, true, true));
        let chained = json!({"outbounds": [{"proxySettings": {"tag": "a"}}]});
        assert_eq!(fits(chained), (true, true, true, false, false));
        let quic = json!({"outbounds": [{"proxySettings": {"tag": "a"}, "streamSettings": {"network": "quic"}}]});
        assert_eq!(fits(quic), (true, true, false, false, false));
    }

    #[test]
    fn configuration_of_any_shape_is_read() {
        let odd = json!({"inbounds": {}, "outbounds": [1, null, {"settings": []}], "routing": [], "reverse": null,
            "transport": {}});
        assert_eq!(ages(odd).warning(), None);
    }
}
