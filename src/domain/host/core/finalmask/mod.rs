//! Checks of `finalmask`, Xray's disguises of packets: each kind with the settings that Xray reads.
//!
//! Tried on Xray 26.7.28, 26.9.9 and 26.10.10. Unknown members are ignored there, and names are read in any case of letters.

mod packets;
mod udp;
mod values;

use serde_json::{Map, Value};
use uuid::Uuid;

use self::packets::is_item;
use self::udp::is_udp_mask;
use self::values::{Member, SUDOKU, has, is_interval, is_list_of, is_one_of, is_ports, is_window, is_zero_or};
use super::super::tuning::is_fragment_packets;
use super::values::{is_amount, is_positive};
pub use udp::mask_versions;

/// True for an object of lists of disguises and parameters of QUIC.
pub(super) fn is_finalmask(masks: &Map<String, Value>) -> bool {
    masks.iter().all(|(name, value)| match name.as_str() {
        "tcp" => is_list_of(value, is_tcp_mask),
        "udp" => is_list_of(value, is_udp_mask),
        "quicParams" => value.is_null() || has(value, &QUIC_PARAMS),
        _ => false,
    })
}

fn is_tcp_mask(mask: &Value) -> bool {
    let empty = Value::Object(Map::new());
    let settings = mask.get("settings").filter(|settings| !settings.is_null()).unwrap_or(&empty);
    match mask["type"].as_str() {
        Some("fragment") => is_fragment(settings),
        Some("header-custom") => {
            let lists: fn(&Value) -> bool = |lists| is_list_of(lists, |list| is_list_of(list, is_item));
            has(settings, &[("clients", lists), ("servers", lists), ("errors", lists)])
        }
        Some("sudoku") => has(settings, &SUDOKU),
        Some("xmc") => is_xmc(settings),
        _ => false,
    }
}

const QUIC_PARAMS: [Member; 18] = [
    ("congestion", |word| is_one_of(word, &["", "reno", "bbr", "brutal", "force-brutal"])),
    ("debug", Value::is_boolean),
    ("bbrProfile", |word| is_one_of(word, &["", "conservative", "standard", "aggressive"])),
    ("brutalUp", is_bandwidth),
    ("brutalDown", is_bandwidth),
    ("brutalDisableLossCompensation", Value::is_boolean),
    ("udpHop", is_hop_of_quic),
    ("initStreamReceiveWindow", is_window),
    ("maxStreamReceiveWindow", is_window),
    ("initConnectionReceiveWindow", is_window),
    ("maxConnectionReceiveWindow", is_window),
    ("maxIdleTimeout", |seconds| is_zero_or(seconds, 4, 120)),
    ("keepAlivePeriod", |seconds| is_zero_or(seconds, 2, 60)),
    ("disablePathMTUDiscovery", Value::is_boolean),
    ("disableChromeParrot", Value::is_boolean),
    ("disableGSO", Value::is_boolean),
    ("maxIncomingStreams", |streams| is_zero_or(streams, 8, i64::MAX)),
    ("disableStatelessReset", Value::is_boolean),
];

/// Xray demands a length, and takes numbers as well as texts.
fn is_fragment(settings: &Value) -> bool {
    let is_packets: fn(&Value) -> bool = |packets| {
        packets.as_str().is_some_and(|text| {
            let text = text.to_ascii_lowercase();
            text.is_empty() || is_fragment_packets(&text) && !text.starts_with(':')
        })
    };
    let amounts: fn(&Value) -> bool = |list| is_list_of(list, is_amount);
    let members = [
        ("packets", is_packets),
        ("length", is_amount),
        ("delay", is_amount),
        ("lengths", amounts),
        ("delays", amounts),
        ("maxSplit", is_amount as fn(&Value) -> bool),
    ];
    let last = settings["lengths"].as_array().and_then(|list| list.last()).unwrap_or(&settings["length"]);
    has(settings, &members) && is_positive(last) && *last != ""
}

/// A disguise as the game Minecraft.
fn is_xmc(settings: &Value) -> bool {
    let text = |value: &Value| value.as_str().is_some_and(|text| !text.is_empty());
    let is_profile = |profile: &Value| {
        let is_name = |name: &str| {
            (3..=16).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        };
        profile["username"].as_str().is_some_and(is_name)
            && profile["uuid"].as_str().is_some_and(|id| Uuid::try_parse(id).is_ok())
            && text(&profile["texturesValue"])
            && text(&profile["texturesSignature"])
    };
    let profiles = settings["profiles"].as_array();
    text(&settings["password"])
        && profiles.is_some_and(|list| !list.is_empty() && list.iter().all(is_profile))
        // Their rules change from version to version.
        && settings.get("paddings").is_none_or(Value::is_null)
        && has(settings, &[("hostname", Value::is_string)])
}

/// The hopping of QUIC (Xray 26.7; later versions ignore it).
fn is_hop_of_quic(hop: &Value) -> bool {
    has(hop, &[("ports", is_ports), ("interval", is_interval)])
}

