//! Notifications that tasks enter, once per occasion.

use std::path::Path;

use sarban::domain::ids::{NodeId, UserId};
use sarban::domain::moment::{DAY, HOUR, Moment, SECOND};
use sarban::domain::schedule::Task;
use sarban::domain::usage::UsageReply;
use sarban::store::Db;
use sarban::store::notify::outbox;
use sarban::store::notify::outbox::OutboxEntry;
use sarban::store::usage::batches;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::scheduler::task::{Leader, webhook};
use crate::support::database::{execute, number, on_both_engines};

on_both_engines!(
    passed_percentage_is_notified_once_per_period,
    deactivation_enters_a_notification_in_its_transaction,
    days_left_are_notified_once_per_date_even_when_late,
    tasks_agree_with_the_old_panel
);

const AT: Moment = Moment::from_micros(500_000 * HOUR);

/// Undelivered outbox entries with their payloads, oldest first.
async fn due_entries(db: &Db) -> Vec<(OutboxEntry, Value)> {
    let mut entries = outbox::due(db, &webhook(), Moment::MAX, 1_000).await.unwrap();
    entries.sort_unstable_by_key(|entry| entry.id);
    entries.into_iter().map(|entry| (entry.clone(), serde_json::from_str(&entry.payload).unwrap())).collect()
}

/// Marks all entries as delivered, so that later entries are new.
async fn deliver(db: &Db) {
    execute(db, "UPDATE outbox SET state = 'delivered', finished_at = 0").await;
}

async fn record_usage(db: &Db, leader: &mut Leader, at: Moment, bytes: u64) {
    let reply = UsageReply::new(NodeId(1), at, 1.0, [(UserId(1), bytes), (UserId(2), bytes)]);
    batches::stage(db, Uuid::now_v7(), &reply).await.unwrap();
    leader.run(Task::RecordUserUsages, at).await.unwrap();
}

async fn passed_percentage_is_notified_once_per_period(db: Db) {
    execute(
        &db,
        "INSERT INTO users (id, username, key, expire_strategy, created_at) VALUES (1, 'ann', 'a', 'never', 0), (2, 'ben', 'b', 'never', 0)",
    )
    .await;
    execute(
        &db,
        "INSERT INTO user_traffic (user_id, data_limit, used_traffic, lifetime_used_traffic, created_at)
         VALUES (1, 100, 70, 500, 0), (2, NULL, 70, 500, 0)",
    )
    .await;
    let mut leader = Leader::with_notifications(&db).await;
    record_usage(&db, &mut leader, AT, 10).await;
    assert_eq!(due_entries(&db).await.len(), 0, "exactly 80 percent is notified");
    record_usage(&db, &mut leader, AT.plus(1), 5).await;
    let (entry, payload) = due_entries(&db).await.pop().expect("one entry");
    assert_eq!((entry.action.as_str(), entry.user_id), ("reached_usage_percent", 1));
    assert_eq!(payload["user"]["used_traffic"], json!(85));
    assert_eq!(
        payload["user"]["lifetime_used_traffic"],
        json!(510),
        "the payload has the lifetime usage of a later moment"
    );
    assert_eq!(payload.get("by"), None);
    deliver(&db).await;
    record_usage(&db, &mut leader, AT.plus(2), 5).await;
    assert_eq!(due_entries(&db).await.len(), 0, "the same occasion is notified twice");
    // Usage read before a reset does not count towards the period after the reset.
    execute(&db, "UPDATE user_traffic SET used_traffic = 0, traffic_reset_at = 1800000000000010 WHERE user_id = 1")
        .await;
    record_usage(&db, &mut leader, AT.plus(9), 90).await;
    assert_eq!(due_entries(&db).await.len(), 0);
    record_usage(&db, &mut leader, AT.plus(11), 90).await;
    assert_eq!(due_entries(&db).await.len(), 1, "no notification after the reset");
}

async fn deactivation_enters_a_notification_in_its_transaction(db: Db) {
    execute(
        &db,
        "INSERT INTO users (id, username, key, expire_strategy, expire_date, created_at) VALUES
            (1, 'ann', 'a', 'fixed_date', 5, 0), (2, 'ben', 'b', 'never', NULL, 0)",
    )
    .await;
    execute(&db, "INSERT INTO user_traffic (user_id, created_at) SELECT id, 0 FROM users").await;
    let mut leader = Leader::with_notifications(&db).await;
    leader.run(Task::ReviewUsers, AT).await.unwrap();
    leader.run(Task::ReviewUsers, AT.plus(SECOND)).await.unwrap();
    let entries = due_entries(&db).await;
    assert_eq!(entries.len(), 1);
    let (entry, payload) = &entries[0];
    assert_eq!((entry.action.as_str(), entry.user_id), ("user_deactivated", 1));
    assert_eq!((&payload["user"]["activated"], &payload["user"]["expired"]), (&json!(false), &json!(true)));
    assert_eq!(payload.get("by"), Some(&Value::Null));
    deliver(&db).await;
    // A later deactivation of the same user is another occasion.
    execute(&db, "UPDATE users SET activated = TRUE").await;
    leader.run(Task::ReviewUsers, AT.plus(2 * SECOND)).await.unwrap();
    assert_eq!(due_entries(&db).await.len(), 1);
}

