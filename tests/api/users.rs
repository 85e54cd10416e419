//! `/api/users`: creating, changing, listing and deleting users, and actions on them.

use futures_util::future::join_all;
use reqwest::Method;
use sarban::store::Db;
use serde_json::{Value, json};

use crate::api::panel::{TestPanel, send};
use crate::support::database::{execute, number, on_both_engines};

on_both_engines!(
    nodes_of_a_user_are_in_step_once_they_confirmed_its_changes,
    created_user_has_its_fields_normalized_and_is_found_by_its_lower_case_name,
    changed_user_keeps_fields_that_are_null_or_missing,
    deleted_user_is_404,
    wrong_fields_of_a_user_are_all_reported_and_store_nothing,
    taken_username_or_key_is_a_conflict_and_a_trivial_key_is_refused,
    concurrent_requests_for_one_name_or_key_have_one_winner,
    users_are_filtered_sorted_and_listed_with_links,
    owner_filter_is_for_sudo_admins_only,
    users_of_other_admins_are_forbidden,
    user_named_like_a_literal_route_is_reachable_by_other_methods,
    deleting_expired_users_removes_only_those_expired_for_that_long,
    disabled_user_is_inactive_until_enabled,
    reset_and_revoked_user_shows_when_it_happened,
    user_is_given_to_an_existing_admin_only,
    services_of_a_user_are_listed,
    list_total_shows_own_changes_at_once_and_others_after_two_seconds,
);

fn never(name: &str) -> Value {
    json!({"username": name, "expire_strategy": "never"})
}

fn names(page: &Value) -> Vec<&str> {
    page["items"].as_array().expect("items").iter().filter_map(|item| item["username"].as_str()).collect()
}

/// A panel whose first user is `det_active`, of both services, with a fixed expiry date.
async fn start_with_user(db: Db) -> (TestPanel, Value) {
    execute(&db, "INSERT INTO services (name) VALUES ('a'), ('b')").await;
    let panel = TestPanel::start_with(db, &[("SUBSCRIPTION_URL_PREFIX", "https://sub.example.com/")]).await;
    let body = json!({
        "id": 900, "username": "Det_Active", "expire_strategy": "fixed_date", "expire_date": "2031-05-06T07:08:09",
        "usage_duration": 5, "key": "00000000000000000000000000000001", "data_limit": "10737418240", "note": "note ü",
        "service_ids": [2, 999, 2.0], "used_traffic": 5, "enabled": false, "removed": true,
    });
    let user = panel.post("root", "/api/users", body).await.ok();
    (panel, user)
}

async fn created_user_has_its_fields_normalized_and_is_found_by_its_lower_case_name(db: Db) {
    let (panel, user) = start_with_user(db).await;
    let expected = json!({
        "id": 1, "username": "det_active", "expire_strategy": "fixed_date", "expire_date": "2031-05-06T07:08:09",
        "usage_duration": null, "activation_deadline": null, "key": "00000000000000000000000000000001",
        "data_limit": 10_737_418_240_i64, "data_limit_reset_strategy": "no_reset", "note": "note ü",
        "sub_updated_at": null, "sub_last_user_agent": null, "online_at": null, "activated": true, "is_active": true,
        "expired": false, "data_limit_reached": false, "enabled": true, "used_traffic": 0, "lifetime_used_traffic": 0,
        "sub_revoked_at": null, "created_at": "2026-11-23T20:36:25", "service_ids": [2],
        "subscription_url": "https://sub.example.com/sub/det_active/00000000000000000000000000000001",
        "owner_username": "root", "traffic_reset_at": null,
    });
    assert_eq!(user, expected);
    assert_eq!(panel.get("root", "/api/users/det_active").await.ok(), expected);
    panel.get("root", "/api/users/Det_Active").await.refused(404);
}

