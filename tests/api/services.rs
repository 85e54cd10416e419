//! `/api/services`: services, their users and inbounds, and the users that nodes must receive after a change.

use reqwest::Method;
use sarban::store::Db;
use serde_json::{Value, json};

use crate::api::panel::{TestPanel, send};
use crate::support::database::{execute, number, on_both_engines};

on_both_engines!(
    created_service_has_known_inbounds_and_an_optional_name,
    changed_service_keeps_fields_that_are_null_or_missing,
    deleted_service_is_404,
    service_with_wrong_fields_or_rights_is_refused,
    services_are_filtered_by_name_and_listed_with_links,
    admin_sees_only_services_that_it_may_assign,
    admin_sees_ids_of_its_own_users_only,
    services_of_an_admin_are_those_that_it_may_assign,
    users_of_a_changed_service_are_marked_for_the_nodes,
    users_and_inbounds_of_a_service_are_listed,
    users_of_an_admin_are_listed_without_links,
    service_with_twenty_thousand_users_is_deleted_with_a_mark_for_each,
    service_response_contains_all_users_beyond_the_first_batch,
    users_of_services_are_counted_without_their_ids,
);

/// A node with three inbounds, ids 1 to 3.
const INBOUNDS: &str = "
    INSERT INTO nodes (name, address, port, connection_backend, created_at) VALUES ('n', 'a', 1, 'grpcio', 0);
    INSERT INTO inbounds (node_id, tag, protocol, config)
        SELECT id, tag, 'vless', '{}' FROM nodes, (SELECT 'a' AS tag UNION ALL SELECT 'b' UNION ALL SELECT 'c') t
        WHERE name = 'n' ORDER BY tag";

fn names(page: &Value) -> Vec<&str> {
    page["items"].as_array().expect("items").iter().filter_map(|item| item["name"].as_str()).collect()
}

/// A panel with the service 1, of the inbounds 1 and 2.
async fn start_with_service(db: Db) -> (TestPanel, Value) {
    execute(&db, INBOUNDS).await;
    let panel = TestPanel::start(db).await;
    let body = json!({"id": 77, "name": "a", "inbound_ids": ["1", 2.0, 2, 999]});
    let service = panel.post("root", "/api/services", body).await.ok();
    (panel, service)
}

async fn created_service_has_known_inbounds_and_an_optional_name(db: Db) {
    let (panel, service) = start_with_service(db).await;
    assert_eq!(service, json!({"id": 1, "name": "a", "inbound_ids": [1, 2], "user_ids": []}));
    let nameless = json!({"id": 2, "name": null, "inbound_ids": [], "user_ids": []});
    assert_eq!(panel.post("root", "/api/services", json!({})).await.ok(), nameless);
    assert_eq!(panel.get("root", "/api/services/2").await.ok(), nameless);
}

async fn changed_service_keeps_fields_that_are_null_or_missing(db: Db) {
    let (panel, service) = start_with_service(db).await;
    assert_eq!(panel.put("root", "/api/services/1", json!({"name": null})).await.ok(), service);
    let changed = panel.put("root", "/api/services/1", json!({"id": 99, "name": "b", "inbound_ids": [3]})).await.ok();
    assert_eq!(changed, json!({"id": 1, "name": "b", "inbound_ids": [3], "user_ids": []}));
    let empty = panel.put("root", "/api/services/1", json!({"inbound_ids": []})).await.ok();
    assert_eq!(empty, json!({"id": 1, "name": "b", "inbound_ids": [], "user_ids": []}));
}

async fn deleted_service_is_404(db: Db) {
    let (panel, _) = start_with_service(db).await;
    assert_eq!(panel.delete("root", "/api/services/1").await.ok(), json!({}));
    panel.delete("root", "/api/services/1").await.refused(404);
    panel.get("root", "/api/services/1").await.refused(404);
    panel.put("root", "/api/services/1", json!({"name": "x"})).await.refused(404);
}

