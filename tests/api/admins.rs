//! `/api/admins`: admins, their rights over each other, and their users.

use reqwest::Method;
use sarban::store::Db;
use serde_json::{Value, json};

use crate::api::panel::{TestPanel, send};
use crate::support::database::{execute, number, on_both_engines};

on_both_engines!(
    created_admin_has_coerced_fields_and_is_found_by_its_exact_name,
    changed_admin_keeps_fields_that_are_null_or_missing,
    deleted_admin_is_404,
    admin_with_wrong_fields_or_rights_is_refused,
    admins_are_filtered_by_name_and_listed_in_pages,
    every_change_shows_at_once_in_the_list_of_admins,
    sudo_admin_can_change_only_itself_and_delete_no_sudo_admin,
    admin_named_like_a_literal_route_is_reachable_by_other_methods,
    unknown_services_of_an_admin_are_ignored,
    admin_shows_the_traffic_of_its_users_who_remain_when_it_is_deleted,
    users_of_an_admin_are_disabled_and_enabled_together,
    disabling_users_of_another_sudo_admin_or_without_rights_is_refused,
    users_of_an_admin_are_given_to_another_together,
);

fn names(page: &Value) -> Vec<&str> {
    page["items"].as_array().expect("items").iter().filter_map(|item| item["username"].as_str()).collect()
}

/// A panel with the admin `Coerce d`, whose fields were sent in lenient spellings.
async fn start_with_admin(db: Db) -> (TestPanel, Value) {
    let panel = TestPanel::start(db).await;
    let body = json!({"id": 5000, "username": "Coerce d", "password": "p", "is_sudo": "no", "enabled": "on",
                      "modify_users_access": 0, "all_services_access": "1", "foo": 1});
    let admin = panel.post("root", "/api/admins", body).await.ok();
    (panel, admin)
}

async fn created_admin_has_coerced_fields_and_is_found_by_its_exact_name(db: Db) {
    let (panel, admin) = start_with_admin(db).await;
    let mut expected = json!({"id": admin["id"], "username": "Coerce d", "is_sudo": false, "role": "reseller", "enabled": true,
                              "all_services_access": true, "modify_users_access": false, "service_ids": [],
                              "subscription_url_prefix": ""});
    assert_eq!(admin, expected);
    assert_ne!(admin["id"], 5000);
    expected["users_data_usage"] = json!(0);
    assert_eq!(panel.get("root", "/api/admins/Coerce%20d").await.ok(), expected);
    panel.get("root", "/api/admins/coerce%20d").await.refused(404);
    let same = json!({"username": "Coerce d", "password": "p", "is_sudo": false});
    panel.post("root", "/api/admins", same).await.refused(409);
}

async fn changed_admin_keeps_fields_that_are_null_or_missing(db: Db) {
    let (panel, _) = start_with_admin(db).await;
    let before = panel.get("root", "/api/admins/Coerce%20d").await.ok();
    let unchanged = json!({"username": "other", "is_sudo": null, "service_ids": null, "enabled": null});
    assert_eq!(panel.put("root", "/api/admins/Coerce%20d", unchanged).await.ok(), before);
    let change = json!({"modify_users_access": true, "subscription_url_prefix": "https://x.example/"});
    let mut expected = before;
    expected["subscription_url_prefix"] = json!("https://x.example/");
    expected["modify_users_access"] = json!(true);
    assert_eq!(panel.put("root", "/api/admins/Coerce%20d", change).await.ok(), expected);
}

async fn deleted_admin_is_404(db: Db) {
    let (panel, _) = start_with_admin(db).await;
    assert_eq!(panel.delete("root", "/api/admins/Coerce%20d").await.ok(), json!({}));
    panel.delete("root", "/api/admins/Coerce%20d").await.refused(404);
    panel.put("root", "/api/admins/Coerce%20d", json!({})).await.refused(404);
}