async fn days_left_are_notified_once_per_date_even_when_late(db: Db) {
    // Expiry: in 4 days, in 3 days (created long ago), in 3 days (edited since), in 2.5 days, in 1 day.
    let text = format!(
        "INSERT INTO users (id, username, key, expire_strategy, expire_date, edit_at, created_at) VALUES
            (1, 'four', 'a', 'fixed_date', {four}, NULL, 0), (2, 'three', 'b', 'fixed_date', {three}, NULL, 0),
            (3, 'edited', 'c', 'fixed_date', {edited}, {now}, 0), (4, 'missed', 'd', 'fixed_date', {missed}, NULL, 0),
            (5, 'long_missed', 'e', 'fixed_date', {one}, NULL, 0), (6, 'limited', 'f', 'fixed_date', {three}, NULL, 0)",
        four = AT.plus(4 * DAY).micros(),
        three = AT.plus(3 * DAY).micros(),
        edited = AT.plus(3 * DAY - HOUR).micros(),
        now = AT.plus(-SECOND).micros(),
        missed = AT.plus(5 * DAY / 2).micros(),
        one = AT.plus(DAY).micros(),
    );
    execute(&db, text.leak()).await;
    execute(&db, "INSERT INTO user_traffic (user_id, created_at) SELECT id, 0 FROM users").await;
    execute(&db, "UPDATE user_traffic SET data_limit = 5, used_traffic = 5 WHERE user_id = 6").await;
    let mut leader = Leader::new(&db).await;
    assert_eq!(leader.run(Task::ExpireDaysReached, AT).await.unwrap(), 0, "entries without a target");
    let mut leader = Leader::with_notifications(&db).await;
    assert_eq!(leader.run(Task::ExpireDaysReached, AT).await.unwrap(), 2);
    let entries = due_entries(&db).await;
    assert_eq!(entries.iter().map(|(entry, _)| entry.user_id).collect::<Vec<_>>(), [2, 4]);
    assert_eq!(entries[0].1["action"], json!("reached_days_left"));
    assert_eq!(
        leader.run(Task::ExpireDaysReached, AT.plus(30 * SECOND)).await.unwrap(),
        0,
        "the same occasion is notified twice"
    );
    deliver(&db).await;
    assert_eq!(
        leader.run(Task::ExpireDaysReached, AT.plus(60 * SECOND)).await.unwrap(),
        0,
        "a delivered occasion is notified again"
    );
    assert_eq!(
        leader.run(Task::ExpireDaysReached, AT.plus(DAY)).await.unwrap(),
        1,
        "the user with 4 days left is not notified a day later"
    );
    // Another expiry date is another occasion.
    let later = format!("UPDATE users SET expire_date = {} WHERE id = 2", AT.plus(9 * DAY).micros());
    execute(&db, later.leak()).await;
    assert_eq!(leader.run(Task::ExpireDaysReached, AT.plus(6 * DAY)).await.unwrap(), 1);
}

