//! `POST /api/users/bulk`: one change of many users, chosen by id or by a filter.

use std::collections::BTreeSet;

use sarban::store::Db;
use serde_json::{Value, json};

use crate::api::panel::TestPanel;
use crate::support::database::{execute, number, on_both_engines};

on_both_engines! {
    bulk_change_writes_what_a_change_of_one_user_writes,
    bulk_change_of_a_filter_selects_what_the_list_shows,
    bulk_change_goes_on_from_its_cursor_and_counts_exactly,
    bulk_change_touches_only_users_that_the_admin_may_change,
    bulk_change_notifies_of_each_changed_user_and_is_audited,
    wrong_bulk_changes_name_the_field,
}

const BULK: &str = "/api/users/bulk";

async fn user(panel: &TestPanel, name: &str, more: Value) -> i64 {
    let mut body = json!({"username": name, "expire_strategy": "never", "service_ids": [1]});
    for (field, value) in more.as_object().expect("fields") {
        body[field] = value.clone();
    }
    panel.post("root", "/api/users", body).await.ok()["id"].as_i64().expect("an id")
}

/// Fields of two users, the state that they are put in, the change of one of them, and the change of the other as one of many.
type Case = (Value, Value, (&'static str, &'static str, Value), Value);

/// The columns that bulk changes write, apart from those that differ between any two users.
fn row_of(id: i64) -> String {
    format!(
        "SELECT COUNT(*) FROM users a JOIN users b ON b.id = {id} JOIN user_traffic t ON t.user_id = a.id
            JOIN user_traffic v ON v.user_id = b.id
         WHERE a.id = {id} - 1 AND (a.username IS NULL) = (b.username IS NULL)
            AND COALESCE(a.owner_id, 0) = COALESCE(b.owner_id, 0) AND a.enabled = b.enabled
            AND a.activated = b.activated AND a.removed = b.removed AND a.expire_strategy = b.expire_strategy
            AND COALESCE(a.expire_date, 0) = COALESCE(b.expire_date, 0)
            AND COALESCE(a.usage_duration, 0) = COALESCE(b.usage_duration, 0)
            AND COALESCE(a.activation_deadline, 0) = COALESCE(b.activation_deadline, 0)
            AND COALESCE(a.edit_at, 0) = COALESCE(b.edit_at, 0)
            AND COALESCE(a.sub_revoked_at, 0) = COALESCE(b.sub_revoked_at, 0)
            AND (a.key_change_seq = 0) = (b.key_change_seq = 0) AND a.key <> b.key
            AND COALESCE(t.data_limit, 0) = COALESCE(v.data_limit, 0) AND t.used_traffic = v.used_traffic
            AND COALESCE(t.traffic_reset_at, 0) = COALESCE(v.traffic_reset_at, 0)
            AND t.lifetime_used_traffic = v.lifetime_used_traffic
            AND (SELECT COUNT(*) FROM user_change WHERE user_id = a.id)
                = (SELECT COUNT(*) FROM user_change WHERE user_id = b.id)
            AND (SELECT SUM(s.service_id) FROM users_services s WHERE s.user_id = a.id)
                = (SELECT SUM(s.service_id) FROM users_services s WHERE s.user_id = b.id)"
    )
}