async fn admin_with_wrong_fields_or_rights_is_refused(db: Db) {
    let panel = TestPanel::start(db).await;
    panel.insert_admin("alice", false).await;
    panel.post("root", "/api/admins", json!({})).await.wrong_fields(&["is_sudo", "password", "username"]);
    let wrong = json!({"username": 5, "password": [], "is_sudo": "maybe", "enabled": 3, "service_ids": "x",
                       "subscription_url_prefix": null});
    let keys = ["enabled", "is_sudo", "password", "service_ids", "subscription_url_prefix", "username"];
    panel.post("root", "/api/admins", wrong).await.wrong_fields(&keys);
    let nul = json!({"username": "a\0b", "password": "p", "is_sudo": false});
    panel.post("root", "/api/admins", nul).await.wrong_fields(&["username"]);
    for name in ["", " ", "a\r\nb", "a\u{1b}[2Jb", "a\u{202e}b"] {
        let steering = json!({"username": name, "password": "", "is_sudo": false});
        panel.post("root", "/api/admins", steering).await.wrong_fields(&["password", "username"]);
    }
    panel.put("root", "/api/admins/alice", json!({"password": ""})).await.wrong_fields(&["password"]);
    let long = json!({"username": "x".repeat(257), "password": "p", "is_sudo": false});
    panel.post("root", "/api/admins", long).await.wrong_fields(&["username"]);
    let wrong = json!({"enabled": "x", "service_ids": {}, "password": 5});
    panel.put("root", "/api/admins/alice", wrong).await.wrong_fields(&["enabled", "password", "service_ids"]);
    let token = panel.token_of("root");
    send(panel.request(Method::PUT, "/api/admins/alice").bearer_auth(token)).await.wrong_fields(&["body"]);
    panel.post("alice", "/api/admins", json!({})).await.refused(403);
    send(panel.request(Method::POST, "/api/admins").json(&json!({}))).await.refused(401);
    assert_eq!(panel.get("root", "/api/admins").await.ok()["total"], 2);
    // The longest name, of characters with the most bytes.
    let longest = json!({"username": "\u{1f600}".repeat(256), "password": "p", "is_sudo": false});
    panel.post("root", "/api/admins", longest).await.ok();
}

async fn admins_are_filtered_by_name_and_listed_in_pages(db: Db) {
    let panel = TestPanel::start(db).await;
    for name in ["alice", "Alba", "bob"] {
        panel.insert_admin(name, false).await;
    }
    let page = panel.get("root", "/api/admins?page=2&size=3").await.ok();
    assert_eq!(names(&page), ["bob"]);
    assert_eq!(page, json!({"items": page["items"], "total": 4, "page": 2, "size": 3, "pages": 2}), "without links");
    for (query, expected) in [
        ("username=AL", vec!["alice", "Alba"]),
        ("username=b_b", vec!["bob"]),
        ("username=%25", vec!["root", "alice", "Alba", "bob"]),
        ("username=", vec!["root", "alice", "Alba", "bob"]),
        ("username=nomatch", vec![]),
        ("username=%5C", vec![]),
        ("page=100", vec![]),
    ] {
        assert_eq!(names(&panel.get("root", &format!("/api/admins?{query}")).await.ok()), expected, "{query}");
    }
    assert_eq!(panel.get("root", "/api/admins?page=100&username=al").await.ok()["total"], 2, "also past the last page");
    panel.get("root", "/api/admins?page=0&size=abc").await.wrong_fields(&["page", "size"]);
}

