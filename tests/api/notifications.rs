//! `/api/notifications`: the outbox, newest first, and retrying undelivered notifications.

use sarban::store::Db;
use serde_json::{Value, json};

use crate::api::panel::TestPanel;
use crate::support::database::{execute, number, on_both_engines};

on_both_engines! {
    notifications_are_listed_newest_first_and_filtered,
    undelivered_notification_is_retried_at_once_and_delivered_one_is_not,
    all_dead_notifications_are_retried_or_deleted_by_channel,
    notification_is_deleted_in_any_state,
    notifications_are_for_sudo_admins_only,
}

/// A delivered, a dead and a waiting notification, ids 1 to 3.
const ENTRIES: &str = r#"
    INSERT INTO outbox (channel, recipient, cause, action, user_id, payload, created_at, state, attempts, next_attempt_at,
                        finished_at, error, keep_until) VALUES
        ('webhook', '', 'a', 'user_created', 7, '{"action": "user_created"}', 1000000, 'delivered', 1, 1000000, 2000000, NULL, 9),
        ('telegram', '-5', 'b', 'user_deleted', 7, '{}', 1000000, 'dead', 3, 1000000, 3000000, 'the answer was 500', 9),
        ('webhook', '', 'c', 'user_updated', 8, '{}', 1000000, 'waiting', 1, 4000000, NULL, 'the answer was 500', 9)"#;

/// Two more dead ones, ids 4 and 5.
const DEAD: &str = "
    INSERT INTO outbox (channel, recipient, cause, action, user_id, payload, created_at, state, attempts, next_attempt_at,
                        finished_at, error, keep_until) VALUES
        ('webhook', '', 'd', 'user_created', 7, '{}', 1000000, 'dead', 3, 1000000, 3000000, 'e', 9),
        ('webhook', '', 'e', 'user_created', 8, '{}', 1000000, 'dead', 3, 1000000, 3000000, 'e', 9)";

/// More than two parts of dead ones.
const MANY_DEAD: &str = "
    WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 4500)
    INSERT INTO outbox (channel, recipient, cause, action, user_id, payload, created_at, state, attempts, next_attempt_at,
                        finished_at, error, keep_until)
    SELECT 'webhook', '', 'many' || n, 'user_created', n, '{}', 1, 'dead', 3, 1, 3, 'e', 9 FROM n";

fn ids(page: &Value) -> Vec<i64> {
    page["items"].as_array().expect("items").iter().filter_map(|item| item["id"].as_i64()).collect()
}

async fn notifications_are_listed_newest_first_and_filtered(db: Db) {
    execute(&db, ENTRIES).await;
    let panel = TestPanel::start(db).await;
    let all = panel.get("root", "/api/notifications").await.ok();
    assert_eq!((ids(&all), &all["total"]), (vec![3, 2, 1], &json!(3)));
    let delivered = json!({"id": 1, "channel": "webhook", "recipient": "", "action": "user_created", "user_id": 7,
        "state": "delivered", "attempts": 1, "error": null, "created_at": "1970-01-01T00:00:01Z", "next_attempt_at": null,
        "finished_at": "1970-01-01T00:00:02Z", "payload": {"action": "user_created"}});
    assert_eq!(all["items"][2], delivered);
    assert_eq!(all["items"][0]["next_attempt_at"], "1970-01-01T00:00:04Z");
    for (query, expected) in
        [("state=dead", vec![2]), ("channel=webhook", vec![3, 1]), ("channel=webhook&state=waiting", vec![3])]
    {
        assert_eq!(ids(&panel.get("root", &format!("/api/notifications?{query}")).await.ok()), expected, "{query}");
    }
    assert_eq!(ids(&panel.get("root", "/api/notifications?size=1&page=2").await.ok()), [2]);
    panel.get("root", "/api/notifications?state=lost&channel=mail").await.wrong_fields(&["channel", "state"]);
}

async fn undelivered_notification_is_retried_at_once_and_delivered_one_is_not(db: Db) {
    execute(&db, ENTRIES).await;
    let panel = TestPanel::start(db).await;
    let again = panel.post("root", "/api/notifications/2/retry", Value::Null).await.ok();
    assert_eq!(
        (&again["state"], &again["attempts"], &again["finished_at"]),
        (&json!("waiting"), &json!(0), &Value::Null)
    );
    let now = "SELECT COUNT(*) FROM outbox WHERE id = 2 AND next_attempt_at = 1795466185000000";
    assert_eq!(number(&panel.panel.db, now).await, 1, "at once");
    panel.post("root", "/api/notifications/3/retry", Value::Null).await.ok();
    panel.post("root", "/api/notifications/1/retry", Value::Null).await.refused(409);
    panel.post("root", "/api/notifications/99/retry", Value::Null).await.refused(404);
    panel.post("root", "/api/notifications/x/retry", Value::Null).await.wrong_fields(&["id"]);
}

async fn all_dead_notifications_are_retried_or_deleted_by_channel(db: Db) {
    execute(&db, ENTRIES).await;
    execute(&db, DEAD).await;
    let panel = TestPanel::start(db).await;
    let listed = async |query: &str| ids(&panel.get("root", &format!("/api/notifications?{query}")).await.ok());
    assert_eq!(listed("state=dead").await, [5, 4, 2]);
    let retried = panel.post("root", "/api/notifications/retry?channel=telegram", Value::Null).await.ok();
    assert_eq!(retried, json!({"count": 1}));
    assert_eq!(listed("state=dead").await, [5, 4]);
    let now = "SELECT COUNT(*) FROM outbox
        WHERE id = 2 AND state = 'waiting' AND attempts = 0 AND next_attempt_at = 1795466185000000 AND finished_at IS NULL";
    assert_eq!(number(&panel.panel.db, now).await, 1, "at once, with a fresh count");
    assert_eq!(panel.delete("root", "/api/notifications/dead?channel=telegram").await.ok(), json!({"count": 0}));
    execute(&panel.panel.db, MANY_DEAD).await;
    assert_eq!(panel.post("root", "/api/notifications/retry", Value::Null).await.ok(), json!({"count": 4_502}));
    assert!(listed("state=dead").await.is_empty());
    execute(&panel.panel.db, "UPDATE outbox SET state = 'dead', finished_at = 5 WHERE id > 3").await;
    assert_eq!(panel.delete("root", "/api/notifications/dead").await.ok(), json!({"count": 4_502}));
    assert_eq!(listed("").await, [3, 2, 1], "others stay");
    panel.post("root", "/api/notifications/retry?channel=mail", Value::Null).await.wrong_fields(&["channel"]);
    panel.delete("root", "/api/notifications/dead?channel=mail").await.wrong_fields(&["channel"]);
}

async fn notification_is_deleted_in_any_state(db: Db) {
    execute(&db, ENTRIES).await;
    let panel = TestPanel::start(db).await;
    for id in 1..=3 {
        let path = format!("/api/notifications/{id}");
        assert_eq!(panel.delete("root", &path).await.ok(), json!({}));
        panel.delete("root", &path).await.refused(404);
    }
    assert_eq!(panel.get("root", "/api/notifications").await.ok()["total"], json!(0));
    panel.delete("root", "/api/notifications/x").await.wrong_fields(&["id"]);
}

async fn notifications_are_for_sudo_admins_only(db: Db) {
    let panel = TestPanel::start(db).await;
    panel.insert_admin("alice", false).await;
    panel.get("alice", "/api/notifications").await.refused(403);
    panel.post("alice", "/api/notifications/1/retry", Value::Null).await.refused(403);
}