async fn service_with_wrong_fields_or_rights_is_refused(db: Db) {
    let panel = TestPanel::start(db).await;
    panel.insert_admin("alice", false).await;
    panel.post("root", "/api/services", json!({"name": 5})).await.wrong_fields(&["name"]);
    let bad = json!({"name": "bad", "inbound_ids": ["x", 1.5, null]});
    panel.post("root", "/api/services", bad).await.wrong_fields(&["0", "1", "2"]);
    panel.post("root", "/api/services", json!({"inbound_ids": null})).await.wrong_fields(&["inbound_ids"]);
    let bad = json!({"name": 5, "inbound_ids": "x"});
    panel.put("root", "/api/services/abc", bad).await.wrong_fields(&["id", "inbound_ids", "name"]);
    panel.get("root", "/api/services/9223372036854775808").await.wrong_fields(&["id"]);
    panel.post("alice", "/api/services", json!({})).await.refused(403);
    panel.put("alice", "/api/services/1", json!({})).await.refused(403);
    panel.delete("alice", "/api/services/1").await.refused(403);
    send(panel.request(Method::GET, "/api/services")).await.refused(401);
    assert_eq!(panel.get("root", "/api/services").await.ok()["total"], 0);
}

async fn services_are_filtered_by_name_and_listed_with_links(db: Db) {
    execute(&db, "INSERT INTO services (name) VALUES ('det'), ('all'), ('Default'), (NULL), ('det')").await;
    let panel = TestPanel::start(db).await;
    assert_eq!(names(&panel.get("root", "/api/services?name=DE").await.ok()), ["det", "Default", "det"]);
    assert_eq!(panel.get("root", "/api/services?name=").await.ok()["total"], 5);
    // A service without a name matches no text, not even a wildcard.
    for all in ["%25", "_", "%25%25"] {
        let page = panel.get("root", &format!("/api/services?name={all}")).await.ok();
        assert_eq!((names(&page), &page["total"]), (vec!["det", "all", "Default", "det"], &json!(4)), "{all}");
    }
    let page = panel.get("root", "/api/services?size=2&page=2").await.ok();
    assert_eq!(names(&page), ["Default"]);
    let links = json!({"first": "/api/services?size=2&page=1", "last": "/api/services?size=2&page=3",
                       "self": "/api/services?size=2&page=2", "next": "/api/services?size=2&page=3",
                       "prev": "/api/services?size=2&page=1"});
    assert_eq!(page["links"], links);
    panel.get("root", "/api/services?size=0").await.wrong_fields(&["size"]);
}

/// Services a, b and c. alice may assign a and c, carol may assign all.
async fn start_with_admins(db: Db) -> TestPanel {
    execute(&db, "INSERT INTO services (name) VALUES ('a'), ('b'), ('c')").await;
    let panel = TestPanel::start(db).await;
    panel.insert_admin("alice", false).await;
    panel.insert_admin("carol", false).await;
    panel.put("root", "/api/admins/alice", json!({"service_ids": [1, 3]})).await.ok();
    panel.put("root", "/api/admins/carol", json!({"all_services_access": true})).await.ok();
    panel
}

async fn admin_sees_only_services_that_it_may_assign(db: Db) {
    let panel = start_with_admins(db).await;
    let page = panel.get("alice", "/api/services").await.ok();
    assert_eq!((names(&page), &page["total"]), (vec!["a", "c"], &json!(2)));
    assert_eq!(names(&panel.get("carol", "/api/services").await.ok()), ["a", "b", "c"]);
    panel.get("alice", "/api/services/3").await.ok();
    panel.get("alice", "/api/services/2").await.refused(403);
    panel.get("alice", "/api/services/999").await.refused(403);
    panel.get("carol", "/api/services/2").await.ok();
}

async fn services_of_an_admin_are_those_that_it_may_assign(db: Db) {
    let panel = start_with_admins(db).await;
    let of_alice = panel.get("root", "/api/admins/alice/services").await.ok();
    assert_eq!((names(&of_alice), of_alice.get("links")), (vec!["a", "c"], None));
    assert_eq!(names(&panel.get("root", "/api/admins/carol/services?size=2&page=2").await.ok()), ["c"]);
    assert_eq!(names(&panel.get("root", "/api/admins/root/services").await.ok()), ["a", "b", "c"]);
    panel.get("root", "/api/admins/ghost/services").await.refused(404);
    panel.get("alice", "/api/admins/alice/services").await.refused(403);
}

