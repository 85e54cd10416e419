//! Xray templates of operators: real programs refuse from the stated version on what newer versions removed, so that a
//! template is served to the versions that start it and to no others.

use sarban::subscription::templates::XrayTemplates;
use serde_json::{Value, json};

use crate::subscription::referees::{XRAYS, Xray};

/// A configuration that all versions start.
fn started() -> Value {
    json!({
        "log": {"loglevel": "warning"},
        "inbounds": [{"port": 0, "listen": "127.0.0.1", "protocol": "socks", "tag": "in",
            "sniffing": {"enabled": true, "destOverride": ["http", "tls", "quic", "fakedns", "fakedns+others"]}}],
        "outbounds": [{"protocol": "freedom", "tag": "direct", "settings": {}}],
        "routing": {"rules": [{"type": "field", "domain": ["a.example"], "outboundTag": "direct"}]},
    })
}

/// An outbound, with these stream settings.
fn trojan(stream: Value) -> Value {
    let server = json!({"address": "192.0.2.1", "port": 443, "password": "x", "flow": ""});
    json!({"protocol": "trojan", "tag": "t", "settings": {"servers": [server]}, "streamSettings": stream})
}

fn vless(user: Value) -> Value {
    let mut user = user;
    user["id"] = json!("d0a1a1a0-0000-4000-8000-000000000001");
    let servers = json!([{"address": "192.0.2.1", "port": 443, "users": [user]}]);
    json!({"protocol": "vless", "tag": "v", "settings": {"vnext": servers}})
}

fn shadowsocks(method: &str) -> Value {
    let server = json!({"address": "192.0.2.1", "port": 443, "method": method, "password": "x"});
    json!({"protocol": "shadowsocks", "tag": "s", "settings": {"servers": [server]}})
}

#[test]
fn refused_members_are_known_with_the_version_that_refuses_them() {
    let tls = |settings: Value| trojan(json!({"network": "tcp", "security": "tls", "tlsSettings": settings}));
    let flow = |flow: &str| vless(json!({"encryption": "none", "flow": flow}));
    // A place, what stands there, and the minor version of Xray 26 that refuses it first.
    let cases = [
        ("/log/dnsLog", json!(false), None),
        ("/transport", json!({"tcpSettings": {}}), Some(7)),
        ("/transport", json!({}), None),
        ("/reverse", json!({}), Some(7)),
        ("/reverse", Value::Null, None),
        ("/inbounds/0/protocol", json!("mtproto"), Some(7)),
        ("/inbounds/0/protocol", json!("mixed"), None),
        ("/inbounds/0/sniffing/destOverride/0", json!("bittorrent"), Some(7)),
        ("/inbounds/0/streamSettings", json!({"network": "quic"}), Some(7)),
        ("/inbounds/0/allocate", json!({"strategy": "always"}), None),
        ("/outbounds/0/settings/noise", json!({"type": "rand", "packet": "10-20", "delay": "1-2"}), Some(7)),
        ("/outbounds/0/settings/noises", json!([{"type": "rand", "packet": "10-20", "delay": "1-2"}]), None),
        ("/outbounds/0/settings/fragment", json!({"packets": "tlshello", "length": "1-2", "interval": "1-2"}), None),
        ("/outbounds/1", trojan(json!({"network": "http"})), Some(7)),
        ("/outbounds/1", trojan(json!({"network": "h2"})), Some(7)),
        ("/outbounds/1", trojan(json!({"network": "h3"})), Some(7)),
        ("/outbounds/1", trojan(json!({"network": "domainsocket"})), Some(7)),
        ("/outbounds/1", trojan(json!({"network": "ws"})), None),
        ("/outbounds/1", trojan(json!({"security": "xtls"})), Some(7)),
        ("/outbounds/1", tls(json!({"serverName": "a.example", "allowInsecure": true})), Some(7)),
        ("/outbounds/1", tls(json!({"serverName": "a.example", "allowInsecure": false})), None),
        ("/outbounds/1", flow("xtls-rprx-direct"), Some(7)),
        ("/outbounds/1", flow("xtls-rprx-vision"), None),
        ("/outbounds/1", vless(json!({})), Some(7)),
        ("/outbounds/1", shadowsocks("aes-256-cfb"), Some(7)),
        ("/outbounds/1", shadowsocks("plain"), Some(7)),
        ("/outbounds/1", shadowsocks("AES-256-GCM"), None),
        ("/outbounds/1", json!({"protocol": "blackhole", "tag": "b", "proxySettings": {"tag": "direct"}}), Some(9)),
        ("/routing/rules/0/outboundTag", json!(""), Some(7)),
        ("/routing/rules/0/type", json!("chinaip"), None),
        ("/routing/rules/0/attrs", json!("attrs[':method'] == 'GET'"), Some(7)),
        ("/routing/domainMatcher", json!("mph"), None),
    ];
    let configurations: Vec<_> = cases.iter().map(|(place, value, _)| with(started(), place, value)).collect();
    std::thread::scope(|threads| {
        for (version, package) in XRAYS {
            let minor: u32 = version.split('.').nth(1).unwrap().parse().unwrap();
            let (cases, configurations) = (&cases, &configurations);
            threads.spawn(move || {
                let xray = Xray::new(package);
                for ((place, value, refused_from), configuration) in cases.iter().zip(configurations) {
                    let is_refused = refused_from.is_some_and(|from| minor >= from);
                    assert_eq!(xray.starts(configuration), !is_refused, "{version} {place}: {value}");
                }
            });
        }
    });
    for ((place, value, refused_from), configuration) in cases.iter().zip(&configurations) {
        let warning = XrayTemplates::parse(&configuration.to_string()).unwrap().warning();
        let expected = refused_from.map(|from| format!("Xray 26.{from} and later refuse"));
        assert_eq!(warning.is_some(), expected.is_some(), "{place}: {value}: {warning:?}");
        assert!(warning.unwrap_or_default().starts_with(&expected.unwrap_or_default()), "{place}: {value}");
    }
}

/// The configuration with this value at that place; the element after the last one is added to its list.
fn with(mut configuration: Value, place: &str, value: &Value) -> Value {
    let (parent, name) = place.rsplit_once('/').unwrap();
    match configuration.pointer_mut(parent).unwrap() {
        Value::Array(list) => match list.get_mut(name.parse::<usize>().unwrap()) {
            Some(present) => *present = value.clone(),
            None => list.push(value.clone()),
        },
        parent => parent[name] = value.clone(),
    }
    configuration
}
