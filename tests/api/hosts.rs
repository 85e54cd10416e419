//! `/api/inbounds/hosts` and `/api/inbounds/{id}/hosts`, as clients of the old panel use them.

use sarban::store::Db;
use serde_json::{Value, json};

use crate::api::panel::TestPanel;
use crate::support::database::{execute, number, on_both_engines};

on_both_engines!(
    host_without_optional_fields_gets_defaults,
    host_stores_every_field,
    wrong_fields_of_a_host_are_all_reported,
    invalid_templates_of_a_host_are_refused,
    tls_texts_of_a_host_are_validated,
    new_host_is_enabled_and_can_be_disabled_by_a_change,
    replacing_a_host_resets_missing_fields_but_not_its_inbound,
    unknown_services_and_chained_hosts_are_ignored,
    unknown_host_or_inbound_is_404_after_field_errors,
    hosts_are_listed_in_pages_of_all_or_of_an_inbound,
    hosts_are_found_by_remark_address_sni_and_host_header,
    host_named_twice_in_one_change_is_refused,
);

const PARTS: &str = "INSERT INTO inbounds (node_id, tag, protocol, config) VALUES
        (1, 'vmess-tcp', 'vmess', '{}'), (1, 'vless-ws', 'vless', '{}');
    INSERT INTO services (name) VALUES ('one'), ('two')";

const UNBOUND: &str = "/api/inbounds/hosts";

async fn start(db: Db) -> TestPanel {
    execute(&db, PARTS).await;
    TestPanel::start(db).await
}

/// A host with these fields and defaults for all others.
fn host(fields: Value) -> Value {
    let mut host = json!({
        "remark": "r", "address": "a", "uuid": null, "password": null, "protocol": null, "network": null, "port": null,
        "sni": null, "host": null, "path": null, "security": "inbound_default", "alpn": "none", "fingerprint": "",
        "allowinsecure": false, "is_disabled": false, "fragment": null, "noise": null, "http_headers": {}, "mtu": null,
        "dns_servers": null, "allowed_ips": null, "header_type": null, "reality_public_key": null,
        "reality_short_ids": null, "flow": null, "shadowtls_version": null, "shadowsocks_method": null,
        "splithttp_settings": null, "early_data": null, "mux_settings": null,
        "core_settings": null, "universal": false, "service_ids": [],
        "weight": 1, "inbound_id": null, "chain_ids": [], "id": 1,
    });
    for (name, value) in fields.as_object().expect("an object") {
        host[name] = value.clone();
    }
    host
}

async fn create(panel: &TestPanel, path: &str, fields: Value) -> Value {
    let mut body = json!({"remark": "r", "address": "a"});
    for (name, value) in fields.as_object().expect("an object") {
        body[name] = value.clone();
    }
    panel.post("root", path, body).await.ok()
}

async fn host_without_optional_fields_gets_defaults(db: Db) {
    let panel = start(db).await;
    assert_eq!(create(&panel, UNBOUND, json!({})).await, host(json!({})));
    let ignored = json!({"inbound_id": 1, "id": 77, "unknown": []});
    assert_eq!(create(&panel, UNBOUND, ignored.clone()).await, host(json!({"id": 2})));
    let bound = create(&panel, "/api/inbounds/2/hosts", ignored).await;
    assert_eq!(bound, host(json!({"id": 3, "inbound_id": 2, "protocol": "vless"})));
    let nulls = json!({"allowinsecure": null, "is_disabled": null, "http_headers": null, "alpn": null});
    assert_eq!(create(&panel, UNBOUND, nulls).await, host(json!({"id": 4, "http_headers": null})));
    assert_eq!(panel.get("root", "/api/inbounds/hosts/3").await.ok(), bound);
}

