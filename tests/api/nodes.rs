//! `/api/nodes` and `/api/inbounds`, as clients of the old panel use them.

use reqwest::Method;
use sarban::store::Db;
use serde_json::{Value, json};

use crate::api::panel::{TestPanel, send};
use crate::support::database::{execute, number, on_both_engines};

on_both_engines!(
    nodes_inbounds_and_hosts_are_for_sudo_admins_only,
    new_panel_has_the_local_node,
    new_node_gets_defaults_for_missing_fields,
    wrong_fields_of_a_node_are_all_reported,
    addresses_are_cleaned,
    taken_name_or_address_is_a_conflict,
    nodes_are_filtered_by_name_and_status,
    unknown_node_is_404_and_malformed_id_is_422,
    changed_node_reconnects_unless_it_is_disabled,
    repin_forgets_the_certificate_and_resync_does_not,
    node_says_how_far_it_is_in_step,
    node_has_counts_and_its_last_reply,
    deleted_node_is_404,
    client_certificate_is_created_once,
    inbound_is_shown_with_its_node_and_services,
    inbounds_are_filtered_by_tag_and_listed_with_links,
    only_absent_inbounds_can_be_deleted,
);

fn local() -> Value {
    json!({
        "id": 1, "name": "local", "address": "127.0.0.1", "port": 53042, "connection_backend": "grpcio",
        "usage_coefficient": 1.0, "xray_version": null, "status": "unhealthy", "message": null, "inbound_ids": [],
        "backends": [],
    })
}

/// Returns `of` with these fields replaced.
fn with(of: &Value, fields: Value) -> Value {
    let mut changed = of.clone();
    for (name, value) in fields.as_object().expect("an object") {
        changed[name] = value.clone();
    }
    changed
}

async fn nodes_inbounds_and_hosts_are_for_sudo_admins_only(db: Db) {
    let panel = TestPanel::start(db).await;
    panel.insert_admin("alice", false).await;
    for (method, path) in [
        (Method::GET, "/api/nodes"),
        (Method::POST, "/api/nodes"),
        (Method::GET, "/api/nodes/settings"),
        (Method::GET, "/api/nodes/abc"),
        (Method::PUT, "/api/nodes/1"),
        (Method::DELETE, "/api/nodes/1"),
        (Method::POST, "/api/nodes/1/resync"),
        (Method::POST, "/api/nodes/1/repin"),
        (Method::GET, "/api/inbounds"),
        (Method::GET, "/api/inbounds/1"),
        (Method::DELETE, "/api/inbounds/1"),
        (Method::DELETE, "/api/inbounds/absent"),
        (Method::GET, "/api/inbounds/1/hosts"),
        (Method::POST, "/api/inbounds/1/hosts"),
        (Method::GET, "/api/inbounds/hosts"),
        (Method::POST, "/api/inbounds/hosts"),
        (Method::GET, "/api/inbounds/hosts/1"),
        (Method::PUT, "/api/inbounds/hosts/1"),
        (Method::DELETE, "/api/inbounds/hosts/1"),
    ] {
        send(panel.request(method.clone(), path)).await.refused(401);
        send(panel.request(method, path).bearer_auth(panel.token_of("alice"))).await.refused(403);
    }
}

async fn new_panel_has_the_local_node(db: Db) {
    let panel = TestPanel::start(db).await;
    let links = json!({
        "first": "/api/nodes?page=1", "last": "/api/nodes?page=1", "self": "/api/nodes", "next": null, "prev": null,
    });
    let page = json!({"items": [local()], "total": 1, "page": 1, "size": 50, "pages": 1, "links": links});
    assert_eq!(panel.get("root", "/api/nodes").await.ok(), page);
    assert_eq!(panel.get("root", "/api/nodes/1").await.ok(), local());
}

async fn new_node_gets_defaults_for_missing_fields(db: Db) {
    let panel = TestPanel::start(db).await;
    let bare = panel.post("root", "/api/nodes", json!({"name": "", "address": "a", "id": 7})).await.ok();
    let defaults = json!({"id": 2, "name": "", "address": "a", "connection_backend": "grpclib"});
    assert_eq!(bare, with(&local(), defaults));
    let body = json!({
        "name": "de", "address": "127.0.0.6", "port": "65535", "connection_backend": "grpcio", "usage_coefficient": "0",
    });
    let full = panel.post("root", "/api/nodes", body).await.ok();
    let fields = json!({"id": 3, "name": "de", "address": "127.0.0.6", "port": 65535, "usage_coefficient": 0.0});
    assert_eq!(full, with(&local(), fields));
    let port = panel.post("root", "/api/nodes", json!({"name": "x", "address": "127.0.0.6", "port": 1.0})).await.ok();
    assert_eq!((port["port"].as_i64(), &panel.get("root", "/api/nodes/4").await.ok()), (Some(1), &port));
}

