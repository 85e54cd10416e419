//! Snapshots of every protocol over every transport.

use sarban::domain::host::{
    Alpn, Fingerprint, FragmentSettings, HostSpec, MuxCoolSettings, MuxSettings, Noise, NoiseKind, SplitHttpSettings,
    XMuxSettings,
};
use sarban::domain::ids::HostId;
use sarban::domain::moment::{Moment, SECOND};
use sarban::domain::subscription_settings::SubscriptionSettings;
use sarban::domain::user::{Expiry, User};
use sarban::subscription::catalogue::HostRow;
use sarban::subscription::formats::{CLASH, CLASH_META, LINKS, SING_BOX, WIREGUARD, XRAY};
use serde_json::{Value, json};

use crate::subscription::literal::{rendered, rendered_with, row, spec, user};
use crate::subscription::parse;

pub const PROTOCOLS: [&str; 9] =
    ["vmess", "vless", "trojan", "shadowsocks", "hysteria2", "wireguard", "tuic", "shadowtls", "shadowsocks2022"];
const NETWORKS: [&str; 11] =
    ["", "tcp", "kcp", "ws", "http", "quic", "grpc", "httpupgrade", "splithttp", "h2", "pigeon"];

/// Keys in the format that clients require.
const WIREGUARD_KEY: &str = "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=";
const REALITY_KEY: &str = "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA";

/// Returns hosts for each transport of the protocol: without TLS and with defaults, and with TLS, REALITY and all
/// fields.
pub fn everything(protocol: &str) -> Vec<HostRow> {
    let mut rows = Vec::new();
    let networks = if matches!(protocol, "vmess" | "vless" | "trojan") { &NETWORKS[..] } else { &[""] };
    for network in networks {
        for (tls, spec) in [("none", spec("plain")), ("tls", full("tls")), ("reality", full("reality"))] {
            let config = json!({
                "port": 443, "network": network, "tls": tls, "sni": ["s.example"], "host": ["h.example"],
                "path": if protocol == "wireguard" { WIREGUARD_KEY } else { "/p?x=1" },
                "flow": "xtls-rprx-vision", "pbk": REALITY_KEY, "sid": "aa", "fp": "firefox",
                "address": "10.0.0.1/24", "shadowtls_version": 3,
            });
            let header = match *network {
                "kcp" | "quic" => "srtp",
                _ if protocol == "hysteria2" => "salamander",
                _ => "http",
            };
            let header_type = spec.header_type.as_ref().map(|_| header.to_owned());
            let spec = HostSpec { remark: format!("{network} {}", spec.remark), header_type, ..spec };
            rows.push(row(rows.len() as i64, spec, Some((protocol, config.to_string()))));
        }
    }
    rows
}

fn full(remark: &str) -> HostSpec {
    HostSpec {
        alpn: Alpn::H3H2,
        fingerprint: Fingerprint::Chrome,
        allowinsecure: true,
        header_type: Some("http".to_owned()),
        early_data: Some(2048),
        mtu: Some(1280),
        dns_servers: Some("1.1.1.1".to_owned()),
        allowed_ips: Some("10.0.0.0/8, ::/0".to_owned()),
        http_headers: Some([("X-A".to_owned(), "b".to_owned())].into()),
        splithttp_settings: Some(SplitHttpSettings {
            mode: Some("packet-up".to_owned()),
            no_grpc_header: Some(true),
            padding_bytes: Some("100-200".to_owned()),
            xmux: Some(XMuxSettings { max_concurrency: Some("1-2".to_owned()), ..XMuxSettings::default() }),
        }),
        ..spec(remark)
    }
}

#[test]
fn links_of_every_protocol_match_snapshots() {
    for protocol in PROTOCOLS {
        let text = rendered(&LINKS, everything(protocol));
        if protocol == "vmess" {
            // vmess links are base64, which makes differences unreadable.
            let links: Vec<Value> = text.lines().map(parse::link).collect();
            insta::assert_json_snapshot!("links_vmess", links);
        } else {
            insta::assert_snapshot!(format!("links_{protocol}"), text);
        }
    }
}

/// Returns the outbounds of each configuration without the template's two outbounds at the end.
fn xray_outbounds(text: &str) -> Vec<Value> {
    let configurations: Vec<Value> = serde_json::from_str(text).unwrap();
    configurations
        .into_iter()
        .map(|mut configuration| {
            let mut outbounds = configuration["outbounds"].take();
            let list = outbounds.as_array_mut().unwrap();
            list.truncate(list.len() - 2);
            outbounds
        })
        .collect()
}

#[test]
fn xray_outbounds_of_every_protocol_match_snapshots() {
    for protocol in PROTOCOLS {
        let text = rendered(&XRAY, everything(protocol));
        insta::assert_json_snapshot!(format!("xray_{protocol}"), xray_outbounds(&text));
    }
}