async fn host_stores_every_field(db: Db) {
    let panel = start(db).await;
    let full = json!({
        "remark": "🇩🇪 آلمان {USERNAME} / & ? # = +", "address": "{USERNAME}.example.com",
        "uuid": "11111111-2222-3333-4444-555555555555", "password": "p", "protocol": "anything", "network": "tcp",
        "port": 4433, "sni": "*.a.com,b.com", "host": "h1,h2", "path": "/p q?a=b&c=ü", "security": "tls",
        "alpn": "h2,http/1.1", "fingerprint": "randomized", "allowinsecure": true,
        "fragment": {"packets": "tlshello", "length": "100-200", "interval": "10-20"},
        "noise": [{"type": "rand", "packet": "50-100", "delay": "10-20"}, {"type": "base64", "packet": "7n", "delay": "5"}],
        "http_headers": {"User-Agent": "Moz", "X-A": "b"}, "mtu": 1280, "dns_servers": "1.1.1.1,8.8.8.8",
        "allowed_ips": "10.0.0.0/8", "header_type": "none", "reality_public_key": "PBK",
        "reality_short_ids": ["aa", "bb"], "flow": "xtls-rprx-vision", "shadowtls_version": 3,
        "shadowsocks_method": "aes-256-gcm",
        "splithttp_settings": {"mode": "stream-one", "no_grpc_header": true, "padding_bytes": "100-1000", "xmux": {
            "max_concurrency": "16-32", "max_connections": "0", "max_reuse_times": "64-128", "max_lifetime": "0",
            "max_request_times": "600-900", "keep_alive_period": 45}},
        "early_data": 2048,
        "mux_settings": {"protocol": "smux",
            "sing_box_mux_settings": {"max_connections": 4, "max_streams": 16, "min_streams": 2, "padding": true},
            "mux_cool_settings": {"concurrency": 8, "xudp_concurrency": 16, "xudp_proxy_443": "reject"}},
        "universal": true, "service_ids": [1, 2], "weight": 30,
    });
    let made = create(&panel, UNBOUND, full.clone()).await;
    assert_eq!(made, host(full));
    assert_eq!(panel.get("root", "/api/inbounds/hosts/1").await.ok(), made);
    let small = json!({"splithttp_settings": {"xmux": {}}, "mux_settings": {"protocol": "h2mux"}, "port": "443", "weight": 2.0});
    let splithttp = json!({"mode": null, "no_grpc_header": null, "padding_bytes": null, "xmux": {
        "max_concurrency": null, "max_connections": null, "max_reuse_times": null, "max_lifetime": null,
        "max_request_times": null, "keep_alive_period": null}});
    let mux = json!({"protocol": "h2mux", "sing_box_mux_settings": null, "mux_cool_settings": null});
    let expected = json!({"id": 2, "splithttp_settings": splithttp, "mux_settings": mux, "port": 443, "weight": 2});
    assert_eq!(create(&panel, UNBOUND, small).await, host(expected));
}

async fn wrong_fields_of_a_host_are_all_reported(db: Db) {
    let panel = start(db).await;
    for path in [UNBOUND, "/api/inbounds/1/hosts"] {
        panel.post("root", path, json!({})).await.wrong_fields(&["address", "remark"]);
        let body = json!({
            "remark": null, "address": 1, "port": "x", "security": "xtls", "alpn": "h9", "fingerprint": "netscape",
            "fragment": {"packets": "bad!", "length": "", "interval": "x"},
            "noise": [{"type": "zzz", "packet": 5, "delay": "a"}], "mtu": "x",
            "splithttp_settings": {"xmux": {"max_concurrency": "a-b", "keep_alive_period": "x"}}, "mux_settings": {},
            "weight": null, "universal": null, "service_ids": null, "chain_ids": ["x"], "http_headers": {"a": 1},
            "reality_short_ids": "x", "shadowtls_version": "3.5",
        });
        panel.post("root", path, body).await.wrong_fields(&[
            "0",
            "a",
            "address",
            "alpn",
            "delay",
            "fingerprint",
            "interval",
            "keep_alive_period",
            "length",
            "max_concurrency",
            "mtu",
            "packet",
            "packets",
            "port",
            "protocol",
            "reality_short_ids",
            "remark",
            "security",
            "service_ids",
            "shadowtls_version",
            "type",
            "universal",
            "weight",
        ]);
    }
    let of = |field: &str, value: Value| json!({"remark": "r", "address": "a", field: value});
    for (body, expected) in [
        (of("fragment", json!({})), vec!["interval", "length", "packets"]),
        (of("fragment", json!([])), vec!["fragment"]),
        (of("noise", json!([1])), vec!["0"]),
        (of("noise", json!([{"type": "str", "packet": "", "delay": "12345678901"}])), vec!["delay"]),
        (of("chain_ids", json!([9_223_372_036_854_775_808_u64])), vec!["0"]),
        (of("service_ids", json!([1, {}])), vec!["1"]),
        (of("allowinsecure", json!("maybe")), vec!["allowinsecure"]),
        (of("early_data", json!(1.5)), vec!["early_data"]),
        (of("sni", json!("a\u{0}b")), vec!["sni"]),
        (of("security", json!(null)), vec!["security"]),
        (json!([]), vec!["body"]),
    ] {
        panel.post("root", UNBOUND, body).await.wrong_fields(&expected);
    }
    assert_eq!(number(&panel.panel.db, "SELECT COUNT(*) FROM hosts").await, 0);
}

async fn invalid_templates_of_a_host_are_refused(db: Db) {
    let panel = start(db).await;
    for (remark, address, path) in [("{}", "{0}", "{USERNAME!x}"), ("{", "}", "{USERNAME")] {
        let body = json!({"remark": remark, "address": address, "path": path});
        panel.post("root", UNBOUND, body).await.wrong_fields(&["address", "path", "remark"]);
    }
    let fields = json!({"remark": "{USERNAME:>10} {UNKNOWN}", "address": "{SERVER_IP}", "path": "{{literal}}"});
    assert_eq!(create(&panel, UNBOUND, fields.clone()).await, host(fields));
}