async fn users_of_a_changed_service_are_marked_for_the_nodes(db: Db) {
    const MARKS: &str = "SELECT COUNT(*) FROM user_change WHERE user_id IN (1, 2)";
    const OTHERS: &str = "SELECT COUNT(*) FROM user_change WHERE user_id > 2";
    execute(&db, INBOUNDS).await;
    execute(
        &db,
        "INSERT INTO services (name) VALUES ('a'), ('b');
         INSERT INTO users (username, key, expire_strategy, created_at, activated, removed) VALUES
             ('u1', 'k1', 'never', 0, TRUE, FALSE), ('u2', 'k2', 'never', 0, TRUE, FALSE),
             ('u3', 'k3', 'never', 0, FALSE, FALSE), (NULL, 'k4', 'never', 0, FALSE, TRUE),
             ('u5', 'k5', 'never', 0, TRUE, FALSE);
         INSERT INTO users_services (user_id, service_id) VALUES (1, 1), (2, 1), (3, 1), (4, 1), (5, 2)",
    )
    .await;
    let panel = TestPanel::start(db.clone()).await;
    let mut wakeups = panel.panel.changes.wakeup().subscribe();
    assert_eq!(panel.get("root", "/api/services/1").await.ok()["user_ids"], json!([1, 2, 3]));
    panel.put("root", "/api/services/1", json!({"name": "other", "inbound_ids": []})).await.ok();
    assert_eq!(number(&db, MARKS).await, 0, "the inbounds have not changed");
    panel.put("root", "/api/services/1", json!({"inbound_ids": [1]})).await.ok();
    assert_eq!((number(&db, MARKS).await, number(&db, OTHERS).await), (2, 0), "only activated users of the service");
    wakeups.wait().await;
    execute(&db, "DELETE FROM user_change").await;
    panel.delete("root", "/api/services/1").await.ok();
    assert_eq!((number(&db, MARKS).await, number(&db, OTHERS).await), (2, 0));
    assert_eq!(number(&db, "SELECT COUNT(*) FROM users_services").await, 1);
}

/// The service 1 of the inbounds a and c, with a user of root and one of alice.
async fn start_with_users(db: Db) -> TestPanel {
    execute(&db, INBOUNDS).await;
    let panel = TestPanel::start(db).await;
    panel.insert_admin("alice", false).await;
    panel.post("root", "/api/services", json!({"name": "a", "inbound_ids": [1, 3]})).await.ok();
    for (by, name) in [("root", "of_root"), ("alice", "of_alice")] {
        let user = json!({"username": name, "expire_strategy": "never", "service_ids": [1]});
        panel.post(by, "/api/users", user).await.ok();
    }
    panel.put("root", "/api/users/of_alice", json!({"username": "of_alice", "service_ids": [1]})).await.ok();
    panel
}

/// The texts of a field of the items of a page.
fn texts<'a>(page: &'a Value, field: &str) -> Vec<&'a str> {
    page["items"].as_array().expect("items").iter().map(|item| item[field].as_str().expect("a text")).collect()
}

async fn users_and_inbounds_of_a_service_are_listed(db: Db) {
    let panel = start_with_users(db).await;
    let users = panel.get("root", "/api/services/1/users?size=1").await.ok();
    assert_eq!((texts(&users, "username"), &users["total"]), (vec!["of_root"], &json!(2)));
    assert_eq!(users["links"]["next"], "/api/services/1/users?size=1&page=2");
    let filtered = panel.get("root", "/api/users?service_id=1").await.ok();
    assert_eq!((texts(&filtered, "username"), &filtered["total"]), (vec!["of_root", "of_alice"], &json!(2)));
    assert_eq!(texts(&panel.get("alice", "/api/users?service_id=1").await.ok(), "username"), ["of_alice"]);
    assert_eq!(panel.get("root", "/api/users?service_id=2").await.ok()["total"], json!(0));
    let inbounds = panel.get("root", "/api/services/1/inbounds").await.ok();
    assert_eq!(texts(&inbounds, "tag"), ["a", "c"]);
    for path in ["/api/services/999/users", "/api/services/999/inbounds"] {
        panel.get("root", path).await.refused(404);
    }
    for path in ["/api/services/1/users", "/api/services/1/inbounds"] {
        panel.get("alice", path).await.refused(403);
    }
}

