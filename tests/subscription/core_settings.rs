//! Settings of current cores in every format: each under the name of its program, or left out with a reason.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use sarban::domain::host::{CoreSettings, HostSpec};
use sarban::subscription::Format;
use sarban::subscription::catalogue::HostRow;
use sarban::subscription::formats::{CLASH, CLASH_META, LINKS, SING_BOX, XRAY};
use serde_json::{Value, json};

use crate::subscription::literal::{rendered_for, row, spec};
use crate::subscription::yaml;

/// A list of ECH configurations with the public name `decoy.example.com`.
pub const ECH: &str =
    "AEz+DQBIAAAgACCaKQYQEVMWjJNFYm8TxWi9D0HJ0vYjY2rBh9DbeHtbTgAMAAEAAQABAAIAAQADABFkZWNveS5leGFtcGxlLmNvbQAA";
const XRAY_NEW: &str = "Xray/26.10.10";
const SING_BOX_NEW: &str = "sing-box 1.14.4";
const MIHOMO_NEW: &str = "mihomo/1.19.32";

pub fn settings(settings: Value) -> CoreSettings {
    serde_json::from_value(settings).unwrap()
}

pub fn encryption() -> String {
    format!("mlkem768x25519plus.native.0rtt.{}", URL_SAFE_NO_PAD.encode([1; 32]))
}

/// Each setting with a value that its cores take, and some with others.
pub fn options() -> Vec<HostSpec> {
    let (pin, colons) = ("aB".repeat(32), ["AA"; 32].join(":"));
    let key = STANDARD.encode([1; 32]);
    let download = json!({"address": "d.example.com", "port": 443, "network": "xhttp", "security": "tls",
        "tlsSettings": {"serverName": "d.example.com"}, "xhttpSettings": {"path": "/p"}});
    let values = vec![
        json!({"pinned_peer_cert_sha256": pin}),
        json!({"pinned_peer_cert_sha256": colons, "certificate_public_key_sha256": key}),
        json!({"certificate_public_key_sha256": key}),
        json!({"pinned_peer_cert_sha256": "foo"}),
        json!({"ech_config_list": ECH}),
        json!({"ech_config_list": "https://1.1.1.1/dns-query"}),
        json!({"ech_config_list": "e.example.com+udp://1.1.1.1"}),
        json!({"ech_config_list": "AAAA"}),
        json!({"encryption": encryption()}),
        json!({"encryption": "foo"}),
        json!({"mldsa65_verify": URL_SAFE_NO_PAD.encode([1; 1_952]), "spider_x": "/a b"}),
        json!({"mldsa65_verify": URL_SAFE_NO_PAD.encode([1; 1_952]), "spider_x": "/a?b=c"}),
        json!({"mldsa65_verify": "foo"}),
        json!({"ports": "1000-2000,3000", "hop_interval": 30}),
        json!({"ports": "1000-2000"}),
        json!({"ports": "x"}),
        json!({"obfs": "salamander", "obfs_password": "abcd", "up_mbps": 20, "down_mbps": 100}),
        json!({"obfs": "salamander"}),
        json!({"down_mbps": 100}),
        json!({"up_mbps": -1}),
        json!({"congestion_control": "bbr", "udp_relay_mode": "quic"}),
        json!({"congestion_control": "foo"}),
        json!({"xhttp_extra": {"scMaxEachPostBytes": "1000-2000", "mode": "foo", "path": 7, "noGRPCHeader": true}}),
        json!({"xhttp_extra": {"downloadSettings": download}}),
        json!({"xhttp_extra": {"xPaddingBytes": "x"}}),
        json!({"finalmask": {"tcp": [{"type": "fragment",
            "settings": {"packets": "tlshello", "length": "100-200", "delay": "10-20"}}]}}),
        json!({"finalmask": {"tcp": [{"type": "foo"}]}}),
    ];
    let insecure = HostSpec { allowinsecure: true, ..spec("insecure") };
    let with = |base: HostSpec, value: &Value| HostSpec { core_settings: Some(settings(value.clone())), ..base };
    let pinned_and_insecure = with(insecure, &values[1]);
    values.iter().map(|value| with(spec("core"), value)).chain([pinned_and_insecure]).collect()
}