/// The first page is cached.
async fn every_change_shows_at_once_in_the_list_of_admins(db: Db) {
    execute(&db, "INSERT INTO services (name) VALUES ('a'), ('b')").await;
    let panel = TestPanel::start(db).await;
    let alice = async |size: u32| {
        let page = panel.get("root", &format!("/api/admins?size={size}")).await.ok();
        assert_eq!((&page["page"], &page["size"], &page["pages"]), (&json!(1), &json!(size), &json!(1)));
        page["items"].as_array().expect("items").iter().find(|admin| admin["username"] == "alice").cloned()
    };
    assert_eq!(alice(50).await, None);
    let body = json!({"username": "alice", "password": "p", "is_sudo": false, "service_ids": [1, 2]});
    panel.post("root", "/api/admins", body).await.ok();
    for size in [50, 7] {
        assert_eq!(alice(size).await.expect("listed")["service_ids"], json!([1, 2]));
    }
    panel.put("root", "/api/admins/alice", json!({"enabled": false})).await.ok();
    assert_eq!(alice(50).await.expect("listed")["enabled"], false);
    panel.delete("root", "/api/services/1").await.ok();
    assert_eq!(alice(50).await.expect("listed")["service_ids"], json!([2]));
    panel.post("root", "/api/roles", json!({"name": "night"})).await.ok();
    panel.put("root", "/api/admins/alice", json!({"role": "night"})).await.ok();
    assert_eq!(alice(50).await.expect("listed")["role"], "night");
    panel.put("root", "/api/roles/night", json!({"name": "day"})).await.ok();
    assert_eq!(alice(50).await.expect("listed")["role"], "day");
    panel.delete("root", "/api/admins/alice").await.ok();
    assert_eq!(alice(50).await, None);
}

async fn sudo_admin_can_change_only_itself_and_delete_no_sudo_admin(db: Db) {
    let panel = TestPanel::start(db).await;
    panel.insert_admin("dave", true).await;
    panel.put("root", "/api/admins/dave", json!({"enabled": true})).await.refused(403);
    panel.put("root", "/api/admins/root", json!({"subscription_url_prefix": "x"})).await.ok();
    panel.delete("root", "/api/admins/dave").await.refused(403);
    panel.delete("root", "/api/admins/root").await.refused(403);
}

async fn admin_named_like_a_literal_route_is_reachable_by_other_methods(db: Db) {
    let panel = TestPanel::start(db).await;
    panel.get("root", "/api/admins/token").await.refused(404);
    panel.insert_admin("token", false).await;
    assert_eq!(panel.get("root", "/api/admins/token").await.ok()["username"], "token");
    panel.delete("root", "/api/admins/token").await.ok();
    panel.insert_admin("current", false).await;
    assert_eq!(panel.get("root", "/api/admins/current").await.ok()["username"], "root");
    panel.put("root", "/api/admins/current", json!({"enabled": false})).await.ok();
    panel.post("root", "/api/admins/current", json!({})).await.refused(405);
}

async fn unknown_services_of_an_admin_are_ignored(db: Db) {
    execute(&db, "INSERT INTO services (name) VALUES ('a'), ('b'), ('c')").await;
    let panel = TestPanel::start(db).await;
    let body = json!({"username": "alice", "password": "p", "is_sudo": false, "service_ids": [3, "1", 1, "abc", 999]});
    assert_eq!(panel.post("root", "/api/admins", body).await.ok()["service_ids"], json!([1, 3]));
    let objects = json!({"username": "x", "password": "p", "is_sudo": false, "service_ids": [{"a": 1}]});
    panel.post("root", "/api/admins", objects).await.wrong_fields(&["0"]);
    let changed = panel.put("root", "/api/admins/alice", json!({"service_ids": [2, 2]})).await.ok();
    assert_eq!(changed["service_ids"], json!([2]));
    let changed = panel.put("root", "/api/admins/alice", json!({"service_ids": []})).await.ok();
    assert_eq!(changed["service_ids"], json!([]));
}

async fn admin_shows_the_traffic_of_its_users_who_remain_when_it_is_deleted(db: Db) {
    let panel = TestPanel::start(db.clone()).await;
    panel.insert_admin("bob", false).await;
    execute(
        &db,
        "INSERT INTO users (username, key, owner_id, expire_strategy, created_at, removed)
             SELECT 'u1', 'k1', id, 'never', 0, FALSE FROM admins WHERE username = 'bob'
             UNION ALL SELECT NULL, 'k2', id, 'never', 0, TRUE FROM admins WHERE username = 'bob';
         INSERT INTO user_traffic (user_id, lifetime_used_traffic, created_at) SELECT id, 5000000000, 0 FROM users",
    )
    .await;
    assert_eq!(panel.get("root", "/api/admins/bob").await.ok()["users_data_usage"], 10_000_000_000_i64);
    panel.delete("root", "/api/admins/bob").await.ok();
    assert_eq!(number(&db, "SELECT COUNT(*) FROM users WHERE owner_id IS NULL").await, 2);
}