async fn changed_user_keeps_fields_that_are_null_or_missing(db: Db) {
    let (panel, user) = start_with_user(db).await;
    let same = panel.put("root", "/api/users/det_active", json!({"username": "other", "key": "x", "note": null})).await;
    assert_eq!(same.ok(), user, "nulls, the username and the key change nothing");
    let change = json!({
        "username": "det_active", "expire_strategy": "start_on_first_use", "usage_duration": 100,
        "activation_deadline": "2032-01-01T00:00:00", "data_limit": 0, "note": "", "service_ids": [],
        "data_limit_reset_strategy": "month",
    });
    let mut expected = user;
    for (field, value) in [
        ("expire_strategy", json!("start_on_first_use")),
        ("expire_date", json!(null)),
        ("usage_duration", json!(100)),
        ("activation_deadline", json!("2032-01-01T00:00:00")),
        ("data_limit", json!(null)),
        ("note", json!(null)),
        ("service_ids", json!([])),
        ("data_limit_reset_strategy", json!("month")),
    ] {
        expected[field] = value;
    }
    assert_eq!(panel.put("root", "/api/users/det_active", change).await.ok(), expected);
}

async fn deleted_user_is_404(db: Db) {
    let (panel, _) = start_with_user(db).await;
    assert_eq!(panel.delete("root", "/api/users/det_active").await.ok(), json!({}));
    panel.get("root", "/api/users/det_active").await.refused(404);
    panel.delete("root", "/api/users/det_active").await.refused(404);
}

async fn wrong_fields_of_a_user_are_all_reported_and_store_nothing(db: Db) {
    let panel = TestPanel::start(db).await;
    for (body, keys) in [
        (json!({}), vec!["expire_strategy", "username"]),
        (json!({"username": "foo"}), vec!["expire_strategy"]),
        (json!({"username": "a b", "expire_strategy": "sometimes"}), vec!["expire_strategy", "username"]),
        (json!({"username": "user\n", "expire_strategy": "never"}), vec!["username"]),
        (json!({"username": 123, "expire_strategy": "never"}), vec!["username"]),
        (json!({"username": "foo", "expire_strategy": "fixed_date"}), vec!["body"]),
        (json!({"username": "foo", "expire_strategy": "start_on_first_use"}), vec!["body"]),
        (json!({"username": "foo", "expire_strategy": "start_on_first_use", "usage_duration": 0}), vec!["body"]),
        (
            json!({"username": "foo", "expire_strategy": "start_on_first_use", "usage_duration": 315_328_464_001_i64}),
            vec!["usage_duration"],
        ),
        (json!({"username": "foo", "expire_strategy": "never", "data_limit": 1.5}), vec!["data_limit"]),
        (
            json!({"username": "foo", "expire_strategy": "never", "data_limit": 18_446_744_073_709_551_615_u64}),
            vec!["data_limit"],
        ),
        (json!({"username": "foo", "expire_strategy": "never", "note": "a\u{0}b"}), vec!["note"]),
        (
            json!({
                "username": "foo", "expire_strategy": "fixed_date", "expire_date": "notadate", "data_limit": -1,
                "data_limit_reset_strategy": "hour", "note": "x".repeat(501), "service_ids": ["a"],
                "activation_deadline": "x", "key": 5,
            }),
            vec!["0", "activation_deadline", "data_limit", "data_limit_reset_strategy", "expire_date", "key", "note"],
        ),
    ] {
        panel.post("root", "/api/users", body).await.wrong_fields(&keys);
    }
    assert_eq!(number(&panel.panel.db, "SELECT COUNT(*) FROM users").await, 0, "a refused request stores nothing");
    panel.post("root", "/api/users", never("foo")).await.ok();
    panel.put("root", "/api/users/foo", json!({})).await.wrong_fields(&["username"]);
    let no_date = json!({"username": "foo", "expire_strategy": "fixed_date"});
    panel.put("root", "/api/users/foo", no_date).await.wrong_fields(&["body"]);
    panel.put("root", "/api/users/nope", json!({"username": "nope"})).await.refused(404);
}

async fn taken_username_or_key_is_a_conflict_and_a_trivial_key_is_refused(db: Db) {
    let panel = TestPanel::start(db).await;
    panel.post("root", "/api/users", json!({"username": "foo", "expire_strategy": "never", "key": "abc"})).await.ok();
    panel.post("root", "/api/users", never("FOO")).await.refused(409);
    for short in ["", "0", "ab"] {
        let user = json!({"username": "bar", "expire_strategy": "never", "key": short});
        panel.post("root", "/api/users", user).await.wrong_fields(&["key"]);
    }
    let same_key = json!({"username": "bar", "expire_strategy": "never", "key": "abc"});
    panel.post("root", "/api/users", same_key).await.refused(409);
    panel.post("root", "/api/users/foo/enable", json!(null)).await.refused(409);
}