async fn wrong_fields_of_a_node_are_all_reported(db: Db) {
    let panel = TestPanel::start(db).await;
    let long = "x".repeat(257);
    for (body, expected) in [
        (json!({}), vec!["address", "name"]),
        (
            json!({"name": 1, "address": null, "port": "abc", "connection_backend": "zmq", "usage_coefficient": -1}),
            vec!["address", "connection_backend", "name", "port", "usage_coefficient"],
        ),
        (
            json!({"name": "n", "address": "a", "port": null, "usage_coefficient": "NaN"}),
            vec!["port", "usage_coefficient"],
        ),
        (json!({"name": "n", "address": "a", "port": 9_223_372_036_854_775_808_u64}), vec!["port"]),
        (json!({"name": long, "address": "a\u{0}"}), vec!["address", "name"]),
        (json!({"name": "n", "address": "", "port": 0}), vec!["address", "port"]),
        (json!({"name": "n", "address": "host:53042", "port": 70000}), vec!["address", "port"]),
        (json!({"name": "n", "address": "https://h.example", "port": -1}), vec!["address", "port"]),
        (json!({"name": "n", "address": "a b"}), vec!["address"]),
    ] {
        panel.post("root", "/api/nodes", body).await.wrong_fields(&expected);
    }
    for (body, expected) in [
        (json!({"status": "x", "usage_coefficient": -0.1}), vec!["status", "usage_coefficient"]),
        (
            json!({"name": 5, "address": [], "port": 1.5, "connection_backend": ""}),
            vec!["address", "connection_backend", "name", "port"],
        ),
        (json!(null), vec!["body"]),
    ] {
        panel.put("root", "/api/nodes/1", body).await.wrong_fields(&expected);
    }
    panel.put("root", "/api/nodes/abc", json!({"port": "x"})).await.wrong_fields(&["node_id", "port"]);
    assert_eq!(panel.get("root", "/api/nodes/1").await.ok(), local());
}

async fn addresses_are_cleaned(db: Db) {
    let panel = TestPanel::start(db).await;
    let made = panel.post("root", "/api/nodes", json!({"name": "a", "address": "[2001:DB8::1]"})).await.ok();
    assert_eq!(made["address"], "2001:db8::1");
    panel.post("root", "/api/nodes", json!({"name": "b", "address": " 2001:db8::1\n"})).await.refused(409);
    let edited = panel.put("root", "/api/nodes/2", json!({"address": " bücher.example "})).await.ok();
    assert_eq!(edited["address"], "xn--bcher-kva.example");
    panel
        .put("root", "/api/nodes/2", json!({"address": "h/x", "port": 65536}))
        .await
        .wrong_fields(&["address", "port"]);
}

async fn taken_name_or_address_is_a_conflict(db: Db) {
    let panel = TestPanel::start(db).await;
    let create = async |name: &str, address: &str| {
        panel.post("root", "/api/nodes", json!({"name": name, "address": address})).await
    };
    create("local", "127.0.0.9").await.refused(409);
    create("other", "127.0.0.1").await.refused(409);
    let other = format!("/api/nodes/{}", create("Local", "127.0.0.9").await.ok()["id"]);
    panel.put("root", &other, json!({"name": "local"})).await.refused(409);
    panel.put("root", &other, json!({"address": "127.0.0.1"})).await.refused(409);
    panel.put("root", &other, json!({"name": "Local", "address": "127.0.0.9"})).await.ok();
    assert_eq!(number(&panel.panel.db, "SELECT COUNT(*) FROM nodes").await, 2);
}

