//! The fixed parts of configurations: what stands around the entries. Operators may bring their own.

use serde_json::{Map, Value};

/// Log, name servers, routes and local ports of an Xray configuration.
const XRAY: &str = r#""log": {"loglevel": "warning"},
"dns": {"queryStrategy": "UseIP", "servers": ["1.1.1.1", "8.8.8.8"], "tag": "dns_out"},
"routing": {"domainStrategy": "IPIfNonMatch", "rules": [{"domain": ["geosite:category-ads-all"], "outboundTag": "block"}, {"domain": ["regexp:.*\\.ir", "domain:ir", "geosite:private"], "outboundTag": "direct"}, {"ip": ["geoip:ir", "geoip:private"], "outboundTag": "direct"}]},
"policy": {"system": {"statsOutboundDownlink": true, "statsOutboundUplink": true}},
"inbounds": [{"port": 10808, "protocol": "socks", "settings": {"auth": "noauth", "udp": true, "userLevel": 8}, "sniffing": {"destOverride": ["http", "tls", "fakedns"], "enabled": true}, "tag": "socks"}, {"port": 10809, "protocol": "http", "settings": {"userLevel": 8}, "tag": "http"}],
"stats": {}"#;

/// The fixed parts of all formats that have some.
#[derive(Clone, Debug)]
pub struct Templates {
    /// For Xray.
    pub xray: XrayTemplate,
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

/// Why a text is no template.
#[derive(Debug, thiserror::Error)]
pub enum TemplatesError {
    /// It is no JSON.
    #[error("the template is not valid JSON")]
    Json(#[source] serde_json::Error),
    /// It is JSON of another shape.
    #[error("the template must be a JSON object, and its outbounds a list of objects")]
    Shape,
}

impl XrayTemplate {
    /// Reads a whole Xray configuration; its outbounds come after each entry.
    pub fn parse(text: &str) -> Result<Self, TemplatesError> {
        let mut object = object(text)?;
        object.remove("remarks");
        let outbounds = outbounds(&mut object)?;
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

impl Default for Templates {
    fn default() -> Self {
        Self { xray: XrayTemplate::built_in() }
    }
}

fn object(text: &str) -> Result<Map<String, Value>, TemplatesError> {
    match serde_json::from_str(text).map_err(TemplatesError::Json)? {
        Value::Object(object) => Ok(object),
        _ => Err(TemplatesError::Shape),
    }
}

fn outbounds(object: &mut Map<String, Value>) -> Result<Vec<Value>, TemplatesError> {
    match object.remove("outbounds") {
        None => Ok(Vec::new()),
        Some(Value::Array(outbounds)) if outbounds.iter().all(Value::is_object) => Ok(outbounds),
        Some(_) => Err(TemplatesError::Shape),
    }
}

/// An object's members without its braces.
fn members(object: &Map<String, Value>) -> String {
    object.iter().map(|(name, value)| format!("{}:{value}", Value::from(name.as_str()))).collect::<Vec<_>>().join(",")
}