async fn concurrent_requests_for_one_name_or_key_have_one_winner(db: Db) {
    let panel = TestPanel::start(db).await;
    let node = |name: String, port: i64| json!({"name": name, "address": "192.0.2.1", "port": port});
    let user = |name: String, key: String| json!({"username": name, "expire_strategy": "never", "key": key});
    let admin = |name: &str| json!({"username": name, "password": "p", "is_sudo": false});
    for (path, bodies) in [
        ("/api/users", (0..8).map(|nth| user("ann".to_owned(), format!("key{nth}"))).collect::<Vec<_>>()),
        ("/api/users", (0..8).map(|nth| user(format!("bob{nth}"), "one".to_owned())).collect()),
        ("/api/nodes", (1..9).map(|nth| node("one".to_owned(), nth)).collect()),
        ("/api/nodes", (0..8).map(|nth| node(format!("node{nth}"), 99)).collect()),
        // Few, because each of them hashes a password first.
        ("/api/admins", vec![admin("alice"), admin("alice")]),
    ] {
        let count = bodies.len();
        let answers = join_all(bodies.into_iter().map(|body| panel.post("root", path, body))).await;
        let taken = answers.iter().filter(|answer| answer.status == 409).count();
        let made = answers.iter().filter(|answer| answer.status == 200).count();
        assert_eq!((made, taken), (1, count - 1), "{path}: {answers:?}");
    }
}

async fn users_are_filtered_sorted_and_listed_with_links(db: Db) {
    let panel = TestPanel::start(db).await;
    for name in ["carl", "anna", "bert"] {
        panel.post("root", "/api/users", never(name)).await.ok();
    }
    panel.post("root", "/api/users/bert/disable", json!(null)).await.ok();
    for (query, expected) in [
        ("", vec!["carl", "anna", "bert"]),
        ("?descending=true", vec!["carl", "anna", "bert"]),
        ("?order_by=username", vec!["anna", "bert", "carl"]),
        ("?order_by=username&descending=1", vec!["carl", "bert", "anna"]),
        ("?username=AN", vec!["anna"]),
        ("?username=", vec!["carl", "anna", "bert"]),
        ("?username=carl&username=bert&username=AN", vec!["carl", "bert"]),
        ("?is_active=no", vec!["bert"]),
        ("?activated=true&enabled=yes", vec!["carl", "anna"]),
        ("?page=9", vec![]),
    ] {
        assert_eq!(names(&panel.get("root", &format!("/api/users{query}")).await.ok()), expected, "{query}");
    }
    let page = panel.get("root", "/api/users?size=2&page=2&order_by=username").await.ok();
    assert_eq!(names(&page), ["carl"]);
    assert_eq!((&page["total"], &page["pages"]), (&json!(3), &json!(2)));
    assert_eq!(page["links"]["prev"], "/api/users?size=2&order_by=username&page=1");
    let wrong = panel.get("root", "/api/users?size=abc&page=xyz&order_by=zzz&is_active=").await;
    wrong.wrong_fields(&["is_active", "order_by", "page", "size"]);
    panel.get("root", "/api/users?order_by=").await.wrong_fields(&["order_by"]);
}

async fn owner_filter_is_for_sudo_admins_only(db: Db) {
    let panel = TestPanel::start(db).await;
    panel.insert_admin("alice", false).await;
    panel.post("root", "/api/users", never("roots")).await.ok();
    panel.post("alice", "/api/users", never("alices")).await.ok();
    assert_eq!(names(&panel.get("root", "/api/users").await.ok()), ["roots", "alices"]);
    assert_eq!(names(&panel.get("alice", "/api/users").await.ok()), ["alices"]);
    assert_eq!(names(&panel.get("root", "/api/users?owner_username=alice").await.ok()), ["alices"]);
    panel.get("root", "/api/users?owner_username=Alice").await.refused(404);
    panel.get("alice", "/api/users?owner_username=alice").await.refused(403);
    panel.get("alice", "/api/users?owner_username=").await.refused(403);
}

