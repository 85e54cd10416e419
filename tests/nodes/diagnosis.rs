//! The diagnosis of a user over the API, on a panel that leads and has a real test node.

use reqwest::Method;
use sarban::store::Db;
use serde_json::{Value, json};

use crate::nodes::api_panel::{TestPanel, send};
use crate::nodes::panel::{Panel, eventually, healthy, in_step, number, sql, unhealthy};
use crate::support::database::on_both_engines;
use crate::support::test_node::{Options, TestNode};

on_both_engines! {
    diagnosis_names_what_stands_in_the_way_on_a_real_node,
    diagnosis_follows_account_services_hosts_and_fetches,
}

const WHY: &str = "/api/users/user1/diagnosis";

/// A node with one user, a host of its inbound, and the API on the same database.
async fn start(db: &Db) -> (TestNode, Panel, TestPanel) {
    let node = TestNode::start(Options::default()).await.unwrap();
    let leading = in_step(db, &node, 1).await;
    let api = TestPanel::start(db.clone()).await;
    api.insert_admin("mina", false).await;
    sql(
        db,
        r#"INSERT INTO user_traffic (user_id, created_at) SELECT id, 0 FROM users;
           UPDATE users SET owner_id = (SELECT id FROM admins WHERE username = 'mina') WHERE id = 1;
           DELETE FROM hosts;
           INSERT INTO hosts (inbound_id, spec)
           SELECT id, '{"remark": "there", "address": "192.0.2.1", "port": 443, "uuid": "5f0c1f3e-6f5c-4f1e-9d2b-3f6f0a8c7b11"}'
           FROM inbounds WHERE tag = 'vless';
           INSERT INTO subscription_fetches (user_id, fetched_at, user_agent) VALUES (1, 1795466185000000, 'SFA/1.12.0')"#,
    )
    .await;
    (node, leading, api)
}

fn codes(diagnosis: &Value) -> Vec<&str> {
    let findings = diagnosis["findings"].as_array().expect("findings");
    findings.iter().map(|finding| finding["code"].as_str().expect("a code")).collect()
}

fn found<'a>(diagnosis: &'a Value, code: &str) -> &'a Value {
    let findings = diagnosis["findings"].as_array().expect("findings");
    findings.iter().find(|finding| finding["code"] == code).unwrap_or_else(|| panic!("{code}: {diagnosis}"))
}

async fn diagnosis_names_what_stands_in_the_way_on_a_real_node(db: Db) {
    let (node, leading, api) = start(&db).await;
    let why = async |by: &str| api.get(by, WHY).await.ok();
    let usual = ["last_fetch"];
    let fine = why("root").await;
    assert_eq!((codes(&fine), &fine["works"]), (usual.to_vec(), &json!(true)), "{fine}");
    assert_eq!(fine["user_agent"], "SFA/1.12.0");
    assert_eq!(found(&fine, "last_fetch")["details"]["since"], "2026-11-23T20:36:25Z");

    node.kill_engine("xray", "Failed to start: out of memory");
    unhealthy(&db, 1, "out of memory").await;
    let stopped = "SELECT COUNT(*) FROM backends WHERE name = 'xray' AND running = FALSE";
    eventually("the database says so", async || number(&db, stopped).await == 1).await;
    let ended = why("root").await;
    let engine = found(&ended, "engine_stopped");
    assert_eq!((&engine["severity"], &engine["details"]["engine"]), (&json!("error"), &json!("xray")));
    assert_eq!(engine["object"], json!({"kind": "node", "id": 1, "name": "node 1"}));
    assert!(engine["text"].as_str().is_some_and(|text| text.contains("out of memory")), "{engine}");
    assert_eq!(ended["works"], false);
    let of_owner = why("mina").await;
    assert!(!of_owner.to_string().contains("out of memory"), "reasons of nodes are for sudo admins: {of_owner}");
    assert!(codes(&of_owner).contains(&"engine_stopped"));
    for (scopes, is_shown) in [(json!(["users:read"]), false), (json!(["users:read", "nodes:read"]), true)] {
        let made = api.post("root", "/api/tokens", json!({"name": "bot", "scopes": scopes})).await.ok();
        let request = api.request(Method::GET, WHY).bearer_auth(made["secret"].as_str().expect("a secret"));
        let of_token = send(request).await.ok();
        assert_eq!(of_token.to_string().contains("out of memory"), is_shown, "{scopes}: {of_token}");
    }

    node.revive_engine("xray");
    healthy(&db, 1).await;
    eventually("it is fine again", async || codes(&why("root").await) == usual).await;

    node.refuse(true);
    node.drop_connections();
    unhealthy(&db, 1, "").await;
    let down = why("root").await;
    let unhealthy = found(&down, "node_unhealthy");
    assert_eq!(unhealthy["severity"], "error");
    assert!(unhealthy["details"]["reason"].is_string() && unhealthy["details"]["since"].is_string(), "{unhealthy}");
    node.refuse(false);
    healthy(&db, 1).await;

    // Without a leader, the change stays where it is.
    leading.step_down().await;
    api.put("root", "/api/users/user1", json!({"username": "user1", "service_ids": []})).await.ok();
    api.put("root", "/api/users/user1", json!({"username": "user1", "service_ids": [1]})).await.ok();
    let changed = why("root").await;
    let pending = found(&changed, "change_pending");
    assert_eq!((&pending["object"]["name"], &pending["severity"]), (&json!("node 1"), &json!("warning")));
    assert_eq!(pending["details"]["since"], "2026-11-23T20:36:25Z");

    let edit = json!({"status": "disabled"});
    api.put("root", "/api/nodes/1", edit).await.ok();
    assert_eq!(found(&why("root").await, "node_disabled")["object"]["id"], 1);
}