async fn bulk_change_writes_what_a_change_of_one_user_writes(db: Db) {
    execute(&db, "INSERT INTO services (id, name) VALUES (1, 'one'), (2, 'two'), (4, 'four')").await;
    let panel = TestPanel::start(db.clone()).await;
    panel.insert_admin("eve", false).await;
    // The panel's clock stands still at 2026-11-23 20:36:25.
    let on_hold = |seconds: i64| json!({"expire_strategy": "start_on_first_use", "usage_duration": seconds});
    let until = |date: &str| json!({"expire_strategy": "fixed_date", "expire_date": date});
    let day = json!({"action": "extend", "seconds": 86_400});
    let cases: Vec<Case> = vec![
        (json!({}), json!({"enabled": false}), ("POST", "/enable", json!({})), json!({"action": "enable"})),
        (json!({}), json!({}), ("POST", "/disable", json!({})), json!({"action": "disable"})),
        (json!({"data_limit": 5}), json!({"spent": 5}), ("POST", "/reset", json!({})), json!({"action": "reset"})),
        (json!({}), json!({"spent": 7}), ("POST", "/reset", json!({})), json!({"action": "reset"})),
        (json!({}), json!({}), ("POST", "/revoke_sub", json!({})), json!({"action": "revoke_sub"})),
        (json!({}), json!({}), ("DELETE", "", json!({})), json!({"action": "delete"})),
        (until("2027-01-01T00:00:00"), json!({}), ("PUT", "", until("2027-01-02T00:00:00")), day.clone()),
        (until("2020-01-01T00:00:00"), json!({}), ("PUT", "", until("2026-11-24T20:36:25")), day.clone()),
        (on_hold(100), json!({}), ("PUT", "", on_hold(86_500)), day),
        (
            json!({"data_limit": 5}),
            json!({"spent": 6}),
            ("PUT", "", json!({"data_limit": 8})),
            json!({"action": "add_data", "bytes": 3}),
        ),
        (
            json!({}),
            json!({}),
            ("PUT", "/set-owner?admin_username=eve", json!({})),
            json!({"action": "set_owner", "admin_username": "eve"}),
        ),
        (
            json!({}),
            json!({}),
            ("PUT", "", json!({"service_ids": [1, 4]})),
            json!({"action": "add_service", "service_id": 4}),
        ),
        (
            json!({"service_ids": [1, 2, 4]}),
            json!({}),
            ("PUT", "", json!({"service_ids": [1, 4]})),
            json!({"action": "remove_service", "service_id": 2}),
        ),
    ];
    for (index, (fields, state, (method, path, body), bulk)) in cases.into_iter().enumerate() {
        let (one, many) = (format!("one_{index}"), format!("many_{index}"));
        let mut ids = Vec::new();
        for name in [&one, &many] {
            let id = user(&panel, name, fields.clone()).await;
            if state["enabled"] == json!(false) {
                panel.post("root", &format!("/api/users/{name}/disable"), json!({})).await.ok();
            }
            if let Some(spent) = state["spent"].as_i64() {
                let spend = format!("UPDATE user_traffic SET used_traffic = {spent} WHERE user_id = {id}");
                execute(&db, &spend).await;
                if fields["data_limit"].is_number() {
                    execute(&db, &format!("UPDATE users SET activated = FALSE WHERE id = {id}")).await;
                }
            }
            ids.push(id);
        }
        execute(&db, "DELETE FROM user_change").await;
        let mut body = body;
        body["username"] = json!(one);
        let path = format!("/api/users/{one}{path}");
        match method {
            "POST" => panel.post("root", &path, body).await.ok(),
            "PUT" => panel.put("root", &path, body).await.ok(),
            _ => panel.delete("root", &path).await.ok(),
        };
        let mut request = bulk.clone();
        request["ids"] = json!([ids[1], 999]);
        let expected = json!({"matched": 1, "changed": 1, "cursor": null});
        assert_eq!(panel.post("root", BULK, request).await.ok(), expected, "{bulk}");
        assert_eq!(number(&db, &row_of(ids[1])).await, 1, "{bulk} differs from {method} {path}");
    }
}

async fn bulk_change_of_a_filter_selects_what_the_list_shows(db: Db) {
    execute(&db, "INSERT INTO services (id, name) VALUES (1, 'one')").await;
    let panel = TestPanel::start(db.clone()).await;
    panel.insert_admin("eve", false).await;
    for (name, more) in [
        ("works", json!({"expire_strategy": "fixed_date", "expire_date": "2026-12-01T00:00:00"})),
        ("expired", json!({"expire_strategy": "fixed_date", "expire_date": "2020-01-01T00:00:00"})),
        ("on_hold", json!({"expire_strategy": "start_on_first_use", "usage_duration": 5})),
        ("limited", json!({"data_limit": 5})),
        ("no_service", json!({"service_ids": []})),
        ("of_eve", json!({})),
        ("off", json!({})),
    ] {
        user(&panel, name, more).await;
    }
    panel.post("root", "/api/users/off/disable", json!({})).await.ok();
    panel.put("root", "/api/users/of_eve/set-owner?admin_username=eve", json!({})).await.ok();
    execute(&db, "UPDATE user_traffic SET used_traffic = 5 WHERE data_limit = 5").await;
    let cases = [
        ("", json!({}), 7),
        ("is_active=true", json!({"is_active": true}), 4),
        ("is_active=false", json!({"is_active": false}), 3),
        // The first case has changed services, which looks at each account again.
        ("activated=false", json!({"activated": false}), 3),
        ("expired=true", json!({"expired": true}), 1),
        ("expired=false&is_active=true", json!({"expired": false, "is_active": true}), 4),
        ("data_limit_reached=true", json!({"data_limit_reached": true}), 1),
        ("enabled=false", json!({"enabled": false}), 1),
        ("on_hold=true", json!({"on_hold": true}), 1),
        ("on_hold=false", json!({"on_hold": false}), 6),
        ("expires_before=2026-12-02T00:00:00", json!({"expires_before": "2026-12-02T00:00:00"}), 2),
        (
            "expired=false&expires_before=2026-12-02T00:00:00",
            json!({"expired": false, "expires_before": "2026-12-02T00:00:00"}),
            1,
        ),
        ("service_id=1", json!({"service_id": 1}), 6),
        ("owner_username=eve", json!({"owner_username": "eve"}), 1),
        ("username=O", json!({"username": ["O"]}), 5),
        ("username=limi", json!({"username": ["limi"]}), 1),
        ("username=on_hold&username=off", json!({"username": ["on_hold", "off"]}), 2),
        ("username=", json!({"username": [""]}), 7),
    ];
    for (index, (query, filter, expected)) in cases.into_iter().enumerate() {
        let service = index + 10;
        execute(&db, &format!("INSERT INTO services (id, name) VALUES ({service}, 'n')")).await;
        let names = async |query: &str| -> BTreeSet<String> {
            let page = panel.get("root", &format!("/api/users?{query}")).await.ok();
            let items = page["items"].as_array().expect("items").iter();
            items.map(|item| item["username"].as_str().expect("a name").to_owned()).collect()
        };
        let shown = names(query).await;
        let body = json!({"action": "add_service", "service_id": service, "filter": filter});
        let answer = panel.post("root", BULK, body).await.ok();
        assert_eq!(answer, json!({"matched": expected, "changed": expected, "cursor": null}), "{query}");
        assert_eq!(names(&format!("service_id={service}")).await, shown, "{query}");
    }
}