async fn users_of_an_admin_are_disabled_and_enabled_together(db: Db) {
    let panel = TestPanel::start(db).await;
    panel.insert_admin("alice", false).await;
    for (by, name) in [("alice", "ann"), ("alice", "amy"), ("root", "bob")] {
        panel.post(by, "/api/users", json!({"username": name, "expire_strategy": "never"})).await.ok();
    }
    let enabled = async |name: &str| panel.get("root", &format!("/api/users/{name}")).await.ok()["enabled"].clone();
    let alice = panel.get("root", "/api/admins/alice").await.ok();
    for _ in 0..2 {
        assert_eq!(panel.post("root", "/api/admins/alice/disable_users", Value::Null).await.ok(), alice);
    }
    assert_eq!((enabled("ann").await, enabled("amy").await), (json!(false), json!(false)));
    assert_eq!(enabled("bob").await, true);
    assert_eq!(panel.post("root", "/api/admins/alice/enable_users", Value::Null).await.ok(), alice);
    assert_eq!((enabled("ann").await, enabled("amy").await), (json!(true), json!(true)));
    panel.post("root", "/api/admins/root/disable_users", Value::Null).await.ok();
    assert_eq!(enabled("bob").await, false);
}

async fn disabling_users_of_another_sudo_admin_or_without_rights_is_refused(db: Db) {
    let panel = TestPanel::start(db).await;
    panel.insert_admin("alice", false).await;
    panel.insert_admin("dave", true).await;
    for path in ["disable_users", "enable_users"] {
        panel.post("root", &format!("/api/admins/dave/{path}"), Value::Null).await.refused(403);
        panel.post("root", &format!("/api/admins/zed/{path}"), Value::Null).await.refused(404);
        panel.post("alice", &format!("/api/admins/alice/{path}"), Value::Null).await.refused(403);
        send(panel.request(Method::POST, &format!("/api/admins/alice/{path}"))).await.refused(401);
    }
}

async fn users_of_an_admin_are_given_to_another_together(db: Db) {
    let panel = TestPanel::start(db).await;
    for name in ["alice", "zoe"] {
        panel.insert_admin(name, false).await;
    }
    for (name, by) in [("ann", "alice"), ("amy", "alice"), ("bob", "root"), ("gone", "alice")] {
        panel.post(by, "/api/users", json!({"username": name, "expire_strategy": "never"})).await.ok();
    }
    panel.delete("root", "/api/users/gone").await.ok();
    const GIVE: &str = "/api/admins/alice/users/set-owner?admin_username=";
    let give = async |to: &str| panel.put("root", &format!("{GIVE}{to}"), Value::Null).await;
    give("nobody").await.refused(404);
    assert_eq!(give("alice").await.ok(), json!({"count": 0}), "to itself");
    assert_eq!(give("zoe").await.ok(), json!({"count": 2}), "without the removed one");
    let owner =
        async |name: &str| panel.get("root", &format!("/api/users/{name}")).await.ok()["owner_username"].clone();
    assert_eq!(
        (owner("ann").await, owner("amy").await, owner("bob").await),
        (json!("zoe"), json!("zoe"), json!("root"))
    );
    assert_eq!(panel.get("zoe", "/api/users").await.ok()["total"], json!(2));
    assert_eq!(panel.get("alice", "/api/users").await.ok()["total"], json!(0));
    panel.put("root", "/api/admins/nobody/users/set-owner?admin_username=zoe", Value::Null).await.refused(404);
    panel.put("root", "/api/admins/alice/users/set-owner", Value::Null).await.wrong_fields(&["admin_username"]);
    panel.put("zoe", &format!("{GIVE}zoe"), Value::Null).await.refused(403);
}
