//! What `review_users` decides from the data.

use sarban::domain::moment::{Moment, SECOND};
use sarban::store::{Db, review};

use crate::support::database::{execute, number, on_both_engines};

on_both_engines!(who_ran_out_is_deactivated_and_nobody_else, on_hold_users_start_with_their_first_use_or_deadline);

const NOW: Moment = Moment::from_micros(1_000 * SECOND);

async fn who_ran_out_is_deactivated_and_nobody_else(db: Db) {
    execute(
        &db,
        "INSERT INTO users (id, username, key, expire_strategy, expire_date, enabled, activated, created_at) VALUES
            (1, 'fine', 'a', 'never', NULL, TRUE, TRUE, 0),
            (2, 'expired', 'b', 'fixed_date', 999999999, TRUE, TRUE, 0),
            (3, 'expiring', 'c', 'fixed_date', 1000000001, TRUE, TRUE, 0),
            (4, 'disabled', 'd', 'never', NULL, FALSE, TRUE, 0),
            (5, 'used_up', 'e', 'never', NULL, TRUE, TRUE, 0),
            (6, 'told_already', 'f', 'never', NULL, FALSE, FALSE, 0)",
    )
    .await;
    execute(
        &db,
        "INSERT INTO user_traffic (user_id, data_limit, used_traffic, created_at) VALUES
            (1, 10, 9, 0), (2, NULL, 0, 0), (3, NULL, 0, 0), (4, NULL, 0, 0), (5, 10, 10, 0), (6, 10, 10, 0)",
    )
    .await;
    let mut tx = db.begin().await.unwrap();
    let deactivated = review::deactivate(&mut tx, NOW).await.unwrap();
    assert_eq!(deactivated.as_slice(), [2, 4, 5]);
    assert!(review::deactivate(&mut tx, NOW).await.unwrap().is_empty(), "harmless to repeat");
    tx.commit().await.unwrap();
    assert_eq!(number(&db, "SELECT COUNT(*) FROM users WHERE activated = TRUE").await, 2);
}

async fn on_hold_users_start_with_their_first_use_or_deadline(db: Db) {
    execute(
        &db,
        "INSERT INTO users (id, username, key, expire_strategy, usage_duration, activation_deadline, edit_at, created_at, enabled) VALUES
            (1, 'waiting', 'a', 'start_on_first_use', 100, NULL, NULL, 50, TRUE),
            (2, 'seen', 'b', 'start_on_first_use', 100, NULL, NULL, 50, TRUE),
            (3, 'seen_before_the_edit', 'c', 'start_on_first_use', 100, NULL, 70, 50, TRUE),
            (4, 'deadline', 'd', 'start_on_first_use', 100, 1000000000, NULL, 50, TRUE),
            (5, 'disabled', 'e', 'start_on_first_use', 100, NULL, NULL, 50, FALSE)",
    )
    .await;
    execute(
        &db,
        "INSERT INTO user_traffic (user_id, online_at, created_at) VALUES
            (1, 49, 50), (2, 60, 50), (3, 60, 50), (4, NULL, 50), (5, 60, 50)",
    )
    .await;
    let mut tx = db.begin().await.unwrap();
    assert_eq!(review::start_on_hold(&mut tx, NOW).await.unwrap(), 2);
    assert_eq!(review::start_on_hold(&mut tx, NOW).await.unwrap(), 0, "harmless to repeat");
    tx.commit().await.unwrap();
    let started = "SELECT COUNT(*) FROM users WHERE id IN (2, 4) AND expire_strategy = 'fixed_date' AND expire_date = 1100000000 AND usage_duration = 100";
    assert_eq!(number(&db, started).await, 2);
    assert_eq!(number(&db, "SELECT COUNT(*) FROM users WHERE expire_strategy = 'start_on_first_use'").await, 3);
}
