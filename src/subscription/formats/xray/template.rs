//! The fixed parts of an Xray configuration; operators may supply their own.

use std::fmt::Display;

use serde_json::Value;

use super::ages::Ages;
use crate::domain::programs::Core;
use crate::subscription::client::Client;
use crate::subscription::formats::template_object::{TemplateError, members, parse_json, take_objects};

/// Log, name servers, routes and local ports.
const MEMBERS: &str = r#""log": {"loglevel": "warning"},
"dns": {"queryStrategy": "UseIP", "servers": ["1.1.1.1", "8.8.8.8"], "tag": "dns_out"},
"routing": {"domainStrategy": "IPIfNonMatch", "rules": [{"domain": ["geosite:category-ads-all"], "outboundTag": "block"}, {"domain": ["regexp:.*\\.ir", "domain:ir", "geosite:private"], "outboundTag": "direct"}, {"ip": ["geoip:ir", "geoip:private"], "outboundTag": "direct"}]},
"policy": {"system": {"statsOutboundDownlink": true, "statsOutboundUplink": true}},
"inbounds": [{"port": 10808, "protocol": "socks", "settings": {"auth": "noauth", "udp": true, "userLevel": 8}, "sniffing": {"destOverride": ["http", "tls", "fakedns"], "enabled": true}, "tag": "socks"}, {"port": 10809, "protocol": "http", "settings": {"userLevel": 8}, "tag": "http"}],
"stats": {}"#;

/// Outbounds with their tags.
const BUILT_IN: [(&str, &str); 2] = [
    ("direct", r#"{"tag": "direct", "protocol": "freedom"}"#),
    ("block", r#"{"tag": "block", "protocol": "blackhole"}"#),
];

/// The parts around the outbounds of one entry, by the version of the Xray that reads them.
#[derive(Clone, Debug)]
pub struct XrayTemplates {
    /// The operator's, for the versions that start it.
    own: Option<(XrayTemplate, Ages)>,
    built_in: XrayTemplate,
}

/// The parts around the outbounds of one entry.
#[derive(Clone, Debug)]
pub(super) struct XrayTemplate {
    /// The beginning of the object, up to the value of `remarks`.
    pub(super) before: String,
    /// The outbounds after the entry's, and the end of the object.
    pub(super) after: String,
    /// The tags of these outbounds.
    pub(super) tags: Vec<String>,
}

impl XrayTemplates {
    /// Reads a complete Xray configuration, which is then used for the versions that start it; its outbounds follow those of
    /// each entry.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let mut object = parse_json(text)?;
        let ages = Ages::of(&object);
        object.remove("remarks");
        let outbounds = take_objects(&mut object, "outbounds")?;
        let tags = outbounds.iter().filter_map(|outbound| outbound["tag"].as_str()).map(str::to_owned).collect();
        let template = XrayTemplate::new(&members(&object), outbounds.iter().map(Value::to_string), tags);
        Ok(Self { own: Some((template, ages)), ..Self::built_in() })
    }

    /// A warning about members of the operator's template that Xray refuses.
    pub fn warning(&self) -> Option<String> {
        self.own.as_ref()?.1.warning()
    }

    /// The template for a client.
    pub(super) fn template(&self, client: &Client<'_>) -> &XrayTemplate {
        match &self.own {
            Some((template, ages)) if ages.fit(client.age(Core::Xray)) => template,
            _ => &self.built_in,
        }
    }

    pub(in crate::subscription) fn built_in() -> Self {
        Self { own: None, built_in: XrayTemplate::built_in() }
    }
}

impl XrayTemplate {
    fn built_in() -> Self {
        let tags = BUILT_IN.iter().map(|(tag, _)| (*tag).to_owned()).collect();
        Self::new(MEMBERS, BUILT_IN.iter().map(|(_, outbound)| *outbound), tags)
    }

    /// `members`: those of the object except `outbounds` and `remarks`, as JSON without the braces.
    fn new(members: &str, outbounds: impl Iterator<Item = impl Display>, tags: Vec<String>) -> Self {
        let separator = if members.is_empty() { "" } else { "," };
        let outbounds: String = outbounds.map(|outbound| format!(",{outbound}")).collect();
        Self { before: format!("{{{members}{separator}\"remarks\":"), after: format!("{outbounds}]}}"), tags }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_parts_are_json() {
        assert!(parse_json(&format!("{{{MEMBERS}}}")).is_ok());
        for (_, outbound) in BUILT_IN {
            assert!(parse_json(outbound).is_ok());
        }
    }

    #[test]
    fn template_keeps_members_and_tags_and_drops_remarks() {
        let text = r#"{"outbounds": [{"tag": "a"}], "remarks": "x", "log": {}, "a": 1}"#;
        let (template, _) = XrayTemplates::parse(text).unwrap().own.unwrap();
        assert_eq!(template.before, r#"{"a":1,"log":{},"remarks":"#);
        assert_eq!((template.after.as_str(), template.tags), (r#",{"tag":"a"}]}"#, vec!["a".to_owned()]));
    }

    #[test]
    fn template_of_another_shape_is_refused() {
        for text in ["", "[]", "{\"outbounds\": {}}", "{\"outbounds\": [1]}"] {
            assert!(XrayTemplates::parse(text).is_err(), "{text}");
        }
    }
}
