//! Faults in a configuration of Xray that are certain without asking Xray. Xray reads names in any case.

use std::collections::HashMap;

use serde_json::{Map, Value};

type Object = Map<String, Value>;

/// Protocols over one TCP port, and the transports that use TCP.
const TCP_PROTOCOLS: &[&str] = &["vless", "vmess", "trojan"];
const TCP_NETWORKS: &[&str] = &["", "raw", "tcp", "ws", "websocket", "grpc", "h2", "http", "httpupgrade"];

/// Checks the inbounds and outbounds. The error names the field and says what is right.
pub fn check(config: &Value) -> Result<(), String> {
    let root = config.as_object().ok_or("must be an object: {\"inbounds\": [], \"outbounds\": []}")?;
    for list in ["inbounds", "outbounds"] {
        let entries = objects(root, list)?;
        let mut tags = HashMap::new();
        for (index, entry) in entries.iter().enumerate() {
            let place = format!("{list}[{index}]");
            check_protocol(entry, &place)?;
            if let Some(tag) = text(entry, "tag").filter(|tag| !tag.is_empty())
                && let Some(first) = tags.insert(tag, index)
            {
                return Err(format!("{place}.tag: {list}[{first}] has the same tag {tag:?}; tags must differ"));
            }
        }
    }
    check_ports(&objects(root, "inbounds")?)
}

fn check_protocol(entry: &Object, place: &str) -> Result<(), String> {
    match get(entry, "protocol") {
        Some(Value::String(protocol)) if !protocol.is_empty() => Ok(()),
        None | Some(Value::Null | Value::String(_)) => Err(format!("{place}.protocol: is missing")),
        Some(_) => Err(format!("{place}.protocol: must be a text, such as \"vless\"")),
    }
}

fn check_ports(inbounds: &[&Object]) -> Result<(), String> {
    let mut listeners = HashMap::new();
    for (index, inbound) in inbounds.iter().enumerate() {
        let place = format!("inbounds[{index}].port");
        let port = match get(inbound, "port") {
            Some(Value::Number(number)) => {
                let port = number.as_u64().and_then(|port| u16::try_from(port).ok());
                Some(port.ok_or_else(|| format!("{place}: {number} is no port; ports are 0 to 65535"))?)
            }
            Some(Value::String(text)) => {
                check_port_list(text).map_err(|fault| format!("{place}: {fault}"))?;
                text.trim().parse().ok()
            }
            Some(Value::Null) | None => None,
            Some(_) => return Err(format!("{place}: must be a number, or a text such as \"1000-2000\"")),
        };
        // The system chooses a port instead of 0.
        let Some(port) = port.filter(|port| *port > 0 && listens_on_tcp(inbound)) else { continue };
        let address = text(inbound, "listen").unwrap_or("0.0.0.0");
        if let Some(first) = listeners.insert((address, port), index) {
            return Err(format!(
                "{place}: inbounds[{first}] listens on {port} too; connections would reach one or the other at random"
            ));
        }
    }
    Ok(())
}

/// Checks `443`, `443,8443` and `1000-2000`. The engine reads `env:NAME` from its environment.
fn check_port_list(text: &str) -> Result<(), String> {
    if text.trim().to_ascii_lowercase().starts_with("env:") {
        return Ok(());
    }
    for number in text.split([',', '-']).map(str::trim) {
        let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        if is_number && number.parse::<u16>().is_err() {
            return Err(format!("{number} is no port; ports are 0 to 65535"));
        }
    }
    Ok(())
}

/// True if an inbound certainly listens on TCP, and on nothing else.
fn listens_on_tcp(inbound: &Object) -> bool {
    let protocol = text(inbound, "protocol").unwrap_or_default().to_ascii_lowercase();
    let stream = get(inbound, "streamSettings").and_then(Value::as_object);
    let network = stream.and_then(|stream| text(stream, "network")).unwrap_or_default().to_ascii_lowercase();
    let is_file = text(inbound, "listen").is_some_and(|listen| listen.starts_with(['/', '@']));
    TCP_PROTOCOLS.contains(&protocol.as_str()) && TCP_NETWORKS.contains(&network.as_str()) && !is_file
}