async fn diagnosis_follows_account_services_hosts_and_fetches(db: Db) {
    let (_node, leading, api) = start(&db).await;
    let why = async |path: &str| {
        // Longer than hosts and admins are cached.
        api.panel.clock.advance(2_000_000);
        api.get("mina", &format!("{WHY}{path}")).await.ok()
    };
    let blocked = async |text: &str, path: &str, code: &str, severity: &str| {
        sql(&db, text).await;
        let diagnosis = why(path).await;
        assert_eq!(found(&diagnosis, code)["severity"], severity, "{diagnosis}");
        diagnosis
    };
    blocked("UPDATE users SET enabled = FALSE", "", "user_disabled", "error").await;
    sql(&db, "UPDATE users SET enabled = TRUE").await;
    blocked("UPDATE users SET activated = FALSE", "", "user_not_activated", "error").await;
    sql(&db, "UPDATE users SET activated = TRUE").await;
    blocked("UPDATE users SET expire_strategy = 'fixed_date', expire_date = 7", "", "user_expired", "error").await;
    let on_hold = "UPDATE users SET expire_strategy = 'start_on_first_use', expire_date = NULL, usage_duration = 7";
    blocked(on_hold, "", "user_on_hold", "info").await;
    sql(&db, "UPDATE users SET expire_strategy = 'never', usage_duration = NULL").await;
    blocked("UPDATE user_traffic SET data_limit = 1, used_traffic = 1", "", "user_limited", "error").await;
    sql(&db, "UPDATE user_traffic SET data_limit = NULL").await;
    sql(&db, "UPDATE admins SET enabled = FALSE WHERE username = 'mina'").await;
    assert_eq!(found(&api.get("root", WHY).await.ok(), "owner_disabled")["object"]["name"], "mina");
    sql(&db, "UPDATE admins SET enabled = TRUE WHERE username = 'mina'").await;

    let absent =
        blocked("UPDATE inbounds SET absent_since = 7 WHERE tag = 'vless'", "", "inbound_absent", "warning").await;
    assert_eq!(found(&absent, "inbound_absent")["details"]["node"], "node 1");
    for code in ["service_without_inbounds", "no_node"] {
        assert_eq!(found(&absent, code)["severity"], "error");
    }
    sql(&db, "UPDATE inbounds SET absent_since = NULL").await;
    sql(&db, "UPDATE hosts SET is_disabled = TRUE").await;
    let disabled = why("").await;
    assert_eq!(found(&disabled, "no_host")["severity"], "error");
    assert_eq!(found(&disabled, "host_disabled")["object"]["name"], "there");
    // For everybody, and with a transport that sing-box lacks.
    let kcp = r#"UPDATE hosts SET is_disabled = FALSE, inbound_id = NULL, universal = TRUE,
        spec = '{"remark": "there", "address": "192.0.2.1", "port": 443, "protocol": "vless", "network": "kcp",
                 "uuid": "5f0c1f3e-6f5c-4f1e-9d2b-3f6f0a8c7b11"}'"#;
    sql(&db, kcp).await;
    let left = why("").await;
    assert_eq!(found(&left, "no_host_for_app")["details"]["app"], "sing-box for Android");
    assert!(found(&left, "host_left_out")["details"]["reason"].is_string());
    let other = why("?as=v2rayNG/1.10.3").await;
    assert!(!codes(&other).contains(&"host_left_out"), "{other}");
    assert_eq!(other["user_agent"], "v2rayNG/1.10.3");
    assert!(codes(&why("?as=odd/1").await).contains(&"app_unknown"));

    sql(&db, "UPDATE users SET sub_revoked_at = 1795466185000001").await;
    assert_eq!(found(&why("").await, "link_revoked_since_fetch")["severity"], "error");
    sql(&db, "UPDATE users SET sub_revoked_at = NULL, edit_at = 1795466185000001").await;
    assert_eq!(found(&why("").await, "edited_since_fetch")["severity"], "info");
    sql(&db, "DELETE FROM subscription_fetches").await;
    assert_eq!(found(&why("").await, "never_fetched")["severity"], "info");
    // The host for everybody is left.
    blocked("DELETE FROM users_services", "", "no_service", "warning").await;

    api.get("mina", "/api/users/nobody/diagnosis").await.refused(403);
    api.get("root", "/api/users/nobody/diagnosis").await.refused(404);
    send(api.request(Method::GET, WHY)).await.refused(401);
    leading.step_down().await;
}
