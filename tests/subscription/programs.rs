//! Rendered documents in the real Xray and sing-box. Both refuse a complete document if one entry is invalid.

use sarban::domain::host::{
    Alpn, Fingerprint, HostSpec, MuxCoolSettings, MuxSettings, SingBoxMuxSettings, SplitHttpSettings, XMuxSettings,
};
use sarban::domain::ids::HostId;
use sarban::subscription::catalogue::HostRow;
use sarban::subscription::formats::{SING_BOX, XRAY};
use serde_json::{Value, json};

use crate::subscription::literal::{rendered, rendered_for, row, spec};
use crate::subscription::referees::{NEWEST_XRAY, Xray, checkable, sing_box_checks};
use crate::subscription::snapshots::{PROTOCOLS, everything, xray_specialities};

/// Returns hosts with values of fields that `everything` does not cover.
fn variations() -> Vec<HostRow> {
    let inbound = |protocol: &'static str, network: &str, tls: &str| {
        let config = json!({"port": 443, "network": network, "tls": tls, "path": "/p", "host": ["h.example"]});
        Some((protocol, config.to_string()))
    };
    let mut rows = Vec::new();
    for alpn in Alpn::ALL {
        rows.push(row(0, HostSpec { alpn, ..spec("alpn") }, inbound("vless", "tcp", "tls")));
    }
    for fingerprint in Fingerprint::ALL {
        rows.push(row(0, HostSpec { fingerprint, ..spec("fingerprint") }, inbound("trojan", "tcp", "tls")));
    }
    for (protocol, network) in [("vmess", "tcp"), ("vless", "ws"), ("trojan", "grpc"), ("shadowsocks", "")] {
        for mux in ["mux_cool", "h2mux", "smux", "yamux", "unknown"] {
            let mux_settings = MuxSettings {
                protocol: mux.into(),
                mux_cool_settings: Some(MuxCoolSettings {
                    concurrency: Some(8),
                    xudp_concurrency: Some(16),
                    xudp_proxy_443: Some("reject".into()),
                }),
                sing_box_mux_settings: Some(SingBoxMuxSettings {
                    max_connections: Some(4),
                    max_streams: None,
                    min_streams: Some(2),
                    padding: Some(true),
                }),
            };
            let spec = HostSpec { mux_settings: Some(mux_settings), ..spec(mux) };
            rows.push(row(0, spec, inbound(protocol, network, "tls")));
        }
    }
    for mode in ["auto", "packet-up", "stream-up", "stream-one"] {
        let xmux = XMuxSettings {
            max_concurrency: Some("16-32".into()),
            max_reuse_times: Some("64-128".into()),
            max_request_times: Some("800".into()),
            max_lifetime: Some("1000".into()),
            keep_alive_period: Some(30),
            ..XMuxSettings::default()
        };
        let splithttp_settings = SplitHttpSettings { mode: Some(mode.into()), xmux: Some(xmux), ..Default::default() };
        let spec = HostSpec { splithttp_settings: Some(splithttp_settings), ..spec(mode) };
        rows.push(row(0, spec, inbound("vless", "splithttp", "tls")));
    }
    for header in ["none", "srtp", "utp", "wechat-video", "dtls", "wireguard"] {
        let spec = HostSpec { header_type: Some(header.into()), path: Some("seed".into()), ..spec(header) };
        rows.push(row(0, spec, inbound("vmess", "kcp", "none")));
    }
    for address in ["192.0.2.1", "2001:db8::1", "*.example", "ü.example", ""] {
        rows.push(row(0, HostSpec { address: address.into(), ..spec("address") }, inbound("vless", "ws", "tls")));
    }
    for method in ["aes-128-gcm", "aes-256-gcm", "chacha20-ietf-poly1305", "xchacha20-ietf-poly1305"] {
        let spec = HostSpec { shadowsocks_method: Some(method.into()), ..spec(method) };
        rows.push(row(0, spec, inbound("shadowsocks", "", "none")));
    }
    for (at, row) in rows.iter_mut().enumerate() {
        row.host.id = HostId(at as i64);
    }
    rows
}

/// Returns true for outbounds with options that current Xray no longer supports. Sarban still renders the options,
/// because older apps support them and each entry is a separate configuration, so that other entries keep working.
fn dropped(outbound: &Value) -> bool {
    let stream = &outbound["streamSettings"];
    matches!(stream["network"].as_str(), Some("quic" | "http")) || stream["tlsSettings"]["allowInsecure"] == true
}

fn without_what_was_dropped(outbounds: Vec<Value>) -> Vec<Value> {
    let modern = |mut outbound: Value| {
        if let Some(tls) = outbound.pointer_mut("/streamSettings/tlsSettings") {
            tls["allowInsecure"] = json!(false);
        }
        (!dropped(&outbound)).then_some(outbound)
    };
    outbounds.into_iter().filter_map(modern).collect()
}

/// Returns the outbounds of all configurations, with unique tags.
fn outbounds(rows: Vec<HostRow>) -> Vec<Value> {
    let configurations: Vec<Value> = serde_json::from_str(&rendered(&XRAY, rows)).unwrap();
    let named = |(at, mut configuration): (usize, Value)| {
        let mut outbounds: Vec<Value> = serde_json::from_value(configuration["outbounds"].take()).unwrap();
        for outbound in &mut outbounds {
            outbound["tag"] = format!("{at} {}", outbound["tag"].as_str().unwrap()).into();
            if let Some(through) = outbound.pointer_mut("/streamSettings/sockopt/dialerProxy") {
                *through = format!("{at} {}", through.as_str().unwrap()).into();
            }
        }
        outbounds
    };
    configurations.into_iter().enumerate().flat_map(named).collect()
}

