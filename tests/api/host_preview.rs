//! `POST /api/inbounds/hosts/preview` shows what a subscription would show, and stores nothing. Changes of several hosts at once.

use reqwest::Method;
use sarban::domain::change::Changed;
use sarban::domain::rights::{Extent, Rights};
use sarban::domain::scope::{Action, Resource, Scope};
use sarban::store::Db;
use serde_json::{Value, json};

use crate::api::panel::{TestPanel, send};
use crate::api::role_rights::insert_admin_with;
use crate::support::database::{execute, number, on_both_engines};

on_both_engines!(
    preview_is_what_the_subscription_shows_afterwards,
    preview_says_why_a_host_is_left_out,
    preview_follows_the_chain_and_refuses_like_a_change,
    preview_stores_nothing,
    keys_of_a_user_are_for_those_who_may_read_it,
    several_hosts_are_changed_at_once_and_in_nothing_else,
    hosts_are_found_by_remark_or_address,
);

const HOSTS: &str = "/api/inbounds/hosts";
const PREVIEW: &str = "/api/inbounds/hosts/preview";
const KEY: &str = "00000000000000000000000000000001";
const FORMATS: [&str; 7] = ["links", "v2ray", "xray", "sing-box", "clash", "clash-meta", "wireguard"];

const PARTS: &str = r#"INSERT INTO inbounds (node_id, tag, protocol, config)
        SELECT id, 'vless-ws', 'vless', '{"port": 8443, "network": "ws", "tls": "tls", "sni": ["s.example"], "path": "/p"}' FROM nodes;
    INSERT INTO services (name) VALUES ('one');
    INSERT INTO inbounds_services (inbound_id, service_id) VALUES (1, 1)"#;

async fn start(db: Db) -> TestPanel {
    let panel = TestPanel::start(db.clone()).await;
    execute(&db, PARTS).await;
    let ann = json!({"username": "ann", "expire_strategy": "never", "key": KEY, "service_ids": [1], "data_limit": 7});
    panel.post("root", "/api/users", ann).await.ok();
    panel
}

fn trojan() -> Value {
    json!({"remark": "{USERNAME} {DATA_LIMIT}", "address": "a.example", "protocol": "trojan", "network": "ws", "port": 443,
           "password": "pw", "security": "tls", "sni": "s.example", "path": "/{USERNAME}", "universal": true})
}

/// Also of a user whose account does not work: it is the host that is shown.
async fn preview_is_what_the_subscription_shows_afterwards(db: Db) {
    let panel = start(db).await;
    let bound = json!({"remark": "b {PROTOCOL}", "address": "b.example", "port": 2053});
    for (create, query, host) in [(HOSTS, "", trojan()), ("/api/inbounds/1/hosts", "&inbound_id=1", bound)] {
        let mut shown = Vec::new();
        for format in FORMATS {
            let asked = format!("{PREVIEW}?username=ann&format={format}{query}");
            shown.push(panel.post("root", &asked, host.clone()).await.ok());
        }
        let id = panel.post("root", create, host).await.ok()["id"].clone();
        for (format, shown) in FORMATS.iter().zip(&shown) {
            let fetched = send(panel.request(Method::GET, &format!("/sub/ann/{KEY}/{format}"))).await;
            let reason = &shown["left_out"];
            assert_eq!(shown["document"].is_null(), !reason.is_null(), "{format}: {shown}");
            assert_eq!(&shown["formats"][FORMATS.iter().position(|name| name == format).unwrap()]["left_out"], reason);
            if reason.is_null() {
                let document = shown["document"].as_str().unwrap();
                let document = serde_json::from_str(document).unwrap_or_else(|_| json!(document));
                assert_eq!(document, fetched.body, "{format}");
            }
        }
        let left_out = |format: usize| !shown[format]["left_out"].is_null();
        assert!(!left_out(0) && left_out(6), "links have it, WireGuard has not");
        panel.delete("root", &format!("{HOSTS}/{id}")).await.ok();
    }
    panel.post("root", "/api/users/ann/disable", Value::Null).await.ok();
    let shown = panel.post("root", &format!("{PREVIEW}?username=ann"), trojan()).await.ok();
    assert!(shown["document"].as_str().unwrap().contains("@a.example:443"), "{shown}");
    let sample = panel.post("root", PREVIEW, trojan()).await.ok();
    assert!(sample["document"].as_str().unwrap().contains("sample"), "{sample}");
}