async fn users_of_other_admins_are_forbidden(db: Db) {
    let panel = TestPanel::start(db).await;
    panel.insert_admin("alice", false).await;
    panel.post("root", "/api/users", never("roots")).await.ok();
    for name in ["roots", "nope"] {
        let path = format!("/api/users/{name}");
        panel.get("alice", &path).await.refused(403);
        panel.put("alice", &path, json!({"username": name})).await.refused(403);
        panel.delete("alice", &path).await.refused(403);
        for action in ["enable", "disable", "reset", "revoke_sub"] {
            panel.post("alice", &format!("{path}/{action}"), json!(null)).await.refused(403);
        }
        panel.put("alice", &format!("{path}/set-owner?admin_username=alice"), json!(null)).await.refused(403);
    }
    panel.post("alice", "/api/users/reset", json!(null)).await.refused(403);
    send(panel.request(Method::GET, "/api/users/roots")).await.refused(401);
}

async fn user_named_like_a_literal_route_is_reachable_by_other_methods(db: Db) {
    let panel = TestPanel::start(db).await;
    for name in ["expired", "reset"] {
        panel.get("root", &format!("/api/users/{name}")).await.refused(404);
        panel.post("root", "/api/users", never(name)).await.ok();
        panel.get("root", &format!("/api/users/{name}")).await.ok();
        panel.post("root", &format!("/api/users/{name}/disable"), json!(null)).await.ok();
        panel.put("root", &format!("/api/users/{name}"), json!({"username": name})).await.ok();
    }
    assert_eq!(panel.post("root", "/api/users/reset", json!(null)).await.ok(), json!({}));
    assert_eq!(names(&panel.get("root", "/api/users").await.ok()), ["expired", "reset"]);
}

async fn deleting_expired_users_removes_only_those_expired_for_that_long(db: Db) {
    let panel = TestPanel::start(db).await;
    panel.delete("root", "/api/users/expired").await.wrong_fields(&["passed_time"]);
    panel.delete("root", "/api/users/expired?passed_time=x").await.wrong_fields(&["passed_time"]);
    let old = json!({"username": "old", "expire_strategy": "fixed_date", "expire_date": 1000});
    panel.post("root", "/api/users", old).await.ok();
    panel.post("root", "/api/users", never("foo")).await.ok();
    panel.delete("root", "/api/users/expired?passed_time=99999999999999").await.refused(404);
    assert_eq!(panel.delete("root", "/api/users/expired?passed_time=0").await.ok(), json!({}));
    assert_eq!(names(&panel.get("root", "/api/users").await.ok()), ["foo"]);
}

/// Sends an action on the user `foo`, which must succeed.
async fn act(panel: &TestPanel, action: &str) -> Value {
    panel.post("root", &format!("/api/users/foo/{action}"), json!(null)).await.ok()
}

async fn disabled_user_is_inactive_until_enabled(db: Db) {
    let panel = TestPanel::start(db).await;
    panel.post("root", "/api/users", never("foo")).await.ok();
    let off = act(&panel, "disable").await;
    assert_eq!((&off["enabled"], &off["activated"], &off["is_active"]), (&json!(false), &json!(false), &json!(false)));
    let on = act(&panel, "enable").await;
    assert_eq!((&on["enabled"], &on["activated"]), (&json!(true), &json!(true)));
}

async fn reset_and_revoked_user_shows_when_it_happened(db: Db) {
    let panel = TestPanel::start(db).await;
    let before = panel.post("root", "/api/users", never("foo")).await.ok();
    assert_eq!(act(&panel, "reset").await["traffic_reset_at"], "2026-11-23T20:36:25");
    let revoked = act(&panel, "revoke_sub").await;
    assert_ne!(revoked["key"], before["key"]);
    assert_eq!(revoked["sub_revoked_at"], "2026-11-23T20:36:25");
}

