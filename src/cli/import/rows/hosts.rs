//! Converts hosts.

use std::collections::BTreeMap;

use serde_json::Value;

use super::reader::RowReader;
use crate::domain::host::{Alpn, Fingerprint, HostSecurity, HostSpec, Noise, Problem};
use crate::store::import::tables::HostRow;

/// Converts a host that has no inbound, or a copied one.
pub(in crate::cli::import) fn host(row: &mut RowReader<'_>, has_inbound: impl Fn(i64) -> bool) -> Option<HostRow> {
    let id = row.integer("id")?;
    let inbound_id = row.integer("inbound_id");
    if inbound_id.is_some_and(|inbound| !has_inbound(inbound)) {
        return row.leave_out("inbound not found");
    }
    let spec = spec(row);
    for Problem { field, message } in spec.problems() {
        row.changed(format!("{field} {message}: copied, and left out of subscriptions that would carry the value"));
    }
    let texts = [("remark", Some(&spec.remark)), ("address", Some(&spec.address)), ("path", spec.path.as_ref())];
    for (field, text) in texts {
        if text.is_some_and(|text| has_server_address(text)) {
            row.means(format!(
                "{field} has {{SERVER_IP}} or {{SERVER_IPV6}}: the address of the inbound's node if clients can reach it, \
                 otherwise the public address of this panel (SERVER_IP, SERVER_IPV6)"
            ));
        }
    }
    Some(HostRow {
        id,
        inbound_id,
        // Marzneshin offers only hosts that are enabled for certain.
        is_disabled: row.boolean("is_disabled", true),
        universal: row.boolean("universal", false),
        weight: row.integer("weight").unwrap_or(1),
        spec,
    })
}

/// True for a text with the panel's address in it, also with a conversion or a format.
fn has_server_address(text: &str) -> bool {
    ["{SERVER_IP", "{SERVER_IPV6"]
        .iter()
        .any(|name| text.match_indices(name).any(|(at, _)| text[at + name.len()..].starts_with(['}', '!', ':'])))
}

fn spec(row: &mut RowReader<'_>) -> HostSpec {
    let security = HostSecurity::InboundDefault;
    HostSpec {
        remark: row.text("remark").unwrap_or_default(),
        address: row.text("address").unwrap_or_default(),
        uuid: row.text("uuid"),
        password: row.text("password"),
        protocol: row.text("host_protocol"),
        network: row.text("host_network"),
        port: row.integer("port"),
        sni: row.text("sni"),
        host: row.text("host"),
        path: row.text("path"),
        security: row.variant("security", HostSecurity::from_word, security, security.word()),
        alpn: row.variant("alpn", Alpn::from_word, Alpn::None, "none"),
        fingerprint: row.variant("fingerprint", fingerprint, Fingerprint::None, ""),
        allowinsecure: row.boolean("allowinsecure", false),
        fragment: row.json("fragment"),
        noise: row.json::<Vec<Noise>>("udp_noises").filter(|noise| !noise.is_empty()),
        http_headers: row.json::<BTreeMap<String, Value>>("http_headers").map(texts),
        mtu: row.integer("mtu"),
        dns_servers: row.text("dns_servers"),
        allowed_ips: row.text("allowed_ips"),
        header_type: row.text("header_type"),
        reality_public_key: row.text("reality_public_key"),
        reality_short_ids: row.json("reality_short_ids"),
        flow: row.text("flow"),
        shadowtls_version: row.integer("shadowtls_version"),
        shadowsocks_method: row.text("shadowsocks_method"),
        splithttp_settings: row.json("splithttp_settings"),
        early_data: row.integer("early_data"),
        mux_settings: row.json("mux_settings"),
        // Marzneshin has none.
        core_settings: None,
    }
}

/// Parses a fingerprint; Marzneshin writes `none` for no fingerprint.
fn fingerprint(word: &str) -> Option<Fingerprint> {
    if word == "none" { Some(Fingerprint::None) } else { Fingerprint::from_word(word) }
}

/// Converts header values to text; some are numbers in Marzneshin.
fn texts(headers: BTreeMap<String, Value>) -> BTreeMap<String, String> {
    let text = |value: Value| match value {
        Value::String(text) => text,
        other => other.to_string(),
    };
    headers.into_iter().map(|(name, value)| (name, text(value))).collect()
}