async fn tls_texts_of_a_host_are_validated(db: Db) {
    let panel = start(db).await;
    for alpn in ["none", "h2", "http/1.1", "h2,http/1.1", "h3", "h3,h2", "h3,h2,http/1.1"] {
        assert_eq!(create(&panel, UNBOUND, json!({"alpn": alpn})).await["alpn"], alpn);
    }
    assert_eq!(create(&panel, UNBOUND, json!({"alpn": ""})).await["alpn"], "none");
    for fingerprint in
        ["", "chrome", "firefox", "safari", "ios", "android", "edge", "360", "qq", "random", "randomized"]
    {
        assert_eq!(create(&panel, UNBOUND, json!({"fingerprint": fingerprint})).await["fingerprint"], fingerprint);
    }
    for security in ["inbound_default", "none", "tls"] {
        assert_eq!(create(&panel, UNBOUND, json!({"security": security})).await["security"], security);
    }
    for fingerprint in [json!(null), json!("none"), json!("Chrome")] {
        let body = json!({"remark": "r", "address": "a", "fingerprint": fingerprint});
        panel.post("root", UNBOUND, body).await.wrong_fields(&["fingerprint"]);
    }
}

async fn new_host_is_enabled_and_can_be_disabled_by_a_change(db: Db) {
    let panel = start(db).await;
    for path in [UNBOUND, "/api/inbounds/1/hosts"] {
        let made = create(&panel, path, json!({"is_disabled": true})).await;
        assert_eq!(made["is_disabled"], false);
        let at = format!("{UNBOUND}/{}", made["id"]);
        assert_eq!(panel.get("root", &at).await.ok()["is_disabled"], false);
        let body = json!({"remark": "r", "address": "a", "is_disabled": "yes"});
        assert_eq!(panel.put("root", &at, body).await.ok()["is_disabled"], true);
        assert_eq!(panel.get("root", &at).await.ok()["is_disabled"], true);
        for (sent, stored) in [(json!(false), false), (json!(null), true)] {
            let body = json!({"remark": "r", "address": "a", "is_disabled": sent});
            assert_eq!(panel.put("root", &at, body).await.ok()["is_disabled"], stored, "{sent}");
            assert_eq!(panel.get("root", &at).await.ok()["is_disabled"], stored, "{sent}");
        }
        let missing = json!({"remark": "r", "address": "a", "noise": []});
        let enabled = panel.put("root", &at, missing).await.ok();
        assert_eq!((&enabled["is_disabled"], &enabled["noise"]), (&json!(false), &json!(null)));
    }
}

async fn replacing_a_host_resets_missing_fields_but_not_its_inbound(db: Db) {
    let panel = start(db).await;
    let fields = json!({"port": 1, "service_ids": [1, 2], "http_headers": {"a": "b"}, "weight": 9, "universal": true});
    create(&panel, "/api/inbounds/1/hosts", fields).await;
    let chain = json!({"remark": "r", "address": "a", "chain_ids": [1]});
    let expected = host(json!({"inbound_id": 1, "protocol": "vmess", "chain_ids": [1]}));
    assert_eq!(panel.put("root", "/api/inbounds/hosts/1", chain).await.ok(), expected);
    let bare = json!({"remark": "new", "address": "b", "inbound_id": 2, "protocol": "trojan"});
    let expected = host(json!({"remark": "new", "address": "b", "inbound_id": 1, "protocol": "vmess"}));
    assert_eq!(panel.put("root", "/api/inbounds/hosts/1", bare).await.ok(), expected);
    panel.put("root", "/api/inbounds/hosts/1", json!({"port": 1})).await.wrong_fields(&["address", "remark"]);
    assert_eq!(panel.get("root", "/api/inbounds/hosts/1").await.ok(), expected);
}

async fn unknown_services_and_chained_hosts_are_ignored(db: Db) {
    let panel = start(db).await;
    create(&panel, UNBOUND, json!({})).await;
    create(&panel, UNBOUND, json!({})).await;
    let made = create(&panel, UNBOUND, json!({"chain_ids": [2, "1", 99999], "service_ids": [99, 2, 2]})).await;
    assert_eq!((&made["chain_ids"], &made["service_ids"]), (&json!([2, 1]), &json!([2])));
    assert_eq!(panel.delete("root", "/api/inbounds/hosts/2").await.ok(), json!({}));
    assert_eq!(panel.get("root", "/api/inbounds/hosts/3").await.ok()["chain_ids"], json!([1]));
}