#[test]
fn sing_box_outbounds_of_every_protocol_match_snapshots() {
    for protocol in PROTOCOLS {
        let text = rendered(&SING_BOX, everything(protocol));
        let mut configuration: Value = serde_json::from_str(&text).unwrap();
        let outbounds = configuration["outbounds"].as_array_mut().unwrap().split_off(5);
        insta::assert_json_snapshot!(format!("sing_box_{protocol}"), outbounds);
    }
}

#[test]
fn clash_documents_of_every_protocol_match_snapshots() {
    for (name, format) in [("clash", &CLASH), ("clash_meta", &CLASH_META)] {
        for protocol in ["vmess", "vless", "trojan", "shadowsocks", "tuic"] {
            insta::assert_snapshot!(format!("{name}_{protocol}"), rendered(format, everything(protocol)));
        }
    }
}

#[test]
fn wireguard() {
    insta::assert_snapshot!(rendered(&WIREGUARD, everything("wireguard")));
    assert_eq!(rendered(&WIREGUARD, everything("vless")), "[]");
}

#[test]
fn sing_box_groups_and_chains() {
    let ss = || Some(("shadowsocks", json!({"port": 1}).to_string()));
    let mut chained = row(2, spec("same"), ss());
    chained.host.chain_ids = vec![HostId(3), HostId(1)];
    let hidden = HostRow { service_ids: Vec::new(), ..row(3, spec("proxy"), ss()) };
    let text = rendered(&SING_BOX, vec![row(1, spec("same"), ss()), chained, hidden]);
    let configuration: Value = serde_json::from_str(&text).unwrap();
    insta::assert_json_snapshot!(configuration["outbounds"]);
}

/// Returns hosts with fragments, noises, mux and chains.
pub fn xray_specialities() -> Vec<HostRow> {
    let fragment = FragmentSettings { packets: "tlshello".into(), length: "1-2".into(), interval: "3".into() };
    let noise = Noise { kind: NoiseKind::Rand, packet: "1-2".into(), delay: "3".into() };
    let mux = MuxSettings {
        protocol: "mux_cool".into(),
        sing_box_mux_settings: None,
        mux_cool_settings: Some(MuxCoolSettings { concurrency: Some(8), ..MuxCoolSettings::default() }),
    };
    let inbound = || Some(("trojan", json!({"port": 1, "network": "tcp"}).to_string()));
    let both = HostSpec { fragment: Some(fragment), noise: Some(vec![noise.clone()]), ..spec("fragment wins") };
    let noisy = HostSpec { noise: Some(vec![noise]), ..spec("noise") };
    let muxed = HostSpec { mux_settings: Some(mux), ..spec("mux") };
    let mut chained = row(4, spec("same name"), inbound());
    // A host cannot be a hop of its own chain. Hidden hosts are only hops.
    chained.host.chain_ids = vec![HostId(4), HostId(5), HostId(6)];
    let mut lost = row(7, spec("no such hop"), inbound());
    lost.host.chain_ids = vec![HostId(99)];
    let hidden = |id, remark| HostRow { service_ids: Vec::new(), ..row(id, spec(remark), inbound()) };
    vec![
        row(1, both, inbound()),
        row(2, noisy, inbound()),
        row(3, muxed, inbound()),
        chained,
        hidden(5, "same name"),
        hidden(6, "direct"),
        lost,
    ]
}

#[test]
fn xray_helpers_and_chains() {
    let rows = xray_specialities();
    insta::assert_json_snapshot!(xray_outbounds(&rendered(&XRAY, rows.clone())));
    assert_eq!(rendered(&LINKS, rows).lines().count(), 3, "links leave out chained hosts");
}

#[test]
fn subscription_of_an_inactive_user_contains_one_placeholder() {
    let settings = SubscriptionSettings {
        placeholder_remark: "{STATUS_EMOJI} {USERNAME} {DATA_USAGE}/{DATA_LIMIT} {EXPIRE_DATE}".to_owned(),
        ..SubscriptionSettings::initial()
    };
    let rows = || everything("trojan");
    let gone = User {
        used_traffic: 3_221_225_472,
        data_limit: Some(3_221_225_472),
        expiry: Expiry::FixedDate(Moment::from_micros(1_000_000_000 * SECOND)),
        ..user()
    };
    let links = rendered_with(&LINKS, &gone, rows(), &settings);
    assert_eq!(
        parse::link(&links),
        json!({"scheme": "vmess", "remark": "❌ ann 3.0 GB/3.0 GB 2001-09-09", "parts": {
            "add": "127.0.0.1", "aid": "0", "id": "00000000-0000-0000-0000-000000000000", "net": "tcp",
            "port": "80", "scy": "auto", "v": "2",
        }})
    );
    let broken = SubscriptionSettings { placeholder_remark: "{".to_owned(), ..settings.clone() };
    assert_eq!(parse::link(&rendered_with(&LINKS, &gone, rows(), &broken))["remark"], "{");
    let real = SubscriptionSettings { placeholder_if_disabled: false, ..settings };
    assert!(rendered_with(&LINKS, &gone, rows(), &real).lines().count() > 1);
}
