//! Differences from the recordings that are right: parts of documents in which clients of today need another value. They are
//! removed on both sides before the comparison; tests with real programs and of single rules cover them.

use serde_json::{Map, Value};

/// Values that clients of today need otherwise.
const CORRECTED: [&str; 6] = [
    // A WebSocket needs HTTP/1.1, TUIC and Hysteria 2 need HTTP/3; the other transports choose themselves.
    "alpn", // VLESS has a flow only over bare TCP with TLS.
    "flow",
    // Ciphers of VMess in links, Xray and sing-box, and Clash: with TLS, the client's own choice fails.
    "scy", "security", "cipher", // A fingerprint over QUIC fails at each connection.
    "utls",
];

/// Ends of the names of entries that the recorded panel rendered without transport and TLS, and that would connect in the
/// clear.
const IN_THE_CLEAR: [&str; 1] = ["sb-vless-reality"];
/// Ends of the names of entries that sing-box can't use: XHTTP, and QUIC with a key.
const DEAD_IN_SING_BOX: [&str; 4] = ["vless-xhttp-reality", "xh vless", "xh min", "vmess-quic"];
/// Ends of the names of entries that Clash would dial with TLS although the server has none: Trojan.
const DEAD_IN_CLASH: [&str; 2] = ["universal", "security none"];

/// Ends of the names of entries with a WireGuard key that is none, which Xray refuses.
const REFUSED_BY_XRAY: [&str; 3] = [" wg", "unbound wireguard", "wg full"];

/// Links.
pub fn links(mut all: Value) -> Value {
    keep(&mut all, "remark", &[&IN_THE_CLEAR]);
    for link in all.as_array_mut().into_iter().flatten() {
        drop_corrected(link);
        // Paths are percent-encoded now.
        if let Some(path) = link.pointer_mut("/parts/path") {
            *path = decoded(path);
        }
    }
    all
}

/// Xray's configurations.
pub fn xray(mut all: Value) -> Value {
    keep(&mut all, "remarks", &[&IN_THE_CLEAR, &REFUSED_BY_XRAY]);
    for configuration in all.as_array_mut().into_iter().flatten() {
        each_object(&mut configuration["outbounds"], &|object| {
            object.remove("alpn");
            object.remove("flow");
            // The recorded panel forgot it here, and not in links.
            object.remove("xPaddingBytes");
            if object.contains_key("id") {
                object.remove("security");
            }
            if let Some(path) = object.get_mut("path") {
                *path = decoded(path);
            }
        });
    }
    all
}

/// sing-box's configuration.
pub fn sing_box(mut configuration: Value) -> Value {
    keep(&mut configuration["outbounds"], "tag", &[&DEAD_IN_SING_BOX]);
    for outbound in configuration["outbounds"].as_array_mut().into_iter().flatten() {
        if let Some(listed) = outbound.get_mut("outbounds").and_then(Value::as_array_mut) {
            listed.retain(|name| !ends_with(name, &[&DEAD_IN_SING_BOX]));
        }
        drop_corrected(outbound);
        if let Some(path) = outbound.pointer_mut("/transport/path") {
            *path = decoded(path);
        }
    }
    configuration
}

/// The configuration of Clash and Mihomo. Protocols and transports that only this panel writes for Mihomo are removed.
pub fn clash(mut configuration: Value) -> Value {
    let is_recorded = |proxy: &Value| {
        matches!(proxy["type"].as_str(), Some("vmess" | "vless" | "trojan" | "ss"))
            && proxy["network"] != "xhttp"
            && proxy["network"] != "kcp"
            && proxy["ws-opts"].get("v2ray-http-upgrade").is_none()
            && proxy["server"] != "127.0.0.1"
    };
    keep(&mut configuration["proxies"], "name", &[&DEAD_IN_CLASH]);
    let proxies = configuration["proxies"].as_array_mut().expect("proxies");
    proxies.retain(is_recorded);
    for proxy in proxies {
        drop_corrected(proxy);
        let proxy = proxy.as_object_mut().expect("an object");
        // REALITY connects only with a key exchange and a fingerprint that the recorded entries lack.
        if let Some(reality) = proxy.get_mut("reality-opts").and_then(Value::as_object_mut) {
            reality.remove("support-x25519mlkem768");
            if proxy.get("client-fingerprint").is_none_or(|fingerprint| fingerprint == "chrome") {
                proxy.remove("client-fingerprint");
            }
        }
        // The recorded options of HTTP were nothing that Clash reads.
        for key in ["network", "tcp-opts", "http-opts", "h2-opts"] {
            proxy.remove(key);
        }
        if let Some(options) = proxy.get_mut("ws-opts").and_then(Value::as_object_mut) {
            options.retain(|name, _| name == "path" || name == "headers");
            if let Some(headers) = options.get_mut("headers").and_then(Value::as_object_mut) {
                headers.retain(|name, _| name == "Host");
            }
            if let Some(path) = options.get_mut("path") {
                *path = decoded(path);
            }
        }
    }
    // The group lists all proxies.
    configuration["proxy-groups"][0]["proxies"] = Value::Null;
    configuration
}

fn drop_corrected(value: &mut Value) {
    each_object(value, &|object| {
        for name in CORRECTED {
            object.remove(name);
        }
    });
}

fn each_object(value: &mut Value, change: &dyn Fn(&mut Map<String, Value>)) {
    match value {
        Value::Object(object) => {
            change(object);
            object.values_mut().for_each(|value| each_object(value, change));
        }
        Value::Array(list) => list.iter_mut().for_each(|value| each_object(value, change)),
        _ => {}
    }
}

/// Removes entries whose name has one of these ends.
fn keep(list: &mut Value, name: &str, ends: &[&[&str]]) {
    if let Some(list) = list.as_array_mut() {
        list.retain(|entry| !ends_with(&entry[name], ends));
    }
}

fn ends_with(name: &Value, ends: &[&[&str]]) -> bool {
    name.as_str().is_some_and(|name| ends.iter().copied().flatten().any(|end| name.ends_with(end)))
}

/// A path with its percent-encoding undone.
fn decoded(path: &Value) -> Value {
    match path {
        Value::String(path) => percent_encoding::percent_decode_str(path).decode_utf8_lossy().into(),
        other => other.clone(),
    }
}