/// A number with a unit of bits a second: `60 mbps`, `1g`, `1000000`.
fn is_bandwidth(value: &Value) -> bool {
    let Some(text) = value.as_str() else { return false };
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let units = ["", "b", "bps", "k", "kb", "kbps", "m", "mb", "mbps", "g", "gb", "gbps", "t", "tb", "tbps"];
    (1..=12).contains(&number.len()) && units.contains(&unit.trim().to_ascii_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(layer: &str, kind: &str, settings: Value, expected: bool) {
        let masks = json!({layer: [{"type": kind, "settings": settings}]});
        assert_eq!(is_finalmask(masks.as_object().unwrap()), expected, "{masks}");
    }

    /// As Xray 26.7.28, 26.9.9 and 26.10.10 judge them.
    #[test]
    fn settings_of_each_disguise_are_those_that_xray_reads() {
        for (layer, kind, good, bad) in [
            ("tcp", "fragment", json!({"length": "1", "maxSplit": "3-6"}), json!({"length": "1", "maxSplit": "x"})),
            ("tcp", "fragment", json!({"packets": "TLSHELLO", "length": 1}), json!({"length": "0-3"})),
            ("tcp", "fragment", json!({"lengths": ["0", "2-3"], "delays": [1]}), json!({"Length": "x", "length": "1"})),
            ("tcp", "header-custom", json!({}), json!({"clients": [{}]})),
            (
                "tcp",
                "header-custom",
                json!({"clients": [[{"rand": 5}], [{"packet": [1, 255]}]]}),
                json!({"clients": [[{"rand": 5, "packet": [1]}]]}),
            ),
            (
                "tcp",
                "header-custom",
                json!({"errors": [[{"type": "hex", "packet": "00ff", "delay": "1-5"}]]}),
                json!({"errors": [[{"type": "hex", "packet": "zz"}]]}),
            ),
            (
                "tcp",
                "header-custom",
                json!({"servers": [[{"capture": "a", "rand": 1}]]}),
                json!({"servers": [[{"capture": "1a", "rand": 1}]]}),
            ),
            ("tcp", "sudoku", json!({"password": "a", "paddingMin": 5}), json!({"paddingMin": -1})),
            ("udp", "header-custom", json!({"mode": "standalone", "client": [{"rand": 1}]}), json!({"mode": "foo"})),
            ("udp", "mkcp-legacy", json!({"header": "dns", "value": "a.example"}), json!({"header": "wechat-video"})),
            ("udp", "noise", json!({"noise": [{"rand": "1-10"}]}), json!({"noise": [{"rand": "1-10", "packet": [1]}]})),
            (
                "udp",
                "noise",
                json!({"noise": [{"type": "exp", "packet": "<b 0x00> <r 5-9>"}]}),
                json!({"noise": [{"type": "exp", "packet": "x"}]}),
            ),
            (
                "udp",
                "salamander",
                json!({"password": "abcd", "packetSize": "100-200"}),
                json!({"packetSize": "0-5000"}),
            ),
            (
                "udp",
                "xdns",
                json!({"domains": [{"names": ["a.example"]}], "resolvers": [{"addrs": ["1.1.1.1"]}]}),
                json!({"domain": "a.example"}),
            ),
            ("udp", "xdns", json!({"resolvers": ["a.example+udp://1.1.1.1:53"]}), json!({"resolvers": ["1.1.1.1"]})),
            ("udp", "xicmp", json!({"ips": ["1.1.1.1"]}), json!({"ips": ["x"]})),
            (
                "udp",
                "realm",
                json!({"url": "realm://token@h.example/id", "stunServers": ["1.1.1.1:3478"]}),
                json!({"url": "realm://token@h.example/id"}),
            ),
            (
                "udp",
                "udphop",
                json!({"mode": "intervalRemote", "remotePorts": "1000-2000", "interval": "5-10"}),
                json!({"mode": "intervalRemote", "interval": 3}),
            ),
        ] {
            check(layer, kind, good, true);
            check(layer, kind, bad, false);
        }
        for kind in ["foo", "header-dns", "header-srtp", "mkcp-original", "mkcp-aes128gcm", "gecko"] {
            check("udp", kind, json!({}), false);
        }
        check("tcp", "xmc", json!({"password": "a", "profiles": []}), false);
    }

    #[test]
    fn parameters_of_quic_have_their_limits() {
        for (good, bad) in [
            (json!({"congestion": "reno"}), json!({"congestion": "foo"})),
            (json!({"brutalUp": "60 mbps"}), json!({"brutalUp": 0})),
            (json!({"maxIdleTimeout": 30}), json!({"maxIdleTimeout": 121})),
            (json!({"keepAlivePeriod": 2}), json!({"keepAlivePeriod": 1})),
            (json!({"maxIncomingStreams": 8}), json!({"maxIncomingStreams": 7})),
            (json!({"initStreamReceiveWindow": 16_384}), json!({"initStreamReceiveWindow": 1})),
            (
                json!({"udpHop": {"ports": "1-2", "interval": "5-10"}}),
                json!({"udpHop": {"ports": "1-2", "interval": 4}}),
            ),
        ] {
            for (params, expected) in [(good, true), (bad, false)] {
                let masks = json!({"quicParams": params});
                assert_eq!(is_finalmask(masks.as_object().unwrap()), expected, "{masks}");
            }
        }
    }
}