fn host(protocol: &'static str, network: &str, tls: &str, core: Value) -> Vec<HostRow> {
    let config = json!({"port": 443, "network": network, "tls": tls, "sni": ["s.example"], "path": "/p",
        "pbk": URL_SAFE_NO_PAD.encode([1; 32]), "sid": "aa"});
    // With a pinned certificate or REALITY, the exception does not matter.
    let allowinsecure = tls == "reality" || core.get("pinned_peer_cert_sha256").is_some();
    let spec = HostSpec { allowinsecure, core_settings: Some(settings(core)), ..spec("r") };
    vec![row(1, spec, Some((protocol, config.to_string())))]
}

/// The reason why the only host is left out.
fn reason(format: &Format, rows: &[HostRow], agent: &str) -> Option<&'static str> {
    rendered_for(format, rows.to_vec(), agent).left_out.first().map(|left| left.reason)
}

fn xray(rows: &[HostRow]) -> Value {
    assert_eq!(reason(&XRAY, rows, XRAY_NEW), None);
    let configurations: Value = serde_json::from_str(&rendered_for(&XRAY, rows.to_vec(), XRAY_NEW).body).unwrap();
    configurations[0]["outbounds"][0].clone()
}

fn sing_box(rows: &[HostRow]) -> Value {
    assert_eq!(reason(&SING_BOX, rows, SING_BOX_NEW), None);
    let document: Value = serde_json::from_str(&rendered_for(&SING_BOX, rows.to_vec(), SING_BOX_NEW).body).unwrap();
    document["outbounds"].as_array().unwrap().iter().find(|outbound| outbound["tag"] == "r").unwrap().clone()
}

fn mihomo(rows: &[HostRow]) -> Value {
    assert_eq!(reason(&CLASH_META, rows, MIHOMO_NEW), None);
    yaml::read(&rendered_for(&CLASH_META, rows.to_vec(), MIHOMO_NEW).body)["proxies"][0].clone()
}

fn link(rows: &[HostRow]) -> String {
    assert_eq!(reason(&LINKS, rows, ""), None);
    rendered_for(&LINKS, rows.to_vec(), "").body
}

#[test]
fn pinned_certificate_takes_the_place_of_an_exception() {
    let (pin, key) = ("ab".repeat(32), STANDARD.encode([1; 32]));
    let both = json!({"pinned_peer_cert_sha256": "AB".repeat(32), "certificate_public_key_sha256": key});
    let rows = host("vless", "ws", "tls", both.clone());
    let tls = &xray(&rows)["streamSettings"]["tlsSettings"];
    assert_eq!((&tls["pinnedPeerCertSha256"], &tls["allowInsecure"]), (&json!(pin), &json!(false)));
    let tls = &sing_box(&rows)["tls"];
    assert_eq!((&tls["certificate_public_key_sha256"], &tls["insecure"]), (&json!([key]), &Value::Null));
    let proxy = mihomo(&rows);
    assert_eq!((&proxy["fingerprint"], &proxy["skip-cert-verify"]), (&json!(pin), &Value::Null));
    let text = link(&rows);
    assert!(text.contains(&format!("&pcs={pin}")) && !text.contains("allowInsecure"), "{text}");
    let hysteria = host("hysteria2", "", "tls", both.clone());
    assert!(link(&hysteria).contains(&format!("insecure=1&pinSHA256={pin}")));
    assert_eq!(mihomo(&hysteria)["fingerprint"], json!(pin));
    // Not where the program would verify another way.
    let only_certificate = host("vless", "ws", "tls", json!({"pinned_peer_cert_sha256": pin}));
    for (rows, format, agent) in [
        (&only_certificate, &SING_BOX, SING_BOX_NEW),
        (&only_certificate, &SING_BOX, ""),
        (&rows, &SING_BOX, "sing-box 1.12.10"),
        (&rows, &XRAY, "Xray/1.8.24"),
        (&host("vmess", "ws", "tls", both.clone()), &CLASH, ""),
        (&host("tuic", "", "tls", both), &LINKS, ""),
    ] {
        assert!(reason(format, rows, agent).is_some(), "{} {agent}", format.client_type);
    }
}