async fn bulk_change_goes_on_from_its_cursor_and_counts_exactly(db: Db) {
    let panel = TestPanel::start(db.clone()).await;
    execute(
        &db,
        "INSERT INTO users (id, username, key, owner_id, expire_strategy, created_at)
         WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2500)
         SELECT i, 'user_' || i, 'key' || i, (SELECT id FROM admins), 'never', 0 FROM n",
    )
    .await;
    execute(&db, "INSERT INTO user_traffic (user_id, created_at) SELECT id, 0 FROM users").await;
    execute(&db, "UPDATE users SET enabled = FALSE WHERE id = 7").await;
    if matches!(db, Db::Pg(_)) {
        execute(&db, "SELECT setval(pg_get_serial_sequence('users', 'id'), 2500)").await;
    }
    // Each part makes its users match no longer, and the rest is found all the same.
    let mut body = json!({"action": "disable", "filter": {"enabled": true}});
    let mut answers = Vec::new();
    loop {
        let answer = panel.post("root", BULK, body.clone()).await.ok();
        if answers.is_empty() {
            user(&panel, "late", json!({"service_ids": []})).await;
        }
        answers.push((answer["matched"].as_i64(), answer["changed"].as_i64()));
        body["cursor"] = answer["cursor"].clone();
        if body["cursor"].is_null() {
            break;
        }
    }
    let parts: &[i64] = match db {
        Db::Pg(_) => &[1_000, 1_000, 499],
        Db::Lite(_) => &[500, 500, 500, 500, 499],
    };
    assert_eq!(answers, parts.iter().map(|part| (Some(*part), Some(*part))).collect::<Vec<_>>());
    assert_eq!(number(&db, "SELECT COUNT(*) FROM users WHERE enabled = FALSE").await, 2_500);
    assert_eq!(panel.get("root", "/api/users/late").await.ok()["enabled"], json!(true));
    let all: Vec<i64> = (1..=1_000).collect();
    let again = panel.post("root", BULK, json!({"action": "disable", "ids": all})).await.ok();
    assert_eq!(again, json!({"matched": 1_000, "changed": 0, "cursor": null}));
}

async fn bulk_change_touches_only_users_that_the_admin_may_change(db: Db) {
    execute(&db, "INSERT INTO services (id, name) VALUES (1, 'one'), (2, 'two')").await;
    let panel = TestPanel::start(db.clone()).await;
    panel.insert_admin("eve", false).await;
    panel.insert_admin("idle", false).await;
    execute(&db, "UPDATE admins SET all_services_access = FALSE WHERE username = 'eve'").await;
    execute(&db, "INSERT INTO admins_services (admin_id, service_id) SELECT id, 1 FROM admins WHERE username = 'eve'")
        .await;
    execute(&db, "UPDATE admins SET modify_users_access = FALSE WHERE username = 'idle'").await;
    let foreign = user(&panel, "foreign", json!({})).await;
    let own = user(&panel, "own", json!({"service_ids": []})).await;
    panel.put("root", "/api/users/own/set-owner?admin_username=eve", json!({})).await.ok();
    for selection in [json!({"ids": [own, foreign]}), json!({"filter": {}})] {
        let with = |more: Value| {
            let mut body = selection.clone();
            body.as_object_mut().expect("fields").extend(more.as_object().expect("fields").clone());
            body
        };
        let refused = async |by: &str, more: Value| panel.post(by, BULK, with(more)).await.refused(403);
        refused("idle", json!({"action": "disable"})).await;
        refused("eve", json!({"action": "set_owner", "admin_username": "eve"})).await;
        refused("eve", json!({"action": "add_service", "service_id": 2})).await;
        let own_alone = json!({"matched": 1, "changed": 1, "cursor": null});
        for action in [json!({"action": "disable"}), json!({"action": "enable"})] {
            assert_eq!(panel.post("eve", BULK, with(action)).await.ok(), own_alone);
        }
        assert_eq!(panel.get("root", "/api/users/foreign").await.ok()["enabled"], json!(true));
        panel.post("root", BULK, with(json!({"action": "add_service", "service_id": 9}))).await.refused(404);
        panel.post("root", BULK, with(json!({"action": "set_owner", "admin_username": "x"}))).await.refused(404);
    }
    let body = json!({"action": "disable", "filter": {"owner_username": "root"}});
    panel.post("eve", BULK, body).await.refused(403);
    let body = json!({"action": "add_service", "service_id": 1, "ids": [own]});
    assert_eq!(panel.post("eve", BULK, body).await.ok()["changed"], json!(1));
}

