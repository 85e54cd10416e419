//! `/api/notifications`: the outbox, newest first, and retrying undelivered notifications.

use sarban::store::Db;
use serde_json::{Value, json};

use crate::api::panel::TestPanel;
use crate::support::database::{execute, number, on_both_engines};

on_both_engines! {
    notifications_are_listed_newest_first_and_filtered,
    undelivered_notification_is_retried_at_once_and_delivered_one_is_not,
    notifications_are_for_sudo_admins_only,
}

/// A delivered, a dead and a waiting notification, ids 1 to 3.
const ENTRIES: &str = r#"
    INSERT INTO outbox (channel, recipient, cause, action, user_id, payload, created_at, state, attempts, next_attempt_at,
                        finished_at, error, keep_until) VALUES
        ('webhook', '', 'a', 'user_created', 7, '{"action": "user_created"}', 1000000, 'delivered', 1, 1000000, 2000000, NULL, 9),
        ('telegram', '-5', 'b', 'user_deleted', 7, '{}', 1000000, 'dead', 3, 1000000, 3000000, 'the answer was 500', 9),
        ('webhook', '', 'c', 'user_updated', 8, '{}', 1000000, 'waiting', 1, 4000000, NULL, 'the answer was 500', 9)"#;

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

async fn notifications_are_for_sudo_admins_only(db: Db) {
    let panel = TestPanel::start(db).await;
    panel.insert_admin("alice", false).await;
    panel.get("alice", "/api/notifications").await.refused(403);
    panel.post("alice", "/api/notifications/1/retry", Value::Null).await.refused(403);
}