/// Returns the objects of a list, which may be missing.
fn objects<'a>(root: &'a Object, name: &str) -> Result<Vec<&'a Object>, String> {
    let entries = match get(root, name) {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(entries)) => entries.iter().enumerate(),
        Some(_) => return Err(format!("{name}: must be a list")),
    };
    entries
        .map(|(index, entry)| entry.as_object().ok_or_else(|| format!("{name}[{index}]: must be an object")))
        .collect()
}

fn get<'a>(object: &'a Object, name: &str) -> Option<&'a Value> {
    object.get(name).or_else(|| object.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value))
}

fn text<'a>(object: &'a Object, name: &str) -> Option<&'a str> {
    get(object, name).and_then(Value::as_str)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn configurations_that_may_be_right_are_accepted() {
        for config in [
            json!({}),
            json!({"inbounds": null, "outbounds": []}),
            json!({"log": {"loglevel": "debug"}, "anything": 5}),
            json!({"Inbounds": [{"TAG": "a", "Protocol": "VLESS", "Port": 443}]}),
            json!({"inbounds": [{"protocol": "of a newer Xray", "port": "443,8443"}, {"protocol": "vless"}]}),
            json!({"inbounds": [{"protocol": "vless", "port": "env:PORT"}, {"protocol": "vless", "port": "1000-2000"}]}),
            // A path instead of a port, TCP beside UDP, other addresses, and ports that the system chooses.
            json!({"inbounds": [
                {"protocol": "vless", "listen": "/run/a.sock"},
                {"protocol": "trojan", "port": 443, "listen": "192.0.2.1"},
                {"protocol": "trojan", "port": 443, "listen": "192.0.2.2"},
                {"protocol": "vless", "port": 8443},
                {"protocol": "vless", "port": 8443, "streamSettings": {"network": "kcp"}},
                {"protocol": "shadowsocks", "port": 8443},
                {"protocol": "vmess", "port": 0},
                {"protocol": "vmess", "port": 0},
            ]}),
            json!({"inbounds": [{"protocol": "a", "tag": ""}, {"protocol": "b", "tag": ""}, {"protocol": "c", "tag": "x"}],
                   "outbounds": [{"protocol": "freedom", "tag": "x"}]}),
        ] {
            assert_eq!(check(&config), Ok(()), "{config}");
        }
    }

    #[test]
    fn certain_faults_are_refused_with_their_field() {
        for (config, field) in [
            (json!([]), "must be an object"),
            (json!({"inbounds": {"tag": "a"}}), "inbounds: "),
            (json!({"inbounds": [5]}), "inbounds[0]: "),
            (json!({"inbounds": [{"port": 443}]}), "inbounds[0].protocol: "),
            (json!({"inbounds": [{"protocol": ""}]}), "inbounds[0].protocol: "),
            (json!({"outbounds": [{"protocol": ["freedom"]}]}), "outbounds[0].protocol: "),
            (json!({"inbounds": [{"protocol": "vless", "port": 70_000}]}), "inbounds[0].port: 70000 "),
            (json!({"inbounds": [{"protocol": "vless", "port": -1}]}), "inbounds[0].port: -1 "),
            (json!({"inbounds": [{"protocol": "vless", "port": 1.5}]}), "inbounds[0].port: 1.5 "),
            (json!({"inbounds": [{"protocol": "vless", "port": [443]}]}), "inbounds[0].port: "),
            (json!({"inbounds": [{"protocol": "vless", "port": "443, 70000-70010"}]}), "inbounds[0].port: 70000 "),
            (
                json!({"inbounds": [{"protocol": "vless", "port": 443, "tag": "a"}, {"protocol": "vmess", "tag": "a"}]}),
                "inbounds[1].tag: inbounds[0]",
            ),
            (
                json!({"outbounds": [{"protocol": "freedom", "tag": "a"}, {"protocol": "blackhole", "tag": "a"}]}),
                "outbounds[1].tag: outbounds[0]",
            ),
            (
                json!({"inbounds": [
                    {"protocol": "vless", "port": 443},
                    {"protocol": "trojan", "port": "443", "streamSettings": {"network": "ws"}},
                ]}),
                "inbounds[1].port: inbounds[0]",
            ),
        ] {
            let fault = check(&config).expect_err("a fault");
            assert!(fault.starts_with(field), "{config}: {fault}");
        }
    }
}