async fn bulk_change_notifies_of_each_changed_user_and_is_audited(db: Db) {
    let panel = TestPanel::start_with(db.clone(), &[("WEBHOOK_ADDRESS", "http://127.0.0.1:9/")]).await;
    for name in ["ann", "bob", "off"] {
        user(&panel, name, json!({"service_ids": []})).await;
    }
    panel.post("root", "/api/users/off/disable", json!({})).await.ok();
    execute(&db, "DELETE FROM outbox").await;
    panel.post("root", BULK, json!({"action": "disable", "filter": {}})).await.ok();
    let disabled = "SELECT COUNT(*) FROM outbox WHERE action = 'user_disabled' AND user_id <= 2";
    assert_eq!((number(&db, disabled).await, number(&db, "SELECT COUNT(*) FROM outbox").await), (2, 2));
    panel.post("root", BULK, json!({"action": "delete", "ids": [1]})).await.ok();
    let deleted = "SELECT COUNT(*) FROM outbox WHERE action = 'user_deleted' AND payload LIKE '%\"ann\"%'";
    assert_eq!(number(&db, deleted).await, 1, "with the name");
    let entry = panel.get("root", "/api/audit?limit=1").await.ok()["items"][0].clone();
    assert_eq!(
        (&entry["action"], &entry["objects"], &entry["after"]["ids"]),
        (&json!("user.delete"), &json!(1), &json!([1]))
    );
    panel.post("root", BULK, json!({"action": "disable", "filter": {}})).await.ok();
    let newest = panel.get("root", "/api/audit?limit=1").await.ok()["items"][0].clone();
    assert_eq!(newest, entry, "nobody was changed");
}

async fn wrong_bulk_changes_name_the_field(db: Db) {
    let panel = TestPanel::start(db).await;
    let too_many: Vec<i64> = (0..1_001).collect();
    for (body, fields) in [
        (json!({"filter": {}}), vec!["action"]),
        (json!({"action": "explode", "filter": {}}), vec!["action"]),
        (json!({"action": "enable"}), vec!["body"]),
        (json!({"action": "enable", "ids": [1], "filter": {}}), vec!["body"]),
        (json!({"action": "enable", "ids": too_many}), vec!["ids"]),
        (json!({"action": "enable", "ids": ["x"]}), vec!["0"]),
        (json!({"action": "enable", "ids": [1], "cursor": "1-2"}), vec!["cursor"]),
        (json!({"action": "enable", "filter": {}, "cursor": "next"}), vec!["cursor"]),
        (json!({"action": "enable", "filter": {"enabled": "perhaps"}}), vec!["enabled"]),
        // A list ignores it; here it would mean all users.
        (json!({"action": "delete", "filter": {"expird": true}}), vec!["expird"]),
        (json!({"action": "extend", "filter": {}}), vec!["seconds"]),
        (json!({"action": "extend", "filter": {}, "seconds": 0}), vec!["seconds"]),
        (json!({"action": "extend", "filter": {}, "seconds": 315_360_001}), vec!["seconds"]),
        (json!({"action": "add_data", "filter": {}, "bytes": -1}), vec!["bytes"]),
        (json!({"action": "add_data", "filter": {}}), vec!["bytes"]),
        (json!({"action": "set_owner", "filter": {}}), vec!["admin_username"]),
        (json!({"action": "add_service", "filter": {}}), vec!["service_id"]),
        (json!({"action": "remove_service", "filter": {}}), vec!["service_id"]),
    ] {
        panel.post("root", BULK, body).await.wrong_fields(&fields);
    }
}
