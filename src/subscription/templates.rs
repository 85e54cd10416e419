//! The fixed parts of configurations: what stands around the entries. Operators may bring their own.

use serde_json::{Map, Value, json};

use super::pages::Pages;

/// Log, name servers, routes and local ports of an Xray configuration.
const XRAY: &str = r#""log": {"loglevel": "warning"},
"dns": {"queryStrategy": "UseIP", "servers": ["1.1.1.1", "8.8.8.8"], "tag": "dns_out"},
"routing": {"domainStrategy": "IPIfNonMatch", "rules": [{"domain": ["geosite:category-ads-all"], "outboundTag": "block"}, {"domain": ["regexp:.*\\.ir", "domain:ir", "geosite:private"], "outboundTag": "direct"}, {"ip": ["geoip:ir", "geoip:private"], "outboundTag": "direct"}]},
"policy": {"system": {"statsOutboundDownlink": true, "statsOutboundUplink": true}},
"inbounds": [{"port": 10808, "protocol": "socks", "settings": {"auth": "noauth", "udp": true, "userLevel": 8}, "sniffing": {"destOverride": ["http", "tls", "fakedns"], "enabled": true}, "tag": "socks"}, {"port": 10809, "protocol": "http", "settings": {"userLevel": 8}, "tag": "http"}],
"stats": {}"#;

/// Log, name servers, routes and the tunnel of a sing-box configuration.
const SING_BOX: &str = r#""log": {"level": "warn"},
"dns": {"servers": [{"tag": "dns-remote", "address": "1.1.1.2", "detour": "proxy"}, {"tag": "dns-local", "address": "local", "detour": "direct"}], "rules": [{"outbound": "any", "server": "dns-local"}], "final": "dns-remote", "strategy": "prefer_ipv4"},
"inbounds": [{"type": "tun", "tag": "tun-in", "interface_name": "sbtun0", "address": ["172.19.0.1/30", "fdfe:dcba:9876::1/126"], "auto_route": true, "route_exclude_address": ["192.168.0.0/16", "fc00::/7"], "sniff": true, "domain_strategy": "prefer_ipv4"}],
"route": {"rules": [{"protocol": "dns", "outbound": "dns-out"}, {"ip_is_private": true, "outbound": "direct"}], "final": "proxy", "auto_detect_interface": true, "override_android_vpn": true},
"experimental": {"cache_file": {"enabled": true, "store_rdrc": true}}"#;

/// The same for sing-box 1.12 and later: typed name servers, and rules that act.
const SING_BOX_CURRENT: &str = r#""log": {"level": "warn"},
"dns": {"servers": [{"tag": "dns-remote", "type": "udp", "server": "1.1.1.2", "detour": "proxy"}, {"tag": "dns-local", "type": "local"}], "final": "dns-remote", "strategy": "prefer_ipv4"},
"inbounds": [{"type": "tun", "tag": "tun-in", "interface_name": "sbtun0", "address": ["172.19.0.1/30", "fdfe:dcba:9876::1/126"], "auto_route": true, "route_exclude_address": ["192.168.0.0/16", "fc00::/7"]}],
"route": {"rules": [{"action": "sniff"}, {"protocol": "dns", "action": "hijack-dns"}, {"ip_is_private": true, "outbound": "direct"}], "final": "proxy", "auto_detect_interface": true, "default_domain_resolver": "dns-local"},
"experimental": {"cache_file": {"enabled": true}}"#;

/// The fixed parts of all formats that have some.
#[derive(Clone, Debug)]
pub struct Templates {
    /// For Xray.
    pub xray: XrayTemplate,
    /// For sing-box.
    pub sing_box: SingBoxTemplates,
    /// For Clash and Clash.Meta.
    pub clash: ClashTemplate,
    /// The web pages, and what operators wrote in Jinja's language.
    pub pages: Pages,
}

/// Around one Xray configuration.
#[derive(Clone, Debug)]
pub struct XrayTemplate {
    /// The members of the object but `outbounds` and `remarks`, as JSON without the braces.
    pub(super) members: String,
    /// The outbounds that follow the entry's, each as JSON.
    pub(super) outbounds: Vec<String>,
    /// Their tags.
    pub(super) tags: Vec<String>,
}

/// Around sing-box's entries, by the age of the sing-box that reads them.
#[derive(Clone, Debug)]
pub struct SingBoxTemplates {
    /// Before 1.12, and when nothing is known.
    pub(super) old: SingBoxTemplate,
    /// From 1.12 on.
    pub(super) current: SingBoxTemplate,
}

/// Around sing-box's entries.
#[derive(Clone, Debug)]
pub struct SingBoxTemplate {
    /// The members of the object but `outbounds` and `endpoints`, as JSON without the braces.
    pub(super) members: String,
    /// The endpoints after the entries'.
    pub(super) endpoints: Vec<Value>,
    /// The outbounds before the entries'. Groups that list nothing get the entries.
    pub(super) outbounds: Vec<Value>,
}

/// Around Clash's entries.
#[derive(Clone, Debug)]
pub struct ClashTemplate {
    /// The members at the top but `proxies` and `proxy-groups`.
    pub(super) members: Vec<(String, Value)>,
    /// The groups; the first gets the entries.
    pub(super) groups: Vec<Value>,
}