async fn unknown_host_or_inbound_is_404_after_field_errors(db: Db) {
    let panel = start(db).await;
    let good = json!({"remark": "r", "address": "a"});
    panel.post("root", "/api/inbounds/999/hosts", good.clone()).await.refused(404);
    panel.post("root", "/api/inbounds/999/hosts", json!({})).await.wrong_fields(&["address", "remark"]);
    panel.get("root", "/api/inbounds/999/hosts").await.refused(404);
    panel.get("root", "/api/inbounds/x/hosts?size=0").await.wrong_fields(&["id", "size"]);
    for id in ["999", "-1"] {
        let at = format!("{UNBOUND}/{id}");
        panel.get("root", &at).await.refused(404);
        panel.put("root", &at, good.clone()).await.refused(404);
        panel.put("root", &at, json!({})).await.wrong_fields(&["address", "remark"]);
        panel.delete("root", &at).await.refused(404);
    }
    for id in ["x", "99999999999999999999"] {
        let at = format!("{UNBOUND}/{id}");
        panel.get("root", &at).await.wrong_fields(&["id"]);
        panel.delete("root", &at).await.wrong_fields(&["id"]);
        panel.put("root", &at, json!({"address": "a"})).await.wrong_fields(&["id", "remark"]);
    }
    create(&panel, UNBOUND, json!({})).await;
    assert_eq!(panel.delete("root", "/api/inbounds/hosts/1").await.ok(), json!({}));
    panel.delete("root", "/api/inbounds/hosts/1").await.refused(404);
}

async fn hosts_are_listed_in_pages_of_all_or_of_an_inbound(db: Db) {
    let panel = start(db).await;
    create(&panel, UNBOUND, json!({})).await;
    for _ in 0..2 {
        create(&panel, "/api/inbounds/2/hosts", json!({})).await;
    }
    let page = panel.get("root", "/api/inbounds/hosts?size=2&page=2").await.ok();
    assert_eq!((&page["items"][0]["id"], &page["total"], &page["pages"]), (&json!(3), &json!(3), &json!(2)));
    assert_eq!(page["links"]["prev"], "/api/inbounds/hosts?size=2&page=1");
    let page = panel.get("root", "/api/inbounds/2/hosts?size=1").await.ok();
    assert_eq!((&page["items"][0]["id"], &page["total"]), (&json!(2), &json!(2)));
    assert_eq!(page["links"]["next"], "/api/inbounds/2/hosts?size=1&page=2");
    assert_eq!(panel.get("root", "/api/inbounds/1/hosts").await.ok()["items"], json!([]));
}

async fn hosts_are_found_by_remark_address_sni_and_host_header(db: Db) {
    let panel = start(db).await;
    for fields in [
        json!({"remark": "Frankfurt"}),
        json!({"address": "frankfurt.example"}),
        json!({"sni": "one.example,Cdn.FRANKFURT.example"}),
        json!({"host": "front.frankfurt.example"}),
        json!({"sni": "berlin.example"}),
    ] {
        create(&panel, UNBOUND, fields).await;
    }
    for (search, found) in [
        ("frankfurt", &[1, 2, 3, 4][..]),
        ("CDN.frank", &[3]),
        ("one.example,cdn", &[3]),
        ("front.", &[4]),
        ("BERLIN.", &[5]),
        ("paris", &[]),
    ] {
        let page = panel.get("root", &format!("{UNBOUND}?search={search}")).await.ok();
        let ids: Vec<i64> =
            page["items"].as_array().expect("items").iter().filter_map(|host| host["id"].as_i64()).collect();
        assert_eq!((&*ids, page["total"].as_u64()), (found, Some(found.len() as u64)), "{search}");
    }
    let page = panel.get("root", &format!("{UNBOUND}?search=frankfurt&size=1&page=3")).await.ok();
    assert_eq!((&page["items"][0]["id"], &page["total"]), (&json!(3), &json!(4)));
}

async fn host_named_twice_in_one_change_is_refused(db: Db) {
    let panel = start(db).await;
    for _ in 0..2 {
        create(&panel, UNBOUND, json!({"weight": 1})).await;
    }
    let body = json!({"hosts": [{"id": 1, "weight": 2}, {"id": 2, "weight": 3}, {"id": "1", "weight": 4}]});
    let answer = panel.put("root", UNBOUND, body).await;
    let expected = json!({"detail": {"id": "must name each host once; 1 is there twice"}});
    assert_eq!((answer.status.as_u16(), answer.body), (422, expected));
    for id in [1, 2] {
        assert_eq!(panel.get("root", &format!("{UNBOUND}/{id}")).await.ok()["weight"], 1, "nothing is changed");
    }
    let body = json!({"hosts": [{"id": 1, "weight": 2}, {"id": 2, "is_disabled": true}]});
    panel.put("root", UNBOUND, body).await.ok();
    assert_eq!(panel.get("root", &format!("{UNBOUND}/1")).await.ok()["weight"], 2);
}