#[test]
fn outbounds_of_every_protocol_are_started_by_xray() {
    let xray = Xray::new(NEWEST_XRAY);
    for rows in PROTOCOLS.map(everything).into_iter().chain([variations(), xray_specialities()]) {
        let refused = xray.refused(&without_what_was_dropped(outbounds(rows)));
        assert!(refused.is_empty(), "{refused:#?}");
    }
}

#[test]
fn complete_configurations_are_started_by_xray() {
    let xray = Xray::new(NEWEST_XRAY);
    let configurations: Vec<Value> = serde_json::from_str(&rendered(&XRAY, xray_specialities())).unwrap();
    assert_eq!(configurations.len(), 4);
    for configuration in configurations {
        assert!(xray.starts(&configuration), "{configuration:#}");
    }
    assert!(!xray.starts(&json!({"outbounds": [{"protocol": "pigeon"}]})), "xray started an unknown protocol");
}

#[test]
fn configurations_of_every_protocol_pass_the_check_of_sing_box() {
    let ss = || Some(("shadowsocks", json!({"port": 1}).to_string()));
    let mut chained = row(900, spec("chained"), ss());
    chained.host.chain_ids = vec![HostId(901), HostId(902)];
    let chain = vec![chained, row(901, spec("hop"), ss()), row(902, spec("hop"), ss())];
    for rows in PROTOCOLS.map(everything).into_iter().chain([variations(), chain, Vec::new()]) {
        for (version, user_agent) in [
            ("1.12.10", "SFA/1.10.0 (500; sing-box 1.10.0)"),
            ("1.12.10", "SFA/1.12.10 (570; sing-box 1.12.10)"),
            ("1.14.4", "SFA/1.14.4 (600; sing-box 1.14.4)"),
        ] {
            let document = serde_json::from_str(&rendered_for(&SING_BOX, rows.clone(), user_agent).body).unwrap();
            let document = checkable(document);
            if let Err(error) = sing_box_checks(version, &document) {
                panic!("{user_agent}: {error}\n{document:#}");
            }
        }
    }
}

#[test]
fn hosts_that_sing_box_refuses_are_left_out_and_others_stay() {
    let inbound = |protocol: &'static str, more: Value| {
        let mut config = json!({"port": 443, "network": "", "tls": "tls", "path": "/p"});
        config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        Some((protocol, config.to_string()))
    };
    let tls = || json!({});
    let method = |method: &str| HostSpec { shadowsocks_method: Some(method.to_owned()), ..spec("") };
    let wrong = [
        (HostSpec { port: Some(70_000), ..spec("") }, inbound("trojan", tls())),
        (HostSpec { port: Some(-1), ..spec("") }, inbound("trojan", tls())),
        (HostSpec { address: String::new(), ..spec("") }, inbound("trojan", tls())),
        (spec(""), inbound("hysteria2", json!({"tls": "none"}))),
        (spec(""), inbound("hysteria2", json!({"header_type": "http"}))),
        (spec(""), inbound("hysteria2", json!({"header_type": "salamander", "path": null}))),
        (spec(""), inbound("tuic", json!({"tls": "none"}))),
        (spec(""), inbound("shadowtls", json!({"tls": "none", "shadowtls_version": 3}))),
        (spec(""), inbound("shadowtls", json!({"shadowtls_version": 9}))),
        (spec(""), inbound("vmess", json!({"network": "quic", "tls": "none"}))),
        (spec(""), inbound("vless", json!({"network": "tcp", "flow": "xtls-rprx-direct"}))),
        (spec(""), inbound("vmess", json!({"network": "quic"}))),
        (spec(""), inbound("vless", json!({"network": "splithttp"}))),
        (HostSpec { early_data: Some(-1), ..spec("") }, inbound("vless", json!({"network": "ws"}))),
        (method("rot13"), inbound("shadowsocks", tls())),
        (method("2022-blake3-aes-128-gcm"), inbound("shadowsocks", tls())),
        (spec(""), inbound("wireguard", json!({"path": "no key", "address": "10.0.0.1/24"}))),
        (spec(""), inbound("vless", json!({"network": "tcp", "tls": "reality", "pbk": "no key"}))),
    ];
    let count = wrong.len();
    let mut rows = vec![row(100, spec("right"), inbound("trojan", tls()))];
    rows.extend(wrong.into_iter().enumerate().map(|(at, (spec, inbound))| row(at as i64, spec, inbound)));
    let right = rendered_for(&SING_BOX, rows.clone(), "SFA/1.12.0 (570; sing-box 1.12.0)");
    let left_out: Vec<i64> = right.left_out.iter().map(|left| left.host.0).collect();
    assert_eq!(left_out, (0..count as i64).collect::<Vec<_>>(), "{:#?}", right.left_out);
    let document: Value = serde_json::from_str(&right.body).unwrap();
    assert_eq!(document["outbounds"].as_array().unwrap().len(), 3 + 1);
    // sing-box refuses each host that is left out only for it.
    let mut refused = 0;
    for wrong in &rows[1..] {
        let all = rendered_for(&SING_BOX, vec![wrong.clone()], "");
        if all.left_out.is_empty() {
            let all: Value = serde_json::from_str(&all.body).unwrap();
            let entry = json!({"outbounds": [all["outbounds"][5]]});
            assert!(sing_box_checks("1.12.10", &entry).is_err(), "{entry:#}");
            refused += 1;
        }
    }
    assert!(refused >= 4, "{refused}");
}
