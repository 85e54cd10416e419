//! Disguises of packets over UDP.

use ipnet::IpNet;
use serde_json::{Map, Value};

use super::super::values::is_amount;
use super::packets::{is_expression, is_item, is_noise};
use super::values::{SUDOKU, ends, has, is_i32, is_interval, is_ip, is_list_of, is_one_of, is_ports};

/// The largest packet of a disguise with packets of random size, in bytes.
const MAX_PACKET: i64 = 2_048;
/// A version of Xray: year, month and day.
type Version = (u32, u32, u32);
/// The first version with hopping as a disguise. Tried on 26.7.28 and 26.9.9.
const HOPS: Version = (26, 9, 9);
/// The first version with expressions for noise, and with `xdns` in its later form. Tried on 26.9.9 and 26.10.10.
const EXPRESSIONS: Version = (26, 10, 10);

/// The first version of Xray that reads these disguises, and the first one that does not any more, as far as they are
/// not those of all versions with disguises.
pub fn mask_versions(masks: &Map<String, Value>) -> (Option<Version>, Option<Version>) {
    let (mut since, mut until) = (None, None);
    for mask in masks.get("udp").and_then(Value::as_array).into_iter().flatten() {
        let settings = &mask["settings"];
        match mask["type"].as_str() {
            Some("udphop") => since = since.max(Some(HOPS)),
            Some("xdns") if is_new_xdns(settings) => since = since.max(Some(EXPRESSIONS)),
            Some("xdns") => until = Some(EXPRESSIONS),
            Some("noise") if settings["noise"].as_array().into_iter().flatten().any(is_expression) => {
                since = since.max(Some(EXPRESSIONS));
            }
            _ => {}
        }
    }
    (since, until)
}

/// True for a disguise that Xray knows, with settings that it reads.
pub(super) fn is_udp_mask(mask: &Value) -> bool {
    let empty = Value::Object(Map::new());
    let settings = mask.get("settings").filter(|settings| !settings.is_null()).unwrap_or(&empty);
    match mask["type"].as_str() {
        Some("header-custom") => {
            let items: fn(&Value) -> bool = |list| is_list_of(list, is_item);
            let mode: fn(&Value) -> bool = |mode| is_one_of(mode, &["", "prefix", "standalone"]);
            has(settings, &[("client", items), ("server", items), ("mode", mode)])
        }
        Some("mkcp-legacy") => {
            let headers = ["", "dns", "dtls", "srtp", "utp", "wechat", "wireguard"];
            has(settings, &[("header", Value::is_string), ("value", Value::is_string)])
                && is_one_of(&settings["header"], &headers)
        }
        Some("noise") => has(settings, &[("reset", is_amount), ("noise", |list| is_list_of(list, is_noise))]),
        Some("salamander") => has(settings, &[("password", Value::is_string), ("packetSize", is_packet_size)]),
        Some("sudoku") => has(settings, &SUDOKU),
        Some("xdns") => is_xdns(settings),
        Some("xicmp") => has(settings, &[("dgram", Value::is_boolean), ("ips", |list| is_list_of(list, is_ip))]),
        Some("realm") => is_realm(settings),
        Some("udphop") => is_udp_hop(settings),
        _ => false,
    }
}

fn is_packet_size(value: &Value) -> bool {
    is_amount(value)
        && ends(value).is_none_or(|(least, most)| most == 0 || (1..=MAX_PACKET).contains(&least) && most <= MAX_PACKET)
}

/// Data in DNS queries. The form before Xray 26.10 has texts where later ones have objects.
fn is_xdns(settings: &Value) -> bool {
    let is_new = is_new_xdns(settings);
    let is_resolver = |resolver: &Value| {
        let is_named = |(name, server): (&str, &str)| !name.is_empty() && server.starts_with("udp://");
        resolver.as_str().and_then(|text| text.split_once('+')).is_some_and(is_named)
    };
    let has_resolvers =
        || settings["resolvers"].as_array().is_some_and(|list| !list.is_empty() && list.iter().all(is_resolver));
    is_new && is_extra_poll(&settings["extraPoll"]) || !is_new && has_resolvers()
}