/// Users of the recording `tasks.json`, with the columns that tasks read, and the results of the old panel. With
/// `SARBAN_CONTRACT_DIR` the numbers are also checked against the recording.
async fn tasks_agree_with_the_old_panel(db: Db) {
    let text = format!(
        "INSERT INTO users (id, username, key, expire_strategy, expire_date, usage_duration, activated, created_at) VALUES
            (7, 'expired2', 'e', 'fixed_date', {past}, NULL, TRUE, 0),
            (8, 'onhold', 'o', 'start_on_first_use', NULL, 2592000, TRUE, 0),
            (14, 'resetday', 'r', 'never', NULL, NULL, TRUE, 0),
            (17, 'tzz', 't', 'never', NULL, NULL, TRUE, 0),
            (23, 'alice_u1', 'a', 'never', NULL, NULL, TRUE, 0)",
        past = AT.plus(-HOUR).micros()
    );
    execute(&db, text.leak()).await;
    execute(&db, "INSERT INTO user_traffic (user_id, created_at) SELECT id, 1800000000000000 FROM users").await;
    execute(
        &db,
        "UPDATE user_traffic SET data_limit = 1073741824, data_limit_reset_strategy = 'day' WHERE user_id = 14",
    )
    .await;
    let replies = [
        UsageReply::new(NodeId(1), AT, 1.0, [(UserId(8), 1_000), (UserId(14), 943_718_400), (UserId(23), 5)]),
        UsageReply::new(NodeId(2), AT, 2.5, [(UserId(17), 3), (UserId(23), 10)]),
    ];
    for reply in &replies {
        batches::stage(&db, Uuid::now_v7(), reply).await.unwrap();
    }
    let mut leader = Leader::with_notifications(&db).await;
    leader.run(Task::RecordUserUsages, AT).await.unwrap();
    leader.run(Task::RecordUserUsages, AT.plus(HOUR)).await.unwrap();
    let used: Vec<(&str, &str)> = vec![
        ("onhold", "SELECT used_traffic FROM user_traffic WHERE user_id = 8"),
        ("resetday", "SELECT used_traffic FROM user_traffic WHERE user_id = 14"),
        ("tzz", "SELECT used_traffic FROM user_traffic WHERE user_id = 17"),
        ("alice_u1", "SELECT used_traffic FROM user_traffic WHERE user_id = 23"),
    ];
    let mut sums = Vec::new();
    for (name, text) in used {
        sums.push((name, number(&db, text).await));
    }
    assert_eq!(sums, [("onhold", 1_000), ("resetday", 943_718_400), ("tzz", 7), ("alice_u1", 30)]);
    let nodes = [
        number(&db, "SELECT downlink FROM node_usage_hours WHERE node_id = 1").await,
        number(&db, "SELECT downlink FROM node_usage_hours WHERE node_id = 2").await,
    ];
    assert_eq!(nodes, [943_719_405, 13], "usage of nodes includes the coefficient");
    assert_eq!(number(&db, "SELECT counted FROM user_usage_hours WHERE user_id = 23 AND node_id = 2").await, 25);
    let actions = |entries: &[(OutboxEntry, Value)]| -> Vec<(String, i64)> {
        entries.iter().map(|(entry, _)| (entry.action.clone(), entry.user_id)).collect()
    };
    assert_eq!(actions(&due_entries(&db).await), [("reached_usage_percent".to_owned(), 14)]);
    deliver(&db).await;

    let review = AT.plus(SECOND);
    assert_eq!(leader.run(Task::ReviewUsers, review).await.unwrap(), 2);
    assert_eq!(leader.run(Task::ReviewUsers, review).await.unwrap(), 0);
    assert_eq!(actions(&due_entries(&db).await), [("user_deactivated".to_owned(), 7)]);
    assert_eq!(
        number(&db, "SELECT user_id FROM user_change").await,
        7,
        "not only the deactivated user is marked as changed"
    );
    let end = number(&db, "SELECT expire_date FROM users WHERE id = 8 AND expire_strategy = 'fixed_date'").await;
    assert_eq!(end, review.plus(30 * DAY).micros());

    assert_eq!(leader.run(Task::ResetUserDataUsage, review).await.unwrap(), 0, "a user was reset too early");
    execute(&db, "UPDATE user_traffic SET used_traffic = 1073741825 WHERE user_id = 14").await;
    execute(&db, "UPDATE users SET activated = FALSE WHERE id = 14").await;
    assert_eq!(leader.run(Task::ResetUserDataUsage, AT.plus(DAY)).await.unwrap(), 1);
    let back = "SELECT u.id FROM users u JOIN user_traffic t ON t.user_id = u.id WHERE u.activated = TRUE AND t.used_traffic = 0 AND t.traffic_reset_at IS NOT NULL";
    assert_eq!(number(&db, back).await, 14);
    assert_eq!(number(&db, "SELECT COUNT(*) FROM user_change WHERE user_id = 14").await, 1);

    #[expect(clippy::disallowed_methods, reason = "only this test reads the variable")]
    match std::env::var_os("SARBAN_CONTRACT_DIR") {
        Some(root) => assert_agrees_with_recording(&Path::new(&root).join("corpus/tasks.json"), &sums, nodes),
        None => println!("skipped: SARBAN_CONTRACT_DIR is not set"),
    }
}

fn assert_agrees_with_recording(path: &Path, sums: &[(&str, i64)], nodes: [i64; 2]) {
    let recorded: Value = serde_json::from_slice(&std::fs::read(path).expect("the recording")).expect("JSON");
    let run = &recorded[0];
    let changes = run["user_changes"].as_object().expect("users");
    assert_eq!(changes.len(), sums.len());
    for (name, used) in sums {
        assert_eq!(changes[*name]["used_traffic"][1], json!(used), "{name}");
    }
    for row in run["new_usage_rows"]["node_usages"].as_array().expect("rows") {
        let node = usize::try_from(row["node_id"].as_u64().expect("an id")).expect("small");
        assert_eq!(row["downlink"], json!(nodes[node - 1]));
    }
    let count = |nth: usize| recorded[nth]["notifications"].as_array().expect("notifications").len();
    assert_eq!((count(0), count(1), count(2)), (1, 1, 0), "the recording has another number of notifications");
}