#[test]
fn ech_is_a_list_or_looked_up() {
    let list = host("trojan", "tcp", "tls", json!({"ech_config_list": ECH}));
    assert_eq!(xray(&list)["streamSettings"]["tlsSettings"]["echConfigList"], ECH);
    let pem = ["-----BEGIN ECH CONFIGS-----", ECH, "-----END ECH CONFIGS-----"];
    assert_eq!(sing_box(&list)["tls"]["ech"], json!({"enabled": true, "config": pem}));
    assert_eq!(mihomo(&list)["ech-opts"], json!({"enable": true, "config": ECH}));
    assert!(link(&list).contains("&ech=AEz%2BDQBI"), "{}", link(&list));
    let lookup = host("trojan", "tcp", "tls", json!({"ech_config_list": "e.example+https://1.1.1.1/dns-query"}));
    assert_eq!(sing_box(&lookup)["tls"]["ech"], json!({"enabled": true, "query_server_name": "e.example"}));
    assert_eq!(mihomo(&lookup)["ech-opts"], json!({"enable": true, "query-server-name": "e.example"}));
    assert!(reason(&SING_BOX, &lookup, "sing-box 1.12.10").is_some());
    assert!(reason(&CLASH, &list, "").is_some());
}

#[test]
fn vless_encryption_secures_a_connection_without_tls() {
    let encryption = encryption();
    let mut rows = host("vless", "tcp", "none", json!({"encryption": encryption}));
    rows[0].host.spec.flow = Some("xtls-rprx-vision".to_owned());
    let user = &xray(&rows)["settings"]["vnext"][0]["users"][0];
    assert_eq!((&user["encryption"], &user["flow"]), (&json!(encryption), &json!("xtls-rprx-vision")));
    assert_eq!(mihomo(&rows)["encryption"], json!(encryption));
    assert!(link(&rows).contains(&format!("&encryption={encryption}")));
    for (format, agent) in
        [(&SING_BOX, SING_BOX_NEW), (&SING_BOX, ""), (&XRAY, "Xray/25.1.1"), (&CLASH_META, "mihomo/1.19.9")]
    {
        assert!(reason(format, &rows, agent).is_some(), "{} {agent}", format.client_type);
    }
    let plain = host("vless", "tcp", "none", json!({"encryption": "none"}));
    assert!(reason(&XRAY, &plain, XRAY_NEW).is_some(), "without encryption it is in the clear");
}

#[test]
fn reality_has_a_second_key_and_a_path_to_crawl() {
    let key = URL_SAFE_NO_PAD.encode([1; 1_952]);
    let rows = host("vless", "tcp", "reality", json!({"mldsa65_verify": key, "spider_x": "/a?b"}));
    let reality = &xray(&rows)["streamSettings"]["realitySettings"];
    assert_eq!((&reality["mldsa65Verify"], &reality["spiderX"]), (&json!(key), &json!("/a?b")));
    assert!(link(&rows).contains(&format!("&spx=%2Fa%3Fb&pqv={key}")), "{}", link(&rows));
    // Other programs verify the first key alone, and connect.
    assert_eq!((reason(&SING_BOX, &rows, SING_BOX_NEW), reason(&CLASH_META, &rows, MIHOMO_NEW)), (None, None));
}

#[test]
fn hysteria_hops_hides_and_knows_its_bandwidth() {
    let rows = host(
        "hysteria2",
        "",
        "tls",
        json!({
            "ports": "1000-2000,3000", "hop_interval": 30, "obfs": "salamander", "obfs_password": "a secret", "up_mbps": 20, "down_mbps": 100,
        }),
    );
    let masks = &xray(&rows)["streamSettings"]["finalmask"];
    assert_eq!(masks["udp"][0], json!({"type": "salamander", "settings": {"password": "a secret"}}));
    let params = json!({"congestion": "brutal", "brutalUp": "20 mbps", "brutalDown": "100 mbps",
        "udpHop": {"ports": "1000-2000,3000", "interval": 30}});
    assert_eq!(masks["quicParams"], params);
    let outbound = sing_box(&rows);
    assert_eq!(outbound["server_ports"], json!(["1000:2000", "3000:3000"]));
    assert_eq!((&outbound["hop_interval"], &outbound["up_mbps"]), (&json!("30s"), &json!(20)));
    assert_eq!(outbound["obfs"], json!({"type": "salamander", "password": "a secret"}));
    let proxy = mihomo(&rows);
    assert_eq!((&proxy["ports"], &proxy["hop-interval"]), (&json!("1000-2000,3000"), &json!(30)));
    assert_eq!((&proxy["down"], &proxy["obfs-password"]), (&json!("100 Mbps"), &json!("a secret")));
    let text = link(&rows);
    assert!(text.contains("obfs=salamander&obfs-password=a%20secret"), "{text}");
    assert!(text.contains("&mport=1000-2000%2C3000&up=20&down=100"), "{text}");
    assert!(reason(&SING_BOX, &rows, "SFA/1.10.0").is_some());
}

