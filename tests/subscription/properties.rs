//! Hosts with arbitrary text: links read back unchanged, and documents stay valid.

use proptest::prelude::*;
use sarban::domain::host::HostSpec;
use sarban::subscription::formats::{CLASH, CLASH_META, LINKS, SING_BOX, WIREGUARD, XRAY};
use serde_json::{Value, json};

use super::{parse, yaml};
use crate::subscription::literal::{rendered, row, spec};

const PROTOCOLS: [&str; 8] = ["vmess", "vless", "trojan", "shadowsocks", "hysteria2", "wireguard", "tuic", "shadowtls"];

/// Returns arbitrary texts. Half of them consist of fragments that links and documents must escape or preserve.
fn odd() -> impl Strategy<Value = String> {
    let breaking = prop::sample::select(vec![
        "\"",
        "'",
        "\\",
        "\n",
        "\r\n",
        "\t",
        "#",
        "?",
        "&",
        "=",
        "%",
        "+",
        "/",
        ":",
        "🚀",
        "آلمان",
        "{",
        "}",
        "- ",
        "\u{7f}",
        "\u{85}",
        "\u{2028}",
        "\u{feff}",
        "\0",
        "@",
        " ",
        "null",
        "~",
    ]);
    prop_oneof![any::<String>(), prop::collection::vec(breaking, 0..8).prop_map(|parts| parts.concat())]
}

/// Escapes a text, so that the template renders to the text itself.
fn template(text: &str) -> String {
    text.replace('{', "{{").replace('}', "}}")
}

