//! sing-box templates of operators: real programs refuse from the stated version on what newer versions removed, so that a
//! template is served to the versions that read it and to no others.

use sarban::subscription::templates::SingBoxTemplates;
use serde_json::{Value, json};

use crate::subscription::referees::{SING_BOXES, sing_box_accepts};

/// A configuration that all versions accept.
fn accepted() -> Value {
    json!({
        "dns": {"servers": [{"tag": "local", "type": "local"}]},
        "inbounds": [{"type": "socks", "tag": "in", "listen": "127.0.0.1", "listen_port": 0}],
        "outbounds": [{"type": "direct", "tag": "direct"}],
        "route": {"default_domain_resolver": "local", "rules": [{"domain": "a.example", "outbound": "direct"}]},
    })
}

#[test]
fn removed_members_are_known_with_the_version_that_refuses_them() {
    let tun =
        |name: &str, value: Value| json!([{"type": "tun", "tag": "t", "address": ["172.19.0.1/30"], name: value}]);
    let outbound = |outbound: Value| json!([{"type": "direct", "tag": "direct"}, outbound]);
    // A place, what stands there, and the minor version that refuses it first.
    for (place, value, refused_from) in [
        ("/log", json!({}), None),
        ("/inbounds/0/sniff", json!(true), Some(14)),
        ("/inbounds/0/sniff_override_destination", json!(true), Some(14)),
        ("/inbounds/0/domain_strategy", json!("prefer_ipv4"), Some(14)),
        ("/inbounds", tun("inet4_address", json!(["172.20.0.1/30"])), Some(12)),
        ("/inbounds", tun("inet6_address", json!(["fd00::1/64"])), Some(12)),
        ("/inbounds", tun("inet4_route_exclude_address", json!(["172.20.0.0/30"])), Some(12)),
        ("/inbounds", tun("gso", json!(true)), Some(12)),
        ("/outbounds", outbound(json!({"type": "block", "tag": "block"})), None),
        ("/outbounds", outbound(json!({"type": "dns", "tag": "dns-out"})), Some(12)),
        ("/outbounds/0/override_address", json!("192.0.2.1"), Some(12)),
        ("/outbounds/0/domain_strategy", json!("prefer_ipv4"), Some(13)),
        ("/dns/servers/0", json!({"tag": "local", "address": "local"}), Some(13)),
        ("/dns/fakeip", json!({"enabled": true, "inet4_range": "198.18.0.0/15"}), Some(13)),
        ("/dns/rules", json!([{"outbound": "any", "server": "local"}]), Some(13)),
        ("/dns/rules", json!([{"geosite": "cn", "server": "local"}]), Some(12)),
        ("/route/rules/0/geoip", json!("private"), Some(12)),
        ("/route/rules/0/geosite", json!("cn"), Some(12)),
        ("/experimental", json!({"clash_api": {"store_selected": true}}), Some(10)),
    ] {
        let mut configuration = accepted();
        let (parent, name) = place.rsplit_once('/').unwrap();
        match configuration.pointer_mut(parent).unwrap() {
            Value::Array(list) => list[name.parse::<usize>().unwrap()] = value,
            parent => parent[name] = value,
        }
        for version in SING_BOXES {
            let minor: u32 = version.split('.').nth(1).unwrap().parse().unwrap();
            let accepts = sing_box_accepts(version, &configuration);
            let is_refused = refused_from.is_some_and(|from| minor >= from);
            assert_eq!(accepts.is_err(), is_refused, "{version} {place}: {accepts:?}");
        }
        let warning = SingBoxTemplates::parse(&configuration.to_string()).unwrap().warning();
        let expected = refused_from.map(|from| format!("sing-box 1.{from} and later refuse"));
        assert_eq!(warning.is_some(), expected.is_some(), "{place}: {warning:?}");
        assert!(warning.unwrap_or_default().starts_with(&expected.unwrap_or_default()), "{place}");
    }
}