#[test]
fn tuic_and_anytls_have_their_settings() {
    let tuic = host("tuic", "", "tls", json!({"congestion_control": "bbr", "udp_relay_mode": "quic"}));
    assert_eq!(
        (&sing_box(&tuic)["congestion_control"], &sing_box(&tuic)["udp_relay_mode"]),
        (&json!("bbr"), &json!("quic"))
    );
    assert_eq!(mihomo(&tuic)["congestion-controller"], "bbr");
    assert!(link(&tuic).contains("&congestion_control=bbr&udp_relay_mode=quic"));
    let anytls = host("anytls", "", "tls", json!({"ech_config_list": ECH}));
    let (outbound, proxy) = (sing_box(&anytls), mihomo(&anytls));
    assert_eq!((&outbound["type"], &outbound["tls"]["server_name"]), (&json!("anytls"), &json!("s.example")));
    assert_eq!((&proxy["type"], &proxy["sni"], &proxy["tls"]), (&json!("anytls"), &json!("s.example"), &Value::Null));
    assert_eq!(outbound["password"], proxy["password"]);
    assert!(
        link(&anytls)
            .starts_with(&format!("anytls://{}@a.example:443?sni=s.example", proxy["password"].as_str().unwrap()))
    );
    for (format, agent) in [(&XRAY, XRAY_NEW), (&CLASH, ""), (&SING_BOX, "sing-box 1.11.9")] {
        assert!(reason(format, &anytls, agent).is_some(), "{} {agent}", format.client_type);
    }
    assert!(reason(&SING_BOX, &host("anytls", "", "none", json!({})), SING_BOX_NEW).is_some());
}

#[test]
fn xhttp_and_finalmask_are_written_as_xray_names_them() {
    let download = json!({"address": "d.example", "port": 443, "network": "xhttp", "security": "tls"});
    let extra = json!({"downloadSettings": download, "scMaxEachPostBytes": "1000", "path": "/other"});
    let rows = host("vless", "splithttp", "tls", json!({"xhttp_extra": extra}));
    let settings = &xray(&rows)["streamSettings"]["splithttpSettings"];
    assert_eq!((&settings["downloadSettings"], &settings["path"]), (&download, &json!("/p")));
    assert!(link(&rows).contains("&extra=%7B%22downloadSettings%22%3A%7B"), "{}", link(&rows));
    let options = &mihomo(&rows)["xhttp-opts"];
    let download = json!({"server": "d.example", "port": 443, "tls": true});
    assert_eq!((&options["download-settings"], &options["path"]), (&download, &json!("/p")));
    let unknown = host("vless", "splithttp", "tls", json!({"xhttp_extra": {"foo": 1}}));
    assert!(reason(&CLASH_META, &unknown, MIHOMO_NEW).is_some());
    let masks = json!({"tcp": [{"type": "fragment", "settings": {"packets": "tlshello", "length": "1-3"}}]});
    let rows = host("trojan", "tcp", "tls", json!({"finalmask": masks, "pinned_peer_cert_sha256": "ab".repeat(32)}));
    assert_eq!(xray(&rows)["streamSettings"]["finalmask"], masks);
    assert!(link(&rows).contains("&fm=%7B%22tcp%22%3A%5B"), "{}", link(&rows));
    for (format, agent) in [(&CLASH_META, MIHOMO_NEW), (&SING_BOX, SING_BOX_NEW), (&XRAY, "Xray/25.1.1")] {
        assert!(reason(format, &rows, agent).is_some(), "{} {agent}", format.client_type);
    }
}

