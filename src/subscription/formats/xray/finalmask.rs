//! Disguises of packets below Xray's transport, and the parameters of its QUIC.

use std::borrow::Cow;

use serde_json::{Map, Value, json};

use crate::domain::inbound::{Network, Protocol};
use crate::subscription::entry::Entry;

/// The object `finalmask` of an entry: the host's own, with what other settings ask for and it does not name.
pub fn of<'a>(entry: &'a Entry<'_>) -> Option<Cow<'a, Map<String, Value>>> {
    let own = entry.core.finalmask.as_ref();
    let mask = if own.is_some_and(|own| own.contains_key("udp")) { None } else { mask(entry) };
    let params = quic_params(entry);
    if mask.is_none() && params.is_empty() {
        return own.map(Cow::Borrowed);
    }
    let mut masks = own.cloned().unwrap_or_default();
    if let Some(mask) = mask {
        masks.insert("udp".to_owned(), json!([mask]));
    }
    if !params.is_empty() {
        let named = masks.entry("quicParams").or_insert_with(|| json!({}));
        for (name, value) in params {
            if named.get(name).is_none() {
                named[name] = value;
            }
        }
    }
    Some(Cow::Owned(masks))
}

fn mask(entry: &Entry<'_>) -> Option<Value> {
    let path = entry.path.as_deref();
    match (entry.protocol, entry.network, header_type(entry)) {
        (Protocol::Hysteria2, _, Some("salamander")) => {
            Some(json!({"type": "salamander", "settings": {"password": path?}}))
        }
        (Protocol::Hysteria2, ..) => None,
        (_, Network::Kcp, header) if header.is_some() || path.is_some() => {
            let mut settings = Map::new();
            if let Some(header) = header {
                // One name is shorter here.
                settings.insert("header".to_owned(), if header == "wechat-video" { "wechat" } else { header }.into());
            }
            if let Some(seed) = path {
                settings.insert("value".to_owned(), seed.into());
            }
            Some(json!({"type": "mkcp-legacy", "settings": settings}))
        }
        _ => None,
    }
}

/// Bandwidth and ports of Hysteria 2.
fn quic_params(entry: &Entry<'_>) -> Vec<(&'static str, Value)> {
    let core = entry.core;
    let mut params = Vec::new();
    if core.up_mbps.is_some() {
        params.push(("congestion", "brutal".into()));
    }
    let rates = [("brutalUp", core.up_mbps), ("brutalDown", core.down_mbps)];
    params.extend(rates.into_iter().filter_map(|(name, rate)| Some((name, format!("{} mbps", rate?).into()))));
    if let Some(ports) = &core.ports {
        // Versions that have no hopping here use the port.
        params.push(("udpHop", json!({"ports": ports, "interval": core.hop_interval.unwrap_or(30)})));
    }
    params
}

/// The header type, unless it means none.
pub fn header_type<'a>(entry: &Entry<'a>) -> Option<&'a str> {
    entry.header_type.filter(|kind| *kind != "none")
}
