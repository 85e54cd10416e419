//! Clash and Clash Meta documents against the documentation of Clash and Mihomo: keys by proxy type, options by
//! transport.

use serde_json::{Map, Value, json};

use sarban::domain::host::HostSpec;
use sarban::subscription::formats::{CLASH, CLASH_META};

use crate::subscription::literal::{rendered, rendered_for, row, spec};
use crate::subscription::snapshots::{PROTOCOLS, everything};
use crate::subscription::yaml;

/// A predicate that is true for valid values of a key.
type Form = fn(&Value) -> bool;
/// A key: its name, the predicate of its value, and true if the key is required.
type Key = (&'static str, Form, bool);

const COMMON: &[Key] = &[
    ("name", is_text, true),
    ("type", is_text, true),
    ("server", Value::is_string, true),
    ("port", is_port, true),
    ("udp", Value::is_boolean, false),
];
const TLS: &[Key] = &[
    ("skip-cert-verify", Value::is_boolean, false),
    ("alpn", is_texts, false),
    ("network", is_network, false),
    ("http-opts", is_http, false),
    ("ws-opts", is_ws, false),
    ("grpc-opts", is_grpc, false),
    ("h2-opts", is_h2, false),
];
const SERVER_NAME: &[Key] = &[("tls", Value::is_boolean, false), ("servername", is_text, false)];
/// Keys that only Mihomo reads.
const META: &[Key] = &[
    ("client-fingerprint", is_text, false),
    ("reality-opts", is_reality, false),
    ("mkcp-opts", Value::is_object, false),
    ("xhttp-opts", Value::is_object, false),
];
/// Keys of protocols over UDP.
const OVER_UDP: &[Key] =
    &[("skip-cert-verify", Value::is_boolean, false), ("alpn", is_texts, false), ("sni", is_text, false)];
const WIREGUARD: &[Key] = &[
    ("private-key", is_text, true),
    ("public-key", is_text, true),
    ("ip", is_text, false),
    ("ipv6", is_text, false),
    ("allowed-ips", is_texts, true),
    ("mtu", Value::is_i64, false),
    ("persistent-keepalive", Value::is_i64, false),
];

fn keys(proxy: &Map<String, Value>, meta: bool) -> Vec<Key> {
    let own: &[&[Key]] = match proxy["type"].as_str().unwrap() {
        "vmess" => {
            &[&[("uuid", is_text, true), ("alterId", Value::is_i64, true), ("cipher", is_text, true)], TLS, SERVER_NAME]
        }
        "vless" if meta => &[&[("uuid", is_text, true), ("flow", is_flow, false)], TLS, SERVER_NAME],
        // Trojan always uses TLS. No client reads the key `tls` of a trojan proxy, so the key is harmless.
        "trojan" => &[&[("password", is_text, true), ("sni", is_text, false), ("tls", Value::is_boolean, false)], TLS],
        "ss" => &[&[("cipher", is_text, true), ("password", is_text, true), ("network", is_network, false)]],
        "hysteria2" if meta => {
            &[&[("password", is_text, true), ("obfs", is_text, false), ("obfs-password", is_text, false)], OVER_UDP]
        }
        "tuic" if meta => &[&[("uuid", is_text, true), ("password", is_text, true)], OVER_UDP],
        "wireguard" if meta => &[WIREGUARD],
        other => panic!("unexpected proxy type: {other}"),
    };
    let meta = if meta && proxy["type"] != "ss" { META } else { &[] };
    [COMMON, meta].into_iter().chain(own.iter().copied()).flatten().copied().collect()
}

fn is_text(value: &Value) -> bool {
    value.as_str().is_some_and(|text| !text.is_empty())
}

fn is_port(value: &Value) -> bool {
    value.as_u64().is_some_and(|port| port <= 65_535)
}

fn is_texts(value: &Value) -> bool {
    value.as_array().is_some_and(|list| !list.is_empty() && list.iter().all(is_text))
}

fn is_network(value: &Value) -> bool {
    matches!(value.as_str(), Some("tcp" | "http" | "ws" | "grpc" | "h2" | "kcp" | "xhttp"))
}

fn is_flow(value: &Value) -> bool {
    value == "xtls-rprx-vision"
}

fn only(value: &Value, allowed: &[(&str, Form)]) -> bool {
    let known = |name: &str, value: &Value| allowed.iter().any(|(key, form)| *key == name && form(value));
    value.as_object().is_some_and(|object| !object.is_empty() && object.iter().all(|(name, value)| known(name, value)))
}

fn has_texts(value: &Value) -> bool {
    value.as_object().is_some_and(|headers| headers.values().all(Value::is_string))
}

fn is_http(value: &Value) -> bool {
    let lists = |value: &Value| value.as_object().is_some_and(|headers| headers.values().all(is_texts));
    only(value, &[("method", is_text), ("path", is_texts), ("headers", lists)])
}

fn is_ws(value: &Value) -> bool {
    let known: &[(&str, Form)] = &[
        ("path", is_text),
        ("headers", has_texts),
        ("max-early-data", Value::is_u64),
        ("early-data-header-name", is_text),
        ("v2ray-http-upgrade", Value::is_boolean),
    ];
    only(value, known)
}

fn is_grpc(value: &Value) -> bool {
    only(value, &[("grpc-service-name", is_text)])
}

fn is_h2(value: &Value) -> bool {
    only(value, &[("path", is_text), ("host", is_texts)])
}

fn is_reality(value: &Value) -> bool {
    let keys: &[(&str, Form)] =
        &[("public-key", is_text), ("short-id", Value::is_string), ("support-x25519mlkem768", Value::is_boolean)];
    only(value, keys) && value["public-key"].is_string()
}

/// Returns the faults of a document, each with the name of its proxy or group.
fn faults(document: &Value, meta: bool) -> Vec<String> {
    let mut found = Vec::new();
    let proxies = document["proxies"].as_array().expect("a list");
    let mut names: Vec<&str> = vec!["DIRECT", "REJECT"];
    for proxy in proxies {
        let proxy = proxy.as_object().expect("an object");
        let name = proxy["name"].as_str().expect("a text");
        if names.contains(&name) {
            found.push(format!("{name}: duplicate name"));
        }
        names.push(name);
        let keys = keys(proxy, meta);
        for (key, value) in proxy {
            match keys.iter().find(|(known, ..)| known == key) {
                Some((_, form, _)) if form(value) => {}
                Some(_) => found.push(format!("{name}: invalid value of {key}: {value}")),
                None => found.push(format!("{name}: unknown key: {key}")),
            }
        }
        for (key, ..) in keys.iter().filter(|(key, _, needed)| *needed && !proxy.contains_key(*key)) {
            found.push(format!("{name}: missing key: {key}"));
        }
        let network = proxy.get("network").and_then(Value::as_str);
        for options in proxy.keys().filter_map(|key| key.strip_suffix("-opts")).filter(|key| *key != "reality") {
            let named = if options == "mkcp" { "kcp" } else { options };
            if network != Some(named) {
                found.push(format!("{name}: {options}-opts with network {network:?}"));
            }
        }
        if proxy["type"] == "vmess" && matches!(network, Some("h2" | "grpc")) && proxy.get("tls") != Some(&json!(true))
        {
            found.push(format!("{name}: {network:?} without TLS"));
        }
    }
    for group in document["proxy-groups"].as_array().expect("a list") {
        let listed = group["proxies"].as_array().map(Vec::as_slice).unwrap_or_default();
        if listed.is_empty() || !listed.iter().all(|name| name.as_str().is_some_and(|name| names.contains(&name))) {
            found.push(format!("{}: no proxies or unknown proxies: {listed:?}", group["name"]));
        }
    }
    found
}

#[test]
fn proxies_of_every_protocol_have_only_documented_keys() {
    for (format, meta) in [(&CLASH, false), (&CLASH_META, true)] {
        for rows in PROTOCOLS.map(everything).into_iter().chain([Vec::new()]) {
            let document = rendered(format, rows);
            let faults = faults(&yaml::read(&document), meta);
            assert!(faults.is_empty(), "{faults:#?}\n{document}");
        }
    }
    let broken = json!({
        "proxies": [{"name": "a", "type": "ss", "server": "a", "port": 1, "network": null, "None-opts": {}, "udp": true,
                     "password": "a"}],
        "proxy-groups": [{"name": "g", "proxies": ["b"]}],
    });
    assert_eq!(faults(&broken, true).len(), 5, "{:#?}", faults(&broken, true));
}

#[test]
fn hosts_that_clash_refuses_are_left_out() {
    let inbound = |protocol: &'static str, network: &str, tls: &str| {
        Some((protocol, json!({"port": 443, "network": network, "tls": tls, "path": "a"}).to_string()))
    };
    let method = |method: &str| HostSpec { shadowsocks_method: Some(method.to_owned()), ..spec("") };
    let unbound = HostSpec {
        protocol: Some("vmess".into()),
        network: Some("ws".into()),
        uuid: Some("not one".into()),
        ..spec("")
    };
    let rows = vec![
        row(1, spec("right"), inbound("trojan", "ws", "tls")),
        row(2, HostSpec { port: Some(70_000), ..spec("") }, inbound("trojan", "ws", "tls")),
        row(3, method("rot13"), inbound("shadowsocks", "", "none")),
        row(4, method("none"), inbound("shadowsocks", "", "none")),
        row(5, spec(""), inbound("vmess", "grpc", "none")),
        row(6, unbound, None),
        row(7, spec(""), inbound("trojan", "tcp", "reality")),
        row(8, spec(""), inbound("trojan", "kcp", "none")),
        row(10, spec(""), inbound("trojan", "tcp", "none")),
        row(9, spec(""), inbound("socks", "tcp", "none")),
    ];
    for (format, left_out) in [(&CLASH, vec![2, 3, 4, 5, 6, 7, 8, 9, 10]), (&CLASH_META, vec![2, 3, 5, 6, 7, 8, 9, 10])]
    {
        let rendered = rendered_for(format, rows.clone(), "");
        let found: Vec<i64> = rendered.left_out.iter().map(|left| left.host.0).collect();
        assert_eq!(found, left_out, "{:#?}", rendered.left_out);
    }
}