async fn users_of_an_admin_are_listed_without_links(db: Db) {
    let panel = start_with_users(db).await;
    let of_alice = panel.get("root", "/api/admins/alice/users").await.ok();
    assert_eq!((texts(&of_alice, "username"), of_alice.get("links")), (vec!["of_alice"], None));
    panel.get("root", "/api/admins/ghost/users").await.refused(404);
    panel.get("alice", "/api/admins/alice/users").await.refused(403);
}

async fn service_with_twenty_thousand_users_is_deleted_with_a_mark_for_each(db: Db) {
    execute(&db, "INSERT INTO services (name) VALUES ('a'), ('b')").await;
    execute(
        &db,
        "INSERT INTO users (username, key, expire_strategy, created_at)
             WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20001)
             SELECT 'u' || i, 'k' || i, 'never', 0 FROM n;
         INSERT INTO users_services (user_id, service_id)
             SELECT u.id, s.id FROM users u JOIN services s ON s.id = 1 OR u.id = 7",
    )
    .await;
    let panel = TestPanel::start(db.clone()).await;
    panel.delete("root", "/api/services/1").await.ok();
    panel.get("root", "/api/services/1").await.refused(404);
    assert_eq!(number(&db, "SELECT COUNT(*) FROM user_change").await, 20_001);
    assert_eq!(number(&db, "SELECT COUNT(*) FROM users_services").await, 1, "the other service remains");
}

/// The services have more users than their row holds, and more than one batch. Some users at the limits are removed.
async fn service_response_contains_all_users_beyond_the_first_batch(db: Db) {
    execute(&db, "INSERT INTO services (name) VALUES ('a'), ('b'), ('c'), ('d')").await;
    execute(
        &db,
        "INSERT INTO users (username, key, expire_strategy, created_at, removed)
             WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 21503)
             SELECT CASE WHEN i IN (1000, 1001, 11001, 21503) THEN NULL ELSE 'u' || i END, 'k' || i, 'never', 0,
                    i IN (1000, 1001, 11001, 21503)
             FROM n;
         INSERT INTO users_services (user_id, service_id)
             SELECT u.id, s.id FROM users u
             JOIN services s ON s.id = 1 OR s.id = 2 AND u.id <= 1002 OR s.id = 3 AND u.id <= 11004;
         INSERT INTO user_traffic (user_id, created_at) VALUES (5, 0)",
    )
    .await;
    let panel = TestPanel::start(db).await;
    panel.insert_admin("alice", false).await;
    panel.put("root", "/api/admins/alice", json!({"service_ids": [1, 4]})).await.ok();
    let up_to = |last: i64| -> Value { (1..=last).filter(|id| ![1000, 1001, 11001, 21503].contains(id)).collect() };
    let services = [up_to(21_503), up_to(1_002), up_to(11_004), json!([])];
    let ids = |page: &Value| -> Vec<Value> {
        page["items"].as_array().expect("items").iter().map(|item| item["user_ids"].clone()).collect()
    };
    for (service, expected) in services.iter().enumerate() {
        let shown = panel.get("root", &format!("/api/services/{}", service + 1)).await.ok();
        assert_eq!(&shown["user_ids"], expected);
    }
    let page = panel.get("root", "/api/services?size=3").await.ok();
    assert_eq!(
        (ids(&page), &page["total"], &page["links"]["last"]),
        (services[..3].to_vec(), &json!(4), &json!("/api/services?size=3&page=2"))
    );
    let of_alice = panel.get("root", "/api/admins/alice/services").await.ok();
    assert_eq!((ids(&of_alice), of_alice.get("links")), (vec![services[0].clone(), json!([])], None));
    let of_user = panel.get("root", "/api/users/u5/services").await.ok();
    assert_eq!(ids(&of_user), services[..3]);
    let renamed = panel.put("root", "/api/services/1", json!({"name": "x"})).await.ok();
    assert_eq!(renamed["user_ids"], services[0]);
}