async fn user_is_given_to_an_existing_admin_only(db: Db) {
    let panel = TestPanel::start(db).await;
    panel.insert_admin("alice", false).await;
    panel.post("root", "/api/users", never("foo")).await.ok();
    let set_owner = "/api/users/foo/set-owner";
    panel.put("root", set_owner, json!(null)).await.wrong_fields(&["admin_username"]);
    panel.put("root", &format!("{set_owner}?admin_username=zzz"), json!(null)).await.refused(404);
    let user = panel.put("root", &format!("{set_owner}?admin_username=alice"), json!(null)).await.ok();
    assert_eq!(user["owner_username"], "alice");
}

async fn services_of_a_user_are_listed(db: Db) {
    execute(&db, "INSERT INTO services (name) VALUES ('a'), ('b')").await;
    let panel = TestPanel::start(db).await;
    let new = json!({"username": "foo", "expire_strategy": "never", "service_ids": [2]});
    panel.post("root", "/api/users", new).await.ok();
    let page = panel.get("root", "/api/users/foo/services").await.ok();
    assert_eq!(page["items"], json!([{"id": 2, "name": "b", "inbound_ids": [], "user_ids": [1]}]));
    panel.get("root", "/api/users/nope/services").await.refused(404);
}

async fn list_total_shows_own_changes_at_once_and_others_after_two_seconds(db: Db) {
    let panel = TestPanel::start(db.clone()).await;
    let total = async || panel.get("root", "/api/users?size=1").await.ok()["total"].clone();
    assert_eq!(total().await, 0);
    panel.post("root", "/api/users", never("first")).await.ok();
    assert_eq!(total().await, 1);
    panel.delete("root", "/api/users/first").await.ok();
    assert_eq!(total().await, 0);
    execute(
        &db,
        "INSERT INTO users (username, key, expire_strategy, created_at) VALUES ('elsewhere', 'e', 'never', 0);
         INSERT INTO user_traffic (user_id, created_at) SELECT id, 0 FROM users WHERE key = 'e'",
    )
    .await;
    panel.panel.clock.advance(2_000_000);
    assert_eq!(total().await, 1, "created by another process");
}

async fn nodes_of_a_user_are_in_step_once_they_confirmed_its_changes(db: Db) {
    execute(
        &db,
        "INSERT INTO nodes (name, address, port, connection_backend, created_at) VALUES ('de', 'd', 1, 'grpclib', 0),
             ('nl', 'n', 1, 'grpclib', 0);
         INSERT INTO services (name) VALUES ('all');
         INSERT INTO inbounds (node_id, tag, protocol, config) VALUES (1, 'a', 'vless', '{}'), (1, 'b', 'vless', '{}'),
             (2, 'a', 'vless', '{}'), (3, 'a', 'vless', '{}');
         INSERT INTO inbounds_services (inbound_id, service_id) VALUES (1, 1), (2, 1), (3, 1)",
    )
    .await;
    let panel = TestPanel::start(db).await;
    panel.insert_admin("alice", false).await;
    let new = json!({"username": "foo", "expire_strategy": "never", "service_ids": [1]});
    panel.post("root", "/api/users", new).await.ok();
    let nodes = async || panel.get("root", "/api/users/foo/nodes").await.ok();
    let node = |id: i64, name: &str, in_step: bool, since: &str| json!({"node_id": id, "node_name": name, "in_step": in_step, "since": since});
    let created = "2026-11-23T20:36:25Z";
    assert_eq!(nodes().await, json!([node(1, "local", false, created), node(2, "de", false, created)]));

    let db = &panel.panel.db;
    execute(db, "UPDATE nodes SET status = 'healthy', synced_at = 1795466186000000 WHERE id = 1").await;
    assert_eq!(nodes().await[0]["in_step"], false, "the change is not confirmed");
    execute(db, "DELETE FROM user_change").await;
    let synced = "2026-11-23T20:36:26Z";
    assert_eq!(nodes().await, json!([node(1, "local", true, synced), node(2, "de", false, created)]));
    execute(db, "UPDATE scheduler_epoch SET epoch = epoch + 1").await;
    assert_eq!(nodes().await[0]["in_step"], false, "the next leader has no session yet");

    panel.get("alice", "/api/users/foo/nodes").await.refused(403);
    panel.get("root", "/api/users/nobody/nodes").await.refused(404);
}
