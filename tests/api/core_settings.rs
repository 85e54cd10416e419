//! `core_settings` of hosts: stored, checked, and left alone by clients that do not know them.

use sarban::store::Db;
use serde_json::{Value, json};

use crate::api::panel::TestPanel;
use crate::support::database::on_both_engines;

on_both_engines!(
    settings_of_current_cores_are_stored,
    clients_that_do_not_name_them_leave_them_alone,
    wrong_settings_are_named,
);

const HOSTS: &str = "/api/inbounds/hosts";
const HOST: &str = "/api/inbounds/hosts/1";

fn body(core_settings: Value) -> Value {
    json!({"remark": "r", "address": "a", "core_settings": core_settings})
}

fn all() -> Value {
    json!({
        "pinned_peer_cert_sha256": "ab".repeat(32),
        "certificate_public_key_sha256": "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=",
        "ech_config_list": "https://1.1.1.1/dns-query", "encryption": "none", "mldsa65_verify": "", "spider_x": "/",
        "ports": "1000-2000", "hop_interval": 30, "obfs": "salamander", "obfs_password": "abcd", "up_mbps": 20,
        "down_mbps": 100, "congestion_control": "bbr", "udp_relay_mode": "quic",
        "xhttp_extra": {"downloadSettings": {"address": "d", "port": 443, "network": "xhttp"}},
        "finalmask": {"tcp": [{"type": "fragment", "settings": {"packets": "tlshello", "length": "1-3"}}]},
    })
}

async fn settings_of_current_cores_are_stored(db: Db) {
    let panel = TestPanel::start(db).await;
    let made = panel.post("root", HOSTS, body(all())).await.ok();
    assert_eq!(made["core_settings"], all());
    assert_eq!(panel.get("root", HOST).await.ok(), made);
    // The other settings of the group are null.
    let one = panel.put("root", HOST, body(json!({"hop_interval": "60"}))).await.ok();
    assert_eq!((&one["core_settings"]["hop_interval"], &one["core_settings"]["ports"]), (&json!(60), &Value::Null));
    assert_eq!(one["core_settings"].as_object().unwrap().len(), all().as_object().unwrap().len());
}

async fn clients_that_do_not_name_them_leave_them_alone(db: Db) {
    let panel = TestPanel::start(db).await;
    panel.post("root", HOSTS, body(all())).await.ok();
    let old_client = json!({"remark": "new", "address": "b", "port": 1});
    let changed = panel.put("root", HOST, old_client.clone()).await.ok();
    assert_eq!((&changed["remark"], &changed["core_settings"]), (&json!("new"), &all()));
    assert_eq!(panel.put("root", HOST, body(Value::Null)).await.ok()["core_settings"], Value::Null);
    assert_eq!(panel.put("root", HOST, old_client.clone()).await.ok()["core_settings"], Value::Null);
    panel.put("root", "/api/inbounds/hosts/9", old_client).await.refused(404);
}

async fn wrong_settings_are_named(db: Db) {
    let panel = TestPanel::start(db).await;
    for (settings, fields) in [
        (json!({"pinned_peer_cert_sha256": "foo"}), vec!["pinned_peer_cert_sha256"]),
        (json!({"ech_config_list": "foo", "encryption": "foo"}), vec!["ech_config_list", "encryption"]),
        (json!({"mldsa65_verify": "foo", "spider_x": "a"}), vec!["mldsa65_verify", "spider_x"]),
        (
            json!({"ports": "0", "hop_interval": 1, "obfs": "foo"}),
            vec!["hop_interval", "obfs", "obfs_password", "ports"],
        ),
        (json!({"up_mbps": -1}), vec!["up_mbps"]),
        (json!({"down_mbps": -1}), vec!["down_mbps"]),
        (json!({"congestion_control": "foo", "udp_relay_mode": "foo"}), vec!["congestion_control", "udp_relay_mode"]),
        (json!({"xhttp_extra": {"xPaddingBytes": "x"}, "finalmask": {"foo": 1}}), vec!["finalmask", "xhttp_extra"]),
        (json!({"xhttp_extra": [], "finalmask": "x", "ports": 1}), vec!["finalmask", "ports", "xhttp_extra"]),
        (json!([]), vec!["core_settings"]),
    ] {
        panel.post("root", HOSTS, body(settings)).await.wrong_fields(&fields);
    }
}
