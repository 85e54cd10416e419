//! Idempotency keys of `POST /api/users/bulk`: a request whose answer was lost is sent again, and changes nobody twice.

use sarban::store::Db;
use serde_json::{Value, json};

use crate::api::panel::TestPanel;
use crate::support::database::{execute, number, on_both_engines};

on_both_engines! {
    same_request_with_the_same_key_is_made_once,
    keys_are_of_one_admin_and_of_one_request,
    requests_with_the_same_key_at_the_same_time_are_made_once,
}

const BULK: &str = "/api/users/bulk";
const KEY: &str = "0190aaaa-0000-7000-8000-000000000001";

/// A panel with three users, of whom two have a data limit of five bytes.
async fn start(db: &Db) -> TestPanel {
    let panel = TestPanel::start(db.clone()).await;
    panel.insert_admin("eve", true).await;
    for (name, limit) in [("ann", json!(5)), ("bea", json!(5)), ("cid", Value::Null)] {
        let user = json!({"username": name, "expire_strategy": "never", "data_limit": limit});
        panel.post("root", "/api/users", user).await.ok();
    }
    panel
}

fn add_data(bytes: i64, key: &str) -> Value {
    json!({"action": "add_data", "bytes": bytes, "filter": {}, "idempotency_key": key})
}

async fn limits(db: &Db) -> i64 {
    number(db, "SELECT CAST(SUM(data_limit) AS BIGINT) FROM user_traffic").await
}

async fn same_request_with_the_same_key_is_made_once(db: Db) {
    let panel = start(&db).await;
    let first = panel.post("root", BULK, add_data(3, KEY)).await.ok();
    assert_eq!(first, json!({"matched": 3, "changed": 2, "cursor": null}));
    let entries = number(&db, "SELECT COUNT(*) FROM audit_entry").await;
    // As a client spells it, on another panel, after more users came.
    panel.post("root", "/api/users", json!({"username": "dora", "expire_strategy": "never"})).await.ok();
    let beside = TestPanel::beside(&panel, &[]).await;
    assert_eq!(beside.post("root", BULK, add_data(3, &KEY.to_uppercase())).await.ok(), first);
    assert_eq!(limits(&db).await, 16);
    assert_eq!(number(&db, "SELECT COUNT(*) FROM audit_entry").await, entries + 1, "dora's creation");
    // Without a key, and with another one, it is another request.
    let mut without = add_data(3, KEY);
    without["idempotency_key"] = Value::Null;
    panel.post("root", BULK, without).await.ok();
    panel.post("root", BULK, add_data(3, "0190aaaa-0000-7000-8000-000000000002")).await.ok();
    assert_eq!(limits(&db).await, 28);
    // A request that selects nobody has an answer, too, and so has a part of a longer change.
    let nobody =
        json!({"action": "delete", "filter": {"username": ["none"]}, "idempotency_key": KEY.replace('1', "3")});
    assert_eq!(panel.post("root", BULK, nobody.clone()).await.ok()["matched"], 0);
    panel.post("root", "/api/users", json!({"username": "none", "expire_strategy": "never"})).await.ok();
    assert_eq!(panel.post("root", BULK, nobody).await.ok()["matched"], 0);
    execute(&db, &format!("UPDATE bulk_request SET next_cursor = '7-9' WHERE matched = {}", 3)).await;
    assert_eq!(panel.post("root", BULK, add_data(3, KEY)).await.ok()["cursor"], "7-9");
}

async fn keys_are_of_one_admin_and_of_one_request(db: Db) {
    let panel = start(&db).await;
    panel.post("root", BULK, add_data(3, KEY)).await.ok();
    let other = panel.post("root", BULK, add_data(4, KEY)).await;
    other.refused(409);
    let refused = json!({"action": "set_owner", "admin_username": "nobody", "filter": {}, "idempotency_key": KEY.replace('1', "4")});
    panel.post("root", BULK, refused.clone()).await.refused(404);
    assert_eq!(limits(&db).await, 16);
    panel.post("eve", BULK, add_data(3, KEY)).await.ok();
    assert_eq!(limits(&db).await, 22, "another admin's key");
    // A refused request has made nothing, so it is made when it is sent again.
    panel.insert_admin("nobody", false).await;
    assert_eq!(panel.post("root", BULK, refused).await.ok()["changed"], 3);
    panel.post("root", BULK, add_data(3, "no key")).await.wrong_fields(&["idempotency_key"]);
}

async fn requests_with_the_same_key_at_the_same_time_are_made_once(db: Db) {
    let panel = start(&db).await;
    let beside = TestPanel::beside(&panel, &[]).await;
    let requests = (0..6).map(|n| if n % 2 == 0 { &panel } else { &beside }.post("root", BULK, add_data(3, KEY)));
    for answer in futures_util::future::join_all(requests).await {
        assert_eq!(answer.ok()["changed"], 2);
    }
    assert_eq!(limits(&db).await, 16);
}
