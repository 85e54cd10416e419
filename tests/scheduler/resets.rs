//! Used traffic is reset to zero at the end of its period, once, even when the leader is late.

use sarban::domain::moment::{DAY, Moment};
use sarban::domain::schedule::Task;
use sarban::store::Db;

use crate::scheduler::task::Leader;
use crate::support::database::{execute, number, on_both_engines};

on_both_engines!(
    reset_strategy_decides_the_days_of_a_reset,
    reset_missed_for_weeks_is_done_once,
    limited_user_is_reactivated_unless_another_reason_remains,
    many_due_users_are_reset_in_one_run
);

/// Users 1 to 5: no_reset, day, week, month, year; created at 0, each with 7 bytes.
async fn five_users(db: &Db) {
    execute(
        db,
        "INSERT INTO users (id, username, key, expire_strategy, created_at) VALUES (1, 'a', 'a', 'never', 0),
            (2, 'b', 'b', 'never', 0), (3, 'c', 'c', 'never', 0), (4, 'd', 'd', 'never', 0), (5, 'e', 'e', 'never', 0)",
    )
    .await;
    execute(
        db,
        "INSERT INTO user_traffic (user_id, used_traffic, lifetime_used_traffic, data_limit_reset_strategy, created_at)
         VALUES (1, 7, 7, 'no_reset', 0), (2, 7, 7, 'day', 0), (3, 7, 7, 'week', 0), (4, 7, 7, 'month', 0), (5, 7, 7, 'year', 0)",
    )
    .await;
}

const fn days(days: i64) -> Moment {
    Moment::from_micros(days * DAY)
}

async fn reset_strategy_decides_the_days_of_a_reset(db: Db) {
    five_users(&db).await;
    let mut leader = Leader::new(&db).await;
    assert_eq!(
        leader.run(Task::ResetUserDataUsage, days(1).plus(-1)).await.unwrap(),
        0,
        "a user was reset before a full day"
    );
    let used = "SELECT COUNT(*) FROM user_traffic WHERE used_traffic > 0";
    let mut left = Vec::new();
    for day in [1, 6, 7, 29, 30, 364, 365] {
        leader.run(Task::ResetUserDataUsage, days(day)).await.unwrap();
        left.push(number(&db, used).await);
    }
    assert_eq!(left, [4, 4, 3, 3, 2, 2, 1]);
    assert_eq!(number(&db, "SELECT CAST(SUM(lifetime_used_traffic) AS BIGINT) FROM user_traffic").await, 35);
    assert_eq!(number(&db, "SELECT COUNT(*) FROM user_change").await, 0, "users are marked as changed for the nodes");
}

async fn reset_missed_for_weeks_is_done_once(db: Db) {
    five_users(&db).await;
    let mut leader = Leader::new(&db).await;
    assert_eq!(
        leader.run(Task::ResetUserDataUsage, days(20)).await.unwrap(),
        2,
        "not the users with a daily and a weekly reset"
    );
    execute(&db, "UPDATE user_traffic SET used_traffic = 9 WHERE user_id IN (2, 3)").await;
    assert_eq!(leader.run(Task::ResetUserDataUsage, days(20).plus(1)).await.unwrap(), 0, "missed resets were repeated");
    assert_eq!(number(&db, "SELECT traffic_reset_at FROM user_traffic WHERE user_id = 3").await, 20 * DAY);
    assert_eq!(
        leader.run(Task::ResetUserDataUsage, days(21)).await.unwrap(),
        1,
        "the period does not start at the last reset"
    );
    assert_eq!(leader.run(Task::ResetUserDataUsage, days(27)).await.unwrap(), 2);
}

async fn limited_user_is_reactivated_unless_another_reason_remains(db: Db) {
    execute(
        &db,
        "INSERT INTO users (id, username, key, expire_strategy, expire_date, enabled, activated, removed, created_at) VALUES
            (1, 'limited', 'a', 'never', NULL, TRUE, FALSE, FALSE, 0),
            (2, 'expired', 'b', 'fixed_date', 5, TRUE, FALSE, FALSE, 0),
            (3, 'disabled', 'c', 'never', NULL, FALSE, FALSE, FALSE, 0),
            (4, NULL, 'd', 'never', NULL, TRUE, FALSE, TRUE, 0),
            (5, 'not_yet_processed', 'e', 'never', NULL, TRUE, TRUE, FALSE, 0)",
    )
    .await;
    execute(
        &db,
        "INSERT INTO user_traffic (user_id, data_limit, used_traffic, data_limit_reset_strategy, created_at)
         SELECT id, 10, 11, 'day', 0 FROM users",
    )
    .await;
    let mut leader = Leader::new(&db).await;
    assert_eq!(leader.run(Task::ResetUserDataUsage, days(1)).await.unwrap(), 5);
    assert_eq!(number(&db, "SELECT COUNT(*) FROM users WHERE id IN (1, 5) AND activated = TRUE").await, 2);
    assert_eq!(number(&db, "SELECT COUNT(*) FROM users WHERE activated = TRUE").await, 2);
    assert_eq!(
        number(&db, "SELECT user_id FROM user_change").await,
        1,
        "not only the reactivated user is marked as changed"
    );
}

async fn many_due_users_are_reset_in_one_run(db: Db) {
    execute(
        &db,
        "WITH RECURSIVE n (id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n WHERE id < 1201)
        INSERT INTO users (id, username, key, expire_strategy, created_at) SELECT id, 'u' || id, 'k' || id, 'never', 0 FROM n",
    )
    .await;
    execute(
        &db,
        "INSERT INTO user_traffic (user_id, used_traffic, data_limit_reset_strategy, created_at) SELECT id, 5, 'day', 0 FROM users",
    )
    .await;
    let mut leader = Leader::new(&db).await;
    assert_eq!(leader.run(Task::ResetUserDataUsage, days(1)).await.unwrap(), 1_201);
    assert_eq!(leader.run(Task::ResetUserDataUsage, days(1)).await.unwrap(), 0);
}