async fn nodes_are_filtered_by_name_and_status(db: Db) {
    let panel = TestPanel::start(db).await;
    panel.post("root", "/api/nodes", json!({"name": "de", "address": "192.0.2.1"})).await.ok();
    panel.put("root", "/api/nodes/2", json!({"status": "disabled"})).await.ok();
    let ids = async |query: &str| -> Vec<i64> {
        let page = panel.get("root", &format!("/api/nodes?{query}")).await.ok();
        page["items"].as_array().expect("a list").iter().filter_map(|node| node["id"].as_i64()).collect()
    };
    assert_eq!(ids("status=disabled").await, [2]);
    assert_eq!(ids("status=unhealthy&status=disabled").await, [1, 2]);
    assert!(ids("status=healthy").await.is_empty());
    assert_eq!(ids("name=DE").await, [2]);
    assert_eq!(ids("name=").await, [1, 2]);
    assert_eq!(ids("name=%25").await, [1, 2]);
    assert_eq!(ids("name=d_").await, [2]);
    assert_eq!(ids("size=1&page=2").await, [2]);
    assert!(ids("status=unhealthy&name=de").await.is_empty());
    panel.get("root", "/api/nodes?status=bad").await.wrong_fields(&["0"]);
    panel.get("root", "/api/nodes?status=").await.wrong_fields(&["0"]);
    panel.get("root", "/api/nodes?status=healthy&status=x&size=0").await.wrong_fields(&["1", "size"]);
}

async fn unknown_node_is_404_and_malformed_id_is_422(db: Db) {
    let panel = TestPanel::start(db).await;
    for id in ["999", "-1", "9223372036854775807"] {
        let path = format!("/api/nodes/{id}");
        panel.get("root", &path).await.refused(404);
        panel.put("root", &path, json!({})).await.refused(404);
        panel.delete("root", &path).await.refused(404);
        panel.post("root", &format!("{path}/resync"), json!({})).await.refused(404);
        panel.post("root", &format!("{path}/repin"), json!({})).await.refused(404);
    }
    for id in ["abc", "1.5", "99999999999999999999", "settings"] {
        let path = format!("/api/nodes/{id}");
        if id != "settings" {
            panel.get("root", &path).await.wrong_fields(&["node_id"]);
        }
        panel.put("root", &path, json!({})).await.wrong_fields(&["node_id"]);
        panel.delete("root", &path).await.wrong_fields(&["node_id"]);
        panel.post("root", &format!("{path}/resync"), json!({})).await.wrong_fields(&["node_id"]);
    }
}

async fn changed_node_reconnects_unless_it_is_disabled(db: Db) {
    let panel = TestPanel::start(db).await;
    const HEALTHY: &str = "UPDATE nodes SET status = 'healthy', message = 'm', xray_version = '1.8.24'";
    let put = async |body: Value| {
        execute(&panel.panel.db, HEALTHY).await;
        panel.put("root", "/api/nodes/1", body).await.ok()
    };
    let connecting = with(&local(), json!({"message": "m", "xray_version": "1.8.24"}));
    assert_eq!(put(json!({})).await, connecting);
    assert_eq!(put(json!({"status": "healthy", "usage_coefficient": 0, "name": null})).await, connecting);
    let disabled = put(json!({"status": "disabled", "usage_coefficient": 2.5})).await;
    assert_eq!(disabled, with(&local(), json!({"status": "disabled", "usage_coefficient": 2.5})));
    assert_eq!(panel.get("root", "/api/nodes/1").await.ok(), disabled);
    let fields = json!({"name": "new", "address": "::1", "port": "1", "connection_backend": "grpclib"});
    let moved = panel.put("root", "/api/nodes/1", fields).await.ok();
    let expected = json!({"name": "new", "address": "::1", "port": 1, "connection_backend": "grpclib",
        "usage_coefficient": 2.5});
    assert_eq!(moved, with(&local(), expected), "a change without a status enables the node");
}

async fn repin_forgets_the_certificate_and_resync_does_not(db: Db) {
    let panel = TestPanel::start(db).await;
    execute(&panel.panel.db, "UPDATE nodes SET certificate_pin = 'ab'").await;
    assert_eq!(panel.post("root", "/api/nodes/1/resync", json!(null)).await.ok(), json!({}));
    assert_eq!(number(&panel.panel.db, "SELECT COUNT(*) FROM nodes WHERE certificate_pin = 'ab'").await, 1);
    assert_eq!(panel.post("root", "/api/nodes/1/repin", json!(null)).await.ok(), json!({}));
    assert_eq!(number(&panel.panel.db, "SELECT COUNT(*) FROM nodes WHERE certificate_pin IS NULL").await, 1);
}