async fn keys_of_a_user_are_for_those_who_may_read_it(db: Db) {
    let panel = TestPanel::start_with(db.clone(), &[("AUDIT_READS", "true")]).await;
    let user = json!({"username": "ann", "expire_strategy": "never", "key": KEY});
    panel.post("root", "/api/users", user).await.ok();
    let (hosts, users) = (Scope(Resource::Hosts, Action::Read), Scope(Resource::Users, Action::Read));
    let rights = Rights::default().with(hosts, Extent::All).expect("a right");
    insert_admin_with(&panel, "hosts", rights).await;
    insert_admin_with(&panel, "own", rights.with(users, Extent::Own).expect("a right")).await;
    insert_admin_with(&panel, "all", rights.with(users, Extent::All).expect("a right")).await;
    let named = format!("{PREVIEW}?username=ann");
    for admin in ["hosts", "own"] {
        panel.post(admin, &named, trojan()).await.refused(403);
        panel.post(admin, PREVIEW, trojan()).await.ok();
    }
    let reads = "SELECT COUNT(*) FROM audit_entry WHERE action = 'user.read' AND object_name = '/api/users/ann'";
    assert_eq!(number(&db, reads).await, 0);
    panel.post("all", &named, trojan()).await.ok();
    assert_eq!(number(&db, reads).await, 1);
    panel.post("all", &format!("{PREVIEW}?username=nobody"), trojan()).await.refused(404);
    let token = async |scopes: &[&str]| {
        let made = panel.post("root", "/api/tokens", json!({"name": "t", "scopes": scopes})).await.ok();
        made["secret"].as_str().expect("a token").to_owned()
    };
    for (scopes, status) in [(&["hosts:read"][..], 403), (&["hosts:read", "users:read"], 200)] {
        let token = token(scopes).await;
        let asked = panel.request(Method::POST, &named).bearer_auth(token).json(&trojan());
        assert_eq!(send(asked).await.status.as_u16(), status, "{scopes:?}");
    }
}

async fn preview_says_why_a_host_is_left_out(db: Db) {
    let panel = start(db).await;
    let mut host = trojan();
    host["password"] = Value::Null;
    let shown = panel.post("root", PREVIEW, host.clone()).await.ok();
    assert_eq!((&shown["left_out"], &shown["document"]), (&json!("it has no credential"), &Value::Null));
    host["password"] = json!("pw");
    host["network"] = json!("splithttp");
    let agents = "user_agent=SFA/1.12.0&user_agent=clash.meta/1.19.0&user_agent=v2rayNG/1.10.2&user_agent=curl";
    let shown = panel.post("root", &format!("{PREVIEW}?{agents}"), host.clone()).await.ok();
    let clients: Vec<(&Value, &Value, bool)> = shown["clients"]
        .as_array()
        .unwrap()
        .iter()
        .map(|client| (&client["program"], &client["format"], client["left_out"].is_null()))
        .collect();
    let text = |text: &str| json!(text);
    assert_eq!(
        clients,
        [
            (&text("sing-box for Android"), &text("sing-box"), false),
            (&text("Clash.Meta"), &text("clash-meta"), false),
            (&text("v2rayNG"), &text("xray"), true),
            (&Value::Null, &text("v2ray"), true),
        ]
    );
    let many = vec!["user_agent=x"; 17].join("&");
    panel.post("root", &format!("{PREVIEW}?{many}"), host.clone()).await.wrong_fields(&["user_agent"]);
    panel.post("root", &format!("{PREVIEW}?format=pdf"), host.clone()).await.wrong_fields(&["format"]);
    panel.post("root", &format!("{PREVIEW}?username=nobody"), host.clone()).await.refused(404);
    panel.post("root", &format!("{PREVIEW}?inbound_id=9"), host).await.refused(404);
}

