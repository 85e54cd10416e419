//! Reads [`CoreSettings`] from an inbound as nodes report it, under the names of the cores and of their links.

use serde_json::{Map, Value};

use super::CoreSettings;

impl CoreSettings {
    /// The settings in an inbound's object; missing and malformed members stay empty.
    pub fn reported(inbound: &Value) -> Self {
        let obfs = &inbound["obfs"];
        Self {
            pinned_peer_cert_sha256: text(inbound, &["pinned_peer_cert_sha256", "pinnedPeerCertSha256", "pcs"]),
            certificate_public_key_sha256: text(inbound, &["certificate_public_key_sha256"]),
            ech_config_list: text(inbound, &["ech_config_list", "echConfigList", "ech"]),
            encryption: text(inbound, &["encryption"]),
            mldsa65_verify: text(inbound, &["mldsa65_verify", "mldsa65Verify", "pqv"]),
            spider_x: text(inbound, &["spider_x", "spiderX", "spx"]),
            ports: text(inbound, &["ports", "mport"]),
            hop_interval: number(inbound, &["hop_interval", "hopInterval"]),
            obfs: obfs["type"].as_str().or_else(|| obfs.as_str()).filter(|text| !text.is_empty()).map(str::to_owned),
            obfs_password: text(obfs, &["password"])
                .or_else(|| text(&obfs["salamander"], &["password"]))
                .or_else(|| text(inbound, &["obfs_password", "obfs-password"])),
            // The server's download is the client's upload.
            up_mbps: number(inbound, &["down_mbps", "downmbps"]),
            down_mbps: number(inbound, &["up_mbps", "upmbps"]),
            congestion_control: text(inbound, &["congestion_control", "congestion_controller"]),
            udp_relay_mode: text(inbound, &["udp_relay_mode"]),
            xhttp_extra: object(inbound, &["xhttp_extra", "extra"]),
            finalmask: object(inbound, &["finalmask"]),
        }
    }
}

/// The first member that is there and has a value.
fn first<'a, T>(inbound: &'a Value, names: &[&str], read: impl Fn(&'a Value) -> Option<T>) -> Option<T> {
    names.iter().find_map(|name| inbound.get(name).and_then(&read))
}

fn text(inbound: &Value, names: &[&str]) -> Option<String> {
    first(inbound, names, |value| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned))
}

fn number(inbound: &Value, names: &[&str]) -> Option<i64> {
    first(inbound, names, |value| value.as_i64().or_else(|| value.as_str()?.trim_end_matches('s').parse().ok()))
}

fn object(inbound: &Value, names: &[&str]) -> Option<Map<String, Value>> {
    first(inbound, names, |value| value.as_object().cloned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn settings_are_read_under_the_names_of_the_cores() {
        let read = CoreSettings::reported(&json!({
            "pinnedPeerCertSha256": "aa", "ech": "bb", "encryption": "cc", "pqv": "dd", "spiderX": "/", "mport": "1-2",
            "hop_interval": "30s", "obfs": {"type": "salamander", "password": "p"}, "up_mbps": 1, "down_mbps": "2",
            "congestion_control": "bbr", "udp_relay_mode": "quic", "extra": {"a": 1}, "finalmask": {},
        }));
        let texts = [&read.pinned_peer_cert_sha256, &read.ech_config_list, &read.encryption, &read.mldsa65_verify];
        assert_eq!(texts.map(|text| text.as_deref().unwrap()), ["aa", "bb", "cc", "dd"]);
        assert_eq!((read.ports.as_deref(), read.hop_interval), (Some("1-2"), Some(30)));
        assert_eq!((read.obfs.as_deref(), read.obfs_password.as_deref()), (Some("salamander"), Some("p")));
        assert_eq!((read.up_mbps, read.down_mbps), (Some(2), Some(1)), "as the client sees them");
        assert_eq!(read.xhttp_extra.unwrap()["a"], 1);
        let odd = json!({"encryption": 1, "ech": {}, "mport": [], "obfs": 7, "extra": "x", "up_mbps": {}});
        for malformed in [json!(null), json!([]), json!("a"), odd] {
            assert_eq!(CoreSettings::reported(&malformed), CoreSettings::default(), "{malformed}");
        }
    }
}