/// Why a text is no template.
#[derive(Debug, thiserror::Error)]
pub enum TemplatesError {
    /// It is no JSON.
    #[error("the template is not valid JSON")]
    Json(#[source] serde_json::Error),
    /// It is no YAML.
    #[error("the template is not valid YAML")]
    Yaml(#[source] Box<serde_saphyr::Error>),
    /// It is of another shape.
    #[error("the template must be an object, and its outbounds or proxy-groups lists of objects")]
    Shape,
}

impl XrayTemplate {
    /// Reads a whole Xray configuration; its outbounds come after each entry.
    pub fn parse(text: &str) -> Result<Self, TemplatesError> {
        let mut object = object(text)?;
        object.remove("remarks");
        let outbounds = objects(&mut object, "outbounds")?;
        Ok(Self {
            members: members(&object),
            tags: outbounds.iter().filter_map(|outbound| outbound["tag"].as_str()).map(str::to_owned).collect(),
            outbounds: outbounds.iter().map(Value::to_string).collect(),
        })
    }

    fn built_in() -> Self {
        let outbounds = [
            ("direct", r#"{"tag": "direct", "protocol": "freedom"}"#),
            ("block", r#"{"tag": "block", "protocol": "blackhole"}"#),
        ];
        Self {
            members: XRAY.to_owned(),
            tags: outbounds.iter().map(|(tag, _)| (*tag).to_owned()).collect(),
            outbounds: outbounds.iter().map(|(_, outbound)| (*outbound).to_owned()).collect(),
        }
    }
}

impl SingBoxTemplates {
    /// Reads a whole sing-box configuration, which is then for all ages.
    pub fn parse(text: &str) -> Result<Self, TemplatesError> {
        let mut object = object(text)?;
        let outbounds = objects(&mut object, "outbounds")?;
        let endpoints = objects(&mut object, "endpoints")?;
        let template = SingBoxTemplate { members: members(&object), endpoints, outbounds };
        Ok(Self { old: template.clone(), current: template })
    }

    fn built_in() -> Self {
        let template = |members: &str, outbounds: &[Value]| SingBoxTemplate {
            members: members.to_owned(),
            endpoints: Vec::new(),
            outbounds: outbounds.to_vec(),
        };
        let outbounds = [
            json!({"type": "selector", "tag": "proxy", "outbounds": [], "interrupt_exist_connections": true}),
            json!({"type": "urltest", "tag": "Best Latency", "outbounds": []}),
            json!({"type": "direct", "tag": "direct"}),
            json!({"type": "block", "tag": "block"}),
            json!({"type": "dns", "tag": "dns-out"}),
        ];
        // The last two became actions of rules.
        Self { old: template(SING_BOX, &outbounds), current: template(SING_BOX_CURRENT, &outbounds[..3]) }
    }
}

impl ClashTemplate {
    /// Reads a whole Clash configuration.
    pub fn parse(text: &str) -> Result<Self, TemplatesError> {
        let Value::Object(mut object) =
            serde_saphyr::from_str(text).map_err(|error| TemplatesError::Yaml(Box::new(error)))?
        else {
            return Err(TemplatesError::Shape);
        };
        object.remove("proxies");
        let groups = objects(&mut object, "proxy-groups")?;
        Ok(Self { members: object.into_iter().collect(), groups })
    }

    fn built_in() -> Self {
        Self {
            members: vec![
                ("mode".to_owned(), json!("Global")),
                ("port".to_owned(), json!(7890)),
                ("rules".to_owned(), json!([])),
            ],
            groups: vec![json!({
                "name": "♻️ Automatic",
                "type": "url-test",
                "url": "http://www.gstatic.com/generate_204",
                "interval": 300,
            })],
        }
    }
}

impl Default for Templates {
    fn default() -> Self {
        Self {
            xray: XrayTemplate::built_in(),
            sing_box: SingBoxTemplates::built_in(),
            clash: ClashTemplate::built_in(),
            pages: Pages::default(),
        }
    }
}

fn object(text: &str) -> Result<Map<String, Value>, TemplatesError> {
    match serde_json::from_str(text).map_err(TemplatesError::Json)? {
        Value::Object(object) => Ok(object),
        _ => Err(TemplatesError::Shape),
    }
}

fn objects(object: &mut Map<String, Value>, name: &str) -> Result<Vec<Value>, TemplatesError> {
    match object.remove(name) {
        None => Ok(Vec::new()),
        Some(Value::Array(list)) if list.iter().all(Value::is_object) => Ok(list),
        Some(_) => Err(TemplatesError::Shape),
    }
}

/// An object's members without its braces.
fn members(object: &Map<String, Value>) -> String {
    object.iter().map(|(name, value)| format!("{}:{value}", Value::from(name.as_str()))).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_parts_are_json() {
        for members in [XRAY, SING_BOX, SING_BOX_CURRENT] {
            assert!(object(&format!("{{{members}}}")).is_ok());
        }
        for outbound in XrayTemplate::built_in().outbounds {
            assert!(object(&outbound).is_ok());
        }
    }

    #[test]
    fn templates_of_another_shape_are_refused() {
        for text in ["", "[]", "{\"outbounds\": {}}", "{\"outbounds\": [1]}"] {
            assert!(XrayTemplate::parse(text).is_err() && SingBoxTemplates::parse(text).is_err(), "{text}");
        }
        for text in ["", "[]", "a: [", "proxy-groups: 1", "proxy-groups: [1]", "{\"proxy-groups\": 1}"] {
            assert!(ClashTemplate::parse(text).is_err(), "{text}");
        }
        let clash = "mode: rule # comment\nproxies:\nproxy-groups:\n- name: 'a: b'\n  type: select\n- {name: c}\n";
        let clash = ClashTemplate::parse(clash).unwrap();
        assert_eq!((clash.members.len(), &clash.groups[0]["name"], clash.groups.len()), (1, &json!("a: b"), 2));
        let xray = XrayTemplate::parse(r#"{"outbounds": [{"tag": "a"}], "remarks": "x", "log": {}, "a": 1}"#);
        let xray = xray.unwrap();
        assert_eq!((xray.members.as_str(), xray.tags), (r#""a":1,"log":{}"#, vec!["a".to_owned()]));
    }
}