async fn preview_follows_the_chain_and_refuses_like_a_change(db: Db) {
    let panel = start(db).await;
    let hop = panel.post("root", HOSTS, trojan()).await.ok()["id"].clone();
    let mut host = trojan();
    host["address"] = json!("first.example");
    host["chain_ids"] = json!([hop]);
    let shown = panel.post("root", &format!("{PREVIEW}?format=xray"), host.clone()).await.ok();
    let document = shown["document"].as_str().unwrap();
    assert!(document.contains("first.example") && document.contains("a.example"), "{document}");
    assert_eq!(document.matches("\"remarks\"").count().max(1), 1, "the hop is no entry of its own: {document}");
    assert_eq!(shown["formats"][0]["left_out"], "the format does not support chains");
    host["chain_ids"] = json!([999]);
    let shown = panel.post("root", &format!("{PREVIEW}?format=xray"), host.clone()).await.ok();
    assert_eq!(shown["left_out"], "a host of its chain does not exist");
    let wrong = json!({"remark": "{", "address": "https://x", "port": 0});
    let refused = panel.post("root", HOSTS, wrong.clone()).await;
    let refused_too = panel.post("root", PREVIEW, wrong).await;
    assert_eq!((refused_too.status, refused_too.body), (refused.status, refused.body));
    // Other methods of the path are those of a host.
    panel.get("root", PREVIEW).await.wrong_fields(&["id"]);
    panel.post("alice", PREVIEW, trojan()).await.refused(401);
}

async fn preview_stores_nothing(db: Db) {
    let panel = start(db.clone()).await;
    let user = panel.get("root", "/api/users/ann").await.ok();
    let counts = panel.panel.changes.counts(&Changed::ALL);
    panel.post("root", &format!("{PREVIEW}?username=ann&user_agent=curl"), trojan()).await.ok();
    assert_eq!(number(&db, "SELECT COUNT(*) FROM hosts").await, 0);
    assert_eq!(number(&db, "SELECT COUNT(*) FROM subscription_fetches").await, 0);
    assert_eq!(panel.get("root", "/api/users/ann").await.ok(), user, "a preview is no fetch");
    assert_eq!(panel.panel.changes.counts(&Changed::ALL), counts, "nothing is published");
}

async fn several_hosts_are_changed_at_once_and_in_nothing_else(db: Db) {
    let panel = start(db).await;
    for _ in 0..3 {
        panel.post("root", HOSTS, trojan()).await.ok();
    }
    let before = panel.get("root", "/api/inbounds/hosts/2").await.ok();
    let changes = json!({"hosts": [
        {"id": 3, "weight": -7}, {"id": 1, "is_disabled": true}, {"id": 2, "weight": "5", "is_disabled": true}, {"id": 99, "weight": 1},
    ]});
    assert_eq!(panel.put("root", HOSTS, changes).await.ok(), json!({}));
    let page = panel.get("root", HOSTS).await.ok();
    let places: Vec<(i64, bool)> = page["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|host| (host["weight"].as_i64().unwrap(), host["is_disabled"].as_bool().unwrap()))
        .collect();
    assert_eq!(places, [(1, true), (5, true), (-7, false)]);
    let mut expected = before;
    expected["weight"] = json!(5);
    expected["is_disabled"] = json!(true);
    assert_eq!(page["items"][1], expected);
    panel.put("root", HOSTS, json!({"hosts": [{"id": 2, "is_disabled": false}, {"id": 1, "weight": null}]})).await.ok();
    let page = panel.get("root", HOSTS).await.ok();
    assert_eq!((&page["items"][1]["is_disabled"], &page["items"][1]["weight"]), (&json!(false), &json!(5)));
    assert_eq!((&page["items"][0]["is_disabled"], &page["items"][0]["weight"]), (&json!(true), &json!(1)));
    panel.put("root", HOSTS, json!({"hosts": [{"id": "x", "weight": 1}]})).await.wrong_fields(&["id"]);
    panel.put("root", HOSTS, json!({})).await.wrong_fields(&["hosts"]);
}

async fn hosts_are_found_by_remark_or_address(db: Db) {
    let panel = start(db).await;
    for (remark, address) in [("Frankfurt", "a.example"), ("Tehran", "FRA.example"), ("100%", "c.example")] {
        let mut host = trojan();
        host["remark"] = json!(remark);
        host["address"] = json!(address);
        panel.post("root", HOSTS, host).await.ok();
    }
    for (search, found) in [("fra", vec![1, 2]), ("tehran", vec![2]), ("", vec![1, 2, 3]), ("\\", vec![])] {
        let page = panel.get("root", &format!("{HOSTS}?search={search}&size=2")).await.ok();
        let ids: Vec<i64> = page["items"].as_array().unwrap().iter().map(|host| host["id"].as_i64().unwrap()).collect();
        assert_eq!(ids, found[..found.len().min(2)], "{search}");
        assert_eq!(page["total"], json!(found.len()), "{search}");
    }
}