async fn node_says_how_far_it_is_in_step(db: Db) {
    let panel = TestPanel::start(db).await;
    let sync = async || panel.get("root", "/api/nodes/1/sync").await.ok();
    let nothing = json!({"in_step": false, "connected": false, "synced_at": null, "waiting_users": 0,
                         "waiting_since": null, "certificate_fingerprint": null});
    assert_eq!(sync().await, nothing);
    let db = &panel.panel.db;
    execute(
        db,
        "UPDATE nodes SET status = 'healthy', synced_at = 1000000, certificate_pin = 'ab',
        synced_epoch = (SELECT epoch FROM scheduler_epoch WHERE id = 1)",
    )
    .await;
    let in_step = with(
        &nothing,
        json!({"in_step": true, "connected": true, "certificate_fingerprint": "ab",
                                        "synced_at": "1970-01-01T00:00:01Z"}),
    );
    assert_eq!(sync().await, in_step);
    let marks = match db {
        Db::Pg(_) => "INSERT INTO user_change VALUES (7, gen_random_uuid(), 3000000), (9, gen_random_uuid(), 2000000)",
        Db::Lite(_) => "INSERT INTO user_change VALUES (7, randomblob(16), 3000000), (9, randomblob(16), 2000000)",
    };
    execute(db, marks).await;
    let behind = json!({"in_step": false, "waiting_users": 2, "waiting_since": "1970-01-01T00:00:02Z"});
    assert_eq!(sync().await, with(&in_step, behind));
    execute(db, "DELETE FROM user_change").await;
    execute(db, "UPDATE nodes SET synced_epoch = -1").await;
    assert_eq!(sync().await, with(&in_step, json!({"in_step": false, "connected": false})), "changes were dropped");
    panel.get("root", "/api/nodes/9/sync").await.refused(404);
}

async fn node_has_counts_and_its_last_reply(db: Db) {
    let panel = TestPanel::start(db).await;
    let stats = async || panel.get("root", "/api/nodes/1/stats").await.ok();
    let nothing = json!({"users": null, "active_users": null, "active_bytes": null, "usage_at": null, "status_since": null,
                         "failures": 0, "healings": 0, "healed_at": null});
    assert_eq!(stats().await, nothing);
    let db = &panel.panel.db;
    execute(
        db,
        "UPDATE nodes SET synced_users = 12, failures = 3, healings = 2, healed_at = 1000000, last_status_change = 2000000",
    )
    .await;
    // One that is too old, two parts of the last one, one that is not in the totals yet, and one of another node.
    let now = panel.panel.clock.now().micros();
    for (batch, part, node, age, users, state) in [
        ("a1", 0, 1, 4_000_000_000i64, 9, "applied"),
        ("a2", 0, 1, 60_000_000, 9, "folded"),
        ("a3", 0, 1, 30_000_000, 5, "applied"),
        ("a3", 1, 1, 30_000_000, 2, "folded"),
        ("a4", 0, 1, 0, 9, "staged"),
        ("a5", 0, 7, 10_000_000, 9, "applied"),
    ] {
        let at = now - age;
        let (id, payload) = match db {
            Db::Pg(_) => (format!("'000000000000000000000000000000{batch}'"), r"'\x00'"),
            Db::Lite(_) => (format!("x'000000000000000000000000000000{batch}'"), "x'00'"),
        };
        let insert = format!(
            "INSERT INTO usage_batch (batch_id, part, node_id, fetched_at, coefficient, entries, bytes, state, state_at, payload)
             VALUES ({id}, {part}, {node}, {at}, 1, {users}, {users}00, '{state}', {at}, {payload})"
        );
        execute(db, insert.leak()).await;
    }
    let expected = json!({"users": 12, "active_users": 7, "active_bytes": 700, "status_since": "1970-01-01T00:00:02Z",
                          "failures": 3, "healings": 2, "healed_at": "1970-01-01T00:00:01Z"});
    let shown = stats().await;
    assert_eq!(with(&shown, json!({"usage_at": null})), with(&nothing, expected));
    assert!(shown["usage_at"].as_str().is_some_and(|at| at.ends_with('Z')), "{shown}");
    panel.get("root", "/api/nodes/9/stats").await.refused(404);
}

async fn deleted_node_is_404(db: Db) {
    let panel = TestPanel::start(db).await;
    assert_eq!(panel.delete("root", "/api/nodes/1").await.ok(), json!({}));
    panel.delete("root", "/api/nodes/1").await.refused(404);
    panel.get("root", "/api/nodes/1").await.refused(404);
}

async fn client_certificate_is_created_once(db: Db) {
    let panel = TestPanel::start(db).await;
    let settings = panel.get("root", "/api/nodes/settings").await.ok();
    assert_eq!(settings["min_node_version"], "v0.2.0");
    let certificate = settings["certificate"].as_str().expect("a text");
    assert!(certificate.starts_with("-----BEGIN CERTIFICATE-----\n"), "{certificate}");
    assert_eq!(panel.get("root", "/api/nodes/settings").await.ok(), settings);
    assert_eq!(number(&panel.panel.db, "SELECT COUNT(*) FROM tls").await, 1);
}