/// True for the form of Xray 26.10 and later.
fn is_new_xdns(settings: &Value) -> bool {
    let is_domain = |domain: &Value| {
        let names = domain["names"].as_array();
        let is_name = |name: &Value| name.as_str().is_some_and(|name| crate::domain::address::name(name).is_ok());
        let numbers = [("lenLimit", is_i32 as fn(&Value) -> bool), ("labelLimit", is_i32), ("edns0", is_i32)];
        names.is_some_and(|names| !names.is_empty() && names.iter().all(is_name)) && has(domain, &numbers)
    };
    let is_server = |server: &Value| {
        server.as_str().is_some_and(|text| {
            let address = text.split_once("://").map_or(text, |(_, address)| address);
            let is_known = !text.contains("://") || text.starts_with("udp://") || text.starts_with("tcp://");
            is_known && !address.is_empty() && !address.contains(char::is_whitespace)
        })
    };
    let is_resolver = |resolver: &Value| resolver["addrs"].as_array().is_some_and(|list| list.iter().all(is_server));
    settings["domains"].as_array().is_some_and(|list| !list.is_empty() && list.iter().all(is_domain))
        && is_list_of(&settings["resolvers"], is_resolver)
}

fn is_extra_poll(value: &Value) -> bool {
    value.is_null() || value.as_i64().is_some_and(|number| (0..=3).contains(&number))
}

/// A meeting point of peers: `realm://TOKEN@HOST/ID`.
fn is_realm(settings: &Value) -> bool {
    let url = settings["url"].as_str().and_then(|url| url.split_once("://"));
    let is_url = url.is_some_and(|(scheme, rest)| {
        let parts = rest.split_once('@').and_then(|(token, rest)| Some((token, rest.split_once('/')?)));
        let is_filled = |(token, (host, id)): (&str, (&str, &str))| {
            !token.is_empty() && !id.is_empty() && !host.is_empty() && !host.starts_with(':')
        };
        matches!(scheme, "realm" | "realm+http")
            && parts.is_some_and(is_filled)
            && rest.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'%' && byte != b'#' && byte != b'?')
    });
    let is_server = |server: &Value| {
        let parts = server.as_str().and_then(|text| text.rsplit_once(':'));
        parts.is_some_and(|(host, port)| {
            !host.is_empty() && (!host.contains(':') || host.starts_with('[')) && port.parse::<u16>().is_ok()
        })
    };
    let servers = settings["stunServers"].as_array();
    is_url
        && servers.is_some_and(|list| !list.is_empty() && list.iter().all(is_server))
        && has(
            settings,
            &[("ipMode", Value::is_string), ("tlsConfig", Value::is_null), ("portMapping", Value::is_null)],
        )
}

/// Hopping between ports (Xray 26.9 and later).
fn is_udp_hop(settings: &Value) -> bool {
    let modes = ["intervallocal", "intervalremote", "perconnremote"];
    let mode = settings["mode"].as_str().map(str::to_ascii_lowercase);
    let is_net = |net: &Value| is_ip(net) || net.as_str().is_some_and(|text| text.parse::<IpNet>().is_ok());
    mode.is_some_and(|mode| mode.split(',').all(|mode| modes.contains(&mode)))
        && is_interval(&settings["interval"])
        && is_list_of(&settings["remoteIPs"], is_net)
        && is_ports(&settings["remotePorts"])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn versions_that_read_a_disguise_are_known() {
        let of = |mask: Value| mask_versions(json!({"udp": [mask]}).as_object().unwrap());
        assert_eq!(of(json!({"type": "udphop"})), (Some(HOPS), None));
        assert_eq!(of(json!({"type": "xdns", "settings": {"resolvers": ["a+udp://b"]}})), (None, Some(EXPRESSIONS)));
        let domains = json!({"domains": [{"names": ["a.example"]}]});
        assert_eq!(of(json!({"type": "xdns", "settings": domains})), (Some(EXPRESSIONS), None));
        let noise = json!({"noise": [{"type": "exp", "packet": "<t>"}]});
        assert_eq!(of(json!({"type": "noise", "settings": noise})), (Some(EXPRESSIONS), None));
        assert_eq!(of(json!({"type": "salamander"})), (None, None));
    }
}