proptest! {
    #[test]
    fn links_of_v2ray_protocols_with_any_text_read_back_unchanged(
        remark in odd(), path in odd(), credential in odd(), port in any::<u16>(), sni in "[a-z0-9.-]{1,20}",
        protocol in prop::sample::select(vec!["vmess", "vless", "trojan"]),
    ) {
        // A host without a name gets its address.
        prop_assume!(!credential.is_empty() && !path.is_empty() && port > 0 && !remark.is_empty());
        let host = HostSpec {
            path: Some(template(&path)),
            uuid: Some(credential.clone()),
            password: Some(credential.clone()),
            protocol: Some(protocol.to_owned()),
            network: Some("tcp".to_owned()),
            security: sarban::domain::host::HostSecurity::Tls,
            sni: Some(sni.clone()),
            port: Some(port.into()),
            ..spec(&template(&remark))
        };
        let text = rendered(&LINKS, vec![row(1, host, None)]);
        prop_assert_eq!(text.lines().count(), 1);
        let link = parse::link(&text);
        let port = port.to_string();
        prop_assert_eq!(&link["remark"], &remark);
        let parts = &link["parts"];
        // The path of a request is percent-encoded.
        let written = parts["path"].as_str().unwrap();
        let read = percent_encoding::percent_decode_str(written).decode_utf8_lossy();
        prop_assert_eq!(read, percent_encoding::percent_decode_str(&path).decode_utf8_lossy());
        prop_assert!(written.bytes().all(|byte| byte.is_ascii_graphic()));
        prop_assert_eq!(&parts["sni"], &sni);
        if protocol == "vmess" {
            prop_assert_eq!(json!([parts["id"], parts["add"], parts["port"]]), json!([credential, "a.example", port]));
        } else {
            prop_assert_eq!(json!([link["user"], link["host"], link["port"]]), json!([credential, "a.example", port]));
        }
    }

    #[test]
    fn links_of_other_protocols_with_any_text_read_back_unchanged(
        remark in odd(), path in odd(), uuid in any::<u128>(), password in odd(), port in 1_u16..,
        protocol in prop::sample::select(vec!["hysteria2", "tuic", "shadowsocks"]),
    ) {
        // Hysteria 2 has its obfuscation's password for its path.
        prop_assume!(!password.is_empty() && !remark.is_empty() && !path.is_empty());
        let uuid = uuid::Uuid::from_u128(uuid).hyphenated().to_string();
        let host = HostSpec {
            path: Some(template(&path)),
            header_type: Some("salamander".to_owned()),
            uuid: Some(uuid.clone()),
            password: Some(password.clone()),
            protocol: Some(protocol.to_owned()),
            security: sarban::domain::host::HostSecurity::Tls,
            sni: Some("s.example".to_owned()),
            port: Some(port.into()),
            ..spec(&template(&remark))
        };
        let text = rendered(&LINKS, vec![row(1, host, None)]);
        prop_assert_eq!(text.lines().count(), 1);
        let link = parse::link(&text);
        prop_assert_eq!(json!([link["remark"], link["host"], link["port"]]), json!([remark, "a.example", port.to_string()]));
        let credential = match protocol {
            "hysteria2" => password,
            "tuic" => format!("{uuid}:{password}"),
            _ => format!("chacha20-ietf-poly1305:{password}"),
        };
        prop_assert_eq!(&link["user"], &credential);
        if protocol == "hysteria2" {
            prop_assert_eq!(&link["parts"]["obfs-password"], &path);
        }
    }

    #[test]
    fn documents_of_hosts_with_any_text_stay_valid(
        remark in odd(), address in odd(), path in odd(), sni in odd(), config in odd(), port in any::<i64>(),
        protocol in prop::sample::select(PROTOCOLS.to_vec()),
    ) {
        let host = HostSpec { address, path: Some(path), sni: Some(sni), port: Some(port), ..spec(&template(&remark)) };
        let rows = vec![row(1, host, Some((protocol, config)))];
        let xray: Value = serde_json::from_str(&rendered(&XRAY, rows.clone())).unwrap();
        // A host that no client can use is left out, and one entry says so.
        // A host without a name gets its address.
        let known = |name: &Value| {
            remark.is_empty() || *name == remark.as_str() || *name == "no server that this app can use"
        };
        if let Some(first) = xray.get(0) {
            prop_assert!(known(&first["remarks"]));
        }
        let sing_box: Value = serde_json::from_str(&rendered(&SING_BOX, rows.clone())).unwrap();
        if let Some(entry) = sing_box["outbounds"].get(5) {
            prop_assert!(known(&entry["tag"]));
        }
        let clash = rendered(&CLASH_META, rows.clone());
        let printable = |letter| !matches!(letter, '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}');
        prop_assert!(clash.chars().all(|letter| letter == '\n' || letter >= ' ' && printable(letter)));
        let clash = yaml::read(&clash);
        if let Some(proxy) = clash["proxies"].get(0) {
            prop_assert!(known(&proxy["name"]));
            prop_assert_eq!(&clash["proxy-groups"][0]["proxies"][0], &proxy["name"]);
        }
        let wireguard: Value = serde_json::from_str(&rendered(&WIREGUARD, rows)).unwrap();
        if let Some(first) = wireguard.get(0) {
            prop_assert!(remark.is_empty() || first["remark"] == remark.as_str());
            let known = ["[", "PrivateKey = ", "PublicKey = ", "Endpoint = ", "AllowedIPs = ", "PersistentKeepalive = "];
            let mut lines = first["config"].as_str().unwrap().lines();
            prop_assert!(lines.all(|line| line.is_empty() || known.iter().any(|start| line.starts_with(start))));
        }
    }
}

/// Clients refuse documents with duplicate names.
#[test]
fn hosts_with_the_same_name_get_distinct_names() {
    let inbound = || Some(("trojan", r#"{"port": 1, "network": "tcp", "tls": "tls"}"#.to_owned()));
    let rows: Vec<_> = (0..1_000).map(|id| row(id, spec("🚀 \"one\"\n"), inbound())).collect();
    let distinct = |names: Vec<&str>| names.iter().collect::<std::collections::HashSet<_>>().len();
    let sing_box: Value = serde_json::from_str(&rendered(&SING_BOX, rows.clone())).unwrap();
    let tags = sing_box["outbounds"].as_array().unwrap().iter().map(|one| one["tag"].as_str().unwrap());
    assert_eq!(distinct(tags.collect()), 5 + 1_000);
    let clash = yaml::read(&rendered(&CLASH, rows.clone()));
    let names = clash["proxies"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap());
    assert_eq!(distinct(names.collect()), 1_000);
    assert_eq!(rendered(&LINKS, rows.clone()).lines().count(), 1_000);
    let xray: Value = serde_json::from_str(&rendered(&XRAY, rows)).unwrap();
    assert_eq!(xray.as_array().unwrap().len(), 1_000);
}