/// Inserts three inbounds of the local node; the first is in service 1.
async fn start_with_inbounds(db: Db) -> TestPanel {
    execute(
        &db,
        "INSERT INTO inbounds (node_id, tag, protocol, config) VALUES (1, 'vmess-tcp', 'vmess', '{\"port\":  1}'),
             (1, 'vless-tcp-reality', 'vless', '{}'), (1, 'ss', 'shadowsocks', '{}');
         INSERT INTO services (name) VALUES ('s');
         INSERT INTO inbounds_services (inbound_id, service_id) VALUES (1, 1)",
    )
    .await;
    TestPanel::start(db).await
}

async fn inbound_is_shown_with_its_node_and_services(db: Db) {
    let panel = start_with_inbounds(db).await;
    let node = json!({
        "id": 1, "name": "local", "address": "127.0.0.1", "port": 53042, "connection_backend": "grpcio",
        "usage_coefficient": 1.0,
    });
    let first = json!({
        "id": 1, "tag": "vmess-tcp", "protocol": "vmess", "config": "{\"port\":  1}", "node": node, "service_ids": [1],
        "absent_since": null, "host_count": 0,
    });
    assert_eq!(panel.get("root", "/api/inbounds/1").await.ok(), first);
    assert_eq!(panel.get("root", "/api/inbounds?size=2").await.ok()["items"][0], first);
    assert_eq!(panel.get("root", "/api/nodes/1").await.ok()["inbound_ids"], json!([1, 2, 3]));
    panel.get("root", "/api/inbounds/999").await.refused(404);
    panel.get("root", "/api/inbounds/abc").await.wrong_fields(&["id"]);
}

async fn inbounds_are_filtered_by_tag_and_listed_with_links(db: Db) {
    let panel = start_with_inbounds(db).await;
    let page = panel.get("root", "/api/inbounds?size=2").await.ok();
    assert_eq!((&page["total"], &page["pages"]), (&json!(3), &json!(2)));
    assert_eq!(page["links"]["next"], "/api/inbounds?size=2&page=2");
    for (query, expected) in [("tag=REALITY", 1), ("tag=", 3), ("tag=nomatch", 0), ("tag=%25", 3), ("tag=s_", 3)] {
        let page = panel.get("root", &format!("/api/inbounds?{query}")).await.ok();
        assert_eq!(page["total"], expected, "{query}");
    }
    panel.get("root", "/api/inbounds?size=1000").await.wrong_fields(&["size"]);
}

async fn only_absent_inbounds_can_be_deleted(db: Db) {
    let panel = start_with_inbounds(db).await;
    let db = &panel.panel.db;
    execute(
        db,
        "UPDATE inbounds SET absent_since = 1000000 WHERE id <> 3;
         INSERT INTO hosts (inbound_id, spec) SELECT id, '{\"remark\":\"r\",\"address\":\"a\"}' FROM inbounds",
    )
    .await;
    let listed = panel.get("root", "/api/inbounds").await.ok();
    let since: Vec<&Value> = listed["items"].as_array().expect("a list").iter().map(|it| &it["absent_since"]).collect();
    assert_eq!(since, [&json!("1970-01-01T00:00:01Z"), &json!("1970-01-01T00:00:01Z"), &Value::Null]);
    let service = panel.get("root", "/api/services/1").await.ok();
    assert_eq!(service["inbound_ids"], json!([1]), "an edit of the service keeps it");
    panel.delete("root", "/api/inbounds/3").await.refused(409);
    assert_eq!(panel.delete("root", "/api/inbounds/1").await.ok(), json!({}));
    panel.delete("root", "/api/inbounds/1").await.refused(404);
    panel.delete("root", "/api/inbounds/absent?node_id=9").await.refused(404);
    panel.delete("root", "/api/inbounds/absent").await.wrong_fields(&["node_id"]);
    assert_eq!(panel.delete("root", "/api/inbounds/absent?node_id=1").await.ok(), json!({}));
    assert_eq!(number(db, "SELECT COUNT(*) FROM inbounds WHERE tag = 'ss'").await, 1);
    assert_eq!(number(db, "SELECT (SELECT COUNT(*) FROM inbounds) + (SELECT COUNT(*) FROM hosts)").await, 2);
    assert_eq!(number(db, "SELECT COUNT(*) FROM inbounds_services").await, 0);
}