async fn admin_sees_ids_of_its_own_users_only(db: Db) {
    execute(&db, "INSERT INTO services (name) VALUES ('a'), ('b')").await;
    let panel = TestPanel::start(db.clone()).await;
    for name in ["alice", "bob"] {
        panel.insert_admin(name, false).await;
        panel.put("root", &format!("/api/admins/{name}"), json!({"service_ids": [1, 2]})).await.ok();
    }
    // More of alice's than the row of a service holds, more than one batch, and some of others among them.
    execute(
        &db,
        "INSERT INTO users (username, key, expire_strategy, created_at, owner_id, removed)
             WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 12000)
             SELECT 'u' || i, 'k' || i, 'never', 0,
                    CASE WHEN i IN (3, 4) THEN NULL
                         ELSE (SELECT id FROM admins WHERE username = CASE WHEN i IN (5, 6) THEN 'bob' ELSE 'alice' END) END,
                    i IN (8, 6)
             FROM n;
         INSERT INTO users_services (user_id, service_id)
             SELECT u.id, s.id FROM users u JOIN services s ON s.id = 1 OR u.id <= 9;
         INSERT INTO user_traffic (user_id, created_at) VALUES (1, 0), (5, 0)",
    )
    .await;
    let of_alice: Value = (1..=12_000).filter(|id| ![3, 4, 5, 6, 8].contains(id)).collect();
    let all = json!([1, 2, 3, 4, 5, 7, 9]);
    for (admin, first, second) in [("alice", of_alice, json!([1, 2, 7, 9])), ("bob", json!([5]), json!([5]))] {
        assert_eq!(panel.get(admin, "/api/services/1").await.ok()["user_ids"], first, "{admin}");
        for path in ["/api/services", if admin == "bob" { "/api/users/u5/services" } else { "/api/users/u1/services" }]
        {
            let page = panel.get(admin, path).await.ok();
            assert_eq!(
                (&page["items"][0]["user_ids"], &page["items"][1]["user_ids"]),
                (&first, &second),
                "{admin} {path}"
            );
        }
    }
    panel.put("root", "/api/admins/bob", json!({"all_services_access": true})).await.ok();
    assert_eq!(panel.get("bob", "/api/services/2").await.ok()["user_ids"], json!([5]), "whatever it may assign");
    assert_eq!(panel.get("root", "/api/services/2").await.ok()["user_ids"], all);
}

async fn users_of_services_are_counted_without_their_ids(db: Db) {
    execute(&db, "INSERT INTO services (name) VALUES ('a'), ('b'), ('c')").await;
    let panel = TestPanel::start(db.clone()).await;
    panel.insert_admin("alice", false).await;
    panel.put("root", "/api/admins/alice", json!({"service_ids": [1, 3]})).await.ok();
    execute(
        &db,
        "INSERT INTO users (username, key, expire_strategy, created_at, owner_id, removed)
             WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1500)
             SELECT 'u' || i, 'k' || i, 'never', 0,
                    CASE WHEN i <= 20 THEN (SELECT id FROM admins WHERE username = 'alice') ELSE NULL END, i IN (8, 900)
             FROM n;
         INSERT INTO users_services (user_id, service_id) SELECT u.id, s.id FROM users u JOIN services s ON s.id = 1 OR s.id = 2 AND u.id <= 9",
    )
    .await;
    for (admin, counts) in [("root", vec![1_498, 8, 0]), ("alice", vec![19, 0])] {
        let page = panel.get(admin, "/api/services?count_users=true").await.ok();
        let shown: Vec<(&Value, &Value)> = page["items"]
            .as_array()
            .expect("items")
            .iter()
            .map(|item| (&item["user_count"], &item["user_ids"]))
            .collect();
        let counts: Vec<Value> = counts.into_iter().map(Value::from).collect();
        let expected: Vec<(&Value, Value)> = counts.iter().map(|count| (count, json!([]))).collect();
        assert_eq!(shown, expected.iter().map(|(count, ids)| (*count, ids)).collect::<Vec<_>>(), "{admin}");
    }
    let page = panel.get("root", "/api/services").await.ok();
    assert_eq!(page["items"][1].get("user_count"), None, "only where it is asked for");
}
