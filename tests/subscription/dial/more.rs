//! Connections whose servers have a pinned certificate, another server for downloads, or names with slashes.

use serde_json::{Value, json};

use crate::subscription::core_settings::settings;

use super::cases::{Case, on_sing_box, on_xray, on_xray_with};
use super::inbounds::PATH;
use super::process::HERE;
use super::servers::NAME;

/// All of them.
pub fn all() -> Vec<Case> {
    let mut cases = pinned();
    cases.extend(downloads());
    for protocol in ["vmess", "vless", "trojan"] {
        for (option, name) in [("-slash", "my/svc"), ("-custom", "/my/sample/one|two"), ("-space", "a b+ü%20")] {
            let served = on_xray_with(option, protocol, "grpc", "tls", json!({"serviceName": name}));
            cases.push(served.reporting(json!({"path": name})));
        }
    }
    for name in ["my/svc", "svc-é"] {
        let transport = json!({"transport": {"type": "grpc", "service_name": name}});
        let option = if name.contains('/') { "-slash" } else { "-letter" };
        cases.push(on_sing_box(option, "vless", "grpc", "tls", transport).reporting(json!({"path": name})));
    }
    cases
}

/// Servers whose certificate nobody has signed.
fn pinned() -> Vec<Case> {
    let cases = [
        on_xray("-pin", "vless", "tcp", "tls"),
        on_xray("-pin", "trojan", "ws", "tls"),
        on_xray("-pin", "vless", "splithttp", "tls"),
        on_sing_box("-pin", "vmess", "grpc", "tls", json!({})),
        on_sing_box("-pin", "hysteria2", "", "tls", json!({})),
        on_sing_box("-pin", "tuic", "", "tls", json!({})),
        on_sing_box("-pin", "anytls", "", "tls", json!({})),
    ];
    let core = json!({"pinned_peer_cert_sha256": "PIN", "certificate_public_key_sha256": "KEYPIN"});
    let pinned = |mut case: Case| {
        let inbounds = Value::from(case.inbounds).to_string();
        let inbounds =
            inbounds.replace("FOLDER/certificate", "FOLDER/pinned").replace("FOLDER/key", "FOLDER/pinned-key");
        case.inbounds = serde_json::from_str(&inbounds).unwrap();
        case.with(|spec| spec.core_settings = Some(settings(core.clone())))
    };
    cases.into_iter().map(pinned).collect()
}

/// XHTTP whose downloads come another way to the same server.
fn downloads() -> Vec<Case> {
    let download = |security: &str, more: Value| {
        let mut download = json!({
            "address": HERE, "port": "RELAY", "network": "xhttp", "security": security, "xhttpSettings": {"path": PATH},
        });
        download.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let core = json!({"xhttp_extra": {"downloadSettings": download}});
        let mut case = on_xray("-download", "vless", "splithttp", security);
        case.is_relayed = true;
        case.with(|spec| spec.core_settings = Some(settings(core)))
    };
    let tls = json!({"tlsSettings": {"serverName": NAME, "alpn": ["h2"]}});
    vec![download("tls", tls), download("none", json!({}))]
}