#[test]
fn xhttp_settings_of_the_host_and_of_extra_are_the_same_in_all_formats() {
    let own = |xmux: Value| json!({"mode": "stream-one", "no_grpc_header": true, "padding_bytes": "1-2", "xmux": xmux});
    let xmux = json!({"max_concurrency": "16-32", "max_lifetime": "1500", "keep_alive_period": 30});
    let written = |settings: Value, extra: Value| {
        let mut rows = host("vless", "splithttp", "tls", json!({"xhttp_extra": extra}));
        rows[0].host.spec.splithttp_settings = serde_json::from_value(settings).unwrap();
        let (xray, mihomo) = (xray(&rows)["streamSettings"]["splithttpSettings"].clone(), mihomo(&rows));
        (xray, mihomo["xhttp-opts"].clone(), link(&rows))
    };
    let reuse = json!({"max-concurrency": "16-32", "h-max-reusable-secs": "2", "h-keep-alive-period": 30});
    // The host's own, also beside an object with null in their place.
    for extra in [Value::Null, json!({}), json!({"xmux": null, "xPaddingBytes": null, "seqKey": "s"})] {
        let (xray, mihomo, link) = written(own(xmux.clone()), extra.clone());
        assert_eq!(
            (&xray["xmux"]["maxConcurrency"], &xray["xPaddingBytes"]),
            (&json!("16-32"), &json!("1-2")),
            "{extra}"
        );
        assert_eq!((&mihomo["reuse-settings"], &mihomo["x-padding-bytes"]), (&reuse, &json!("1-2")), "{extra}");
        assert_eq!((&mihomo["no-grpc-header"], &mihomo["mode"]), (&json!(true), &json!("stream-one")), "{extra}");
        assert!(link.contains("maxConcurrency%22%3A%2216-32%22"), "{extra}: {link}");
    }
    // What the object names counts, and the rest stays.
    let (xray, mihomo, link) = written(own(xmux), json!({"xmux": {"maxConnections": 4}, "headers": {"a": "b"}}));
    assert_eq!(
        (&xray["xmux"], &mihomo["reuse-settings"]),
        (&json!({"maxConnections": 4}), &json!({"max-connections": "4"}))
    );
    assert_eq!((&xray["xPaddingBytes"], &mihomo["x-padding-bytes"]), (&json!("1-2"), &json!("1-2")));
    assert_eq!((&xray["headers"], &mihomo["headers"]), (&json!({"a": "b"}), &json!({"a": "b"})));
    assert!(link.contains("maxConnections%22%3A4") && !link.contains("maxConcurrency"), "{link}");
}

#[test]
fn settings_that_nodes_report_count_and_wrong_ones_are_named() {
    let reported = |protocol: &'static str, members: Value| {
        let mut config = json!({"port": 443, "network": "tcp", "tls": "tls", "sni": ["s.example"]});
        config.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        vec![row(1, spec("r"), Some((protocol, config.to_string())))]
    };
    let encryption = encryption();
    let rows = reported("vless", json!({"encryption": encryption, "echConfigList": ECH}));
    assert_eq!(xray(&rows)["settings"]["vnext"][0]["users"][0]["encryption"], json!(encryption));
    assert_eq!(mihomo(&rows)["ech-opts"]["config"], ECH);
    let mut own = rows.clone();
    own[0].host.spec.core_settings = Some(settings(json!({"encryption": "none"})));
    assert_eq!(mihomo(&own)["encryption"], Value::Null, "the host's value wins");
    let hysteria = reported("hysteria2", json!({"obfs": {"type": "salamander", "password": "abcd"}, "mport": "1-2"}));
    assert_eq!((&mihomo(&hysteria)["obfs-password"], &mihomo(&hysteria)["ports"]), (&json!("abcd"), &json!("1-2")));
    for (members, named) in [
        (json!({"encryption": "foo"}), "encryption"),
        (json!({"pcs": "foo"}), "pinned_peer_cert_sha256"),
        (json!({"ech": "foo"}), "ech_config_list"),
        (json!({"finalmask": {"foo": 1}}), "finalmask"),
    ] {
        for format in [&LINKS, &XRAY, &SING_BOX, &CLASH_META] {
            let left_out = reason(format, &reported("vless", members.clone()), "").unwrap();
            assert!(left_out.contains(named), "{left_out}");
        }
        // The same value does not matter to another kind of connection.
        let other = reported("shadowsocks", json!({"tls": "none", "encryption": members["encryption"]}));
        assert_eq!(reason(&LINKS, &other, ""), None);
    }
}
