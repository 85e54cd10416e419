//! Decisions of the task `review_users`.

use sarban::domain::moment::{Moment, SECOND};
use sarban::domain::schedule::Task;
use sarban::store::users::review;
use sarban::store::users::review::{Search, find};
use sarban::store::{Db, IdList};

use crate::scheduler::task::Leader;
use crate::support::database::{execute, number, on_both_engines};

on_both_engines!(
    only_expired_limited_and_disabled_users_are_deactivated,
    on_hold_user_starts_with_first_use_or_deadline,
    user_changed_since_the_search_is_left_unchanged,
    many_due_users_are_deactivated_in_one_run
);

const NOW: Moment = Moment::from_micros(1_000 * SECOND);

async fn only_expired_limited_and_disabled_users_are_deactivated(db: Db) {
    execute(
        &db,
        "INSERT INTO users (id, username, key, expire_strategy, expire_date, enabled, activated, created_at) VALUES
            (1, 'fine', 'a', 'never', NULL, TRUE, TRUE, 0),
            (2, 'expired', 'b', 'fixed_date', 999999999, TRUE, TRUE, 0),
            (3, 'expiring', 'c', 'fixed_date', 1000000001, TRUE, TRUE, 0),
            (4, 'disabled', 'd', 'never', NULL, FALSE, TRUE, 0),
            (5, 'used_up', 'e', 'never', NULL, TRUE, TRUE, 0),
            (6, 'processed_already', 'f', 'never', NULL, FALSE, FALSE, 0)",
    )
    .await;
    execute(
        &db,
        "INSERT INTO user_traffic (user_id, data_limit, used_traffic, created_at) VALUES
            (1, 10, 9, 0), (2, NULL, 0, 0), (3, NULL, 0, 0), (4, NULL, 0, 0), (5, 10, 10, 0), (6, 10, 10, 0)",
    )
    .await;
    let mut leader = Leader::new(&db).await;
    assert_eq!(leader.run(Task::ReviewUsers, NOW).await.unwrap(), 3);
    assert_eq!(leader.run(Task::ReviewUsers, NOW).await.unwrap(), 0, "a second run changes users");
    assert_eq!(number(&db, "SELECT COUNT(*) FROM users WHERE id IN (1, 3) AND activated = TRUE").await, 2);
    assert_eq!(number(&db, "SELECT COUNT(*) FROM users WHERE activated = TRUE").await, 2);
    assert_eq!(
        number(&db, "SELECT COUNT(*) FROM user_change WHERE user_id IN (2, 4, 5)").await,
        3,
        "deactivated users are not marked as changed"
    );
    assert_eq!(number(&db, "SELECT COUNT(*) FROM user_change").await, 3, "another user is marked as changed");
}

async fn on_hold_user_starts_with_first_use_or_deadline(db: Db) {
    execute(
        &db,
        "INSERT INTO users (id, username, key, expire_strategy, usage_duration, activation_deadline, edit_at, created_at, enabled) VALUES
            (1, 'waiting', 'a', 'start_on_first_use', 100, NULL, NULL, 50, TRUE),
            (2, 'seen', 'b', 'start_on_first_use', 100, NULL, NULL, 50, TRUE),
            (3, 'seen_before_the_edit', 'c', 'start_on_first_use', 100, NULL, 70, 50, TRUE),
            (4, 'deadline', 'd', 'start_on_first_use', 100, 1000000000, NULL, 50, TRUE),
            (5, 'disabled', 'e', 'start_on_first_use', 100, NULL, NULL, 50, FALSE),
            (6, 'used_up', 'f', 'start_on_first_use', 100, NULL, NULL, 50, TRUE)",
    )
    .await;
    execute(
        &db,
        "INSERT INTO user_traffic (user_id, online_at, data_limit, used_traffic, created_at) VALUES
            (1, 49, NULL, 0, 50), (2, 60, NULL, 0, 50), (3, 60, NULL, 0, 50), (4, NULL, NULL, 0, 50), (5, 60, NULL, 0, 50),
            (6, 60, 10, 10, 50)",
    )
    .await;
    execute(&db, "UPDATE users SET activated = FALSE WHERE id IN (5, 6)").await;
    let mut leader = Leader::new(&db).await;
    assert_eq!(leader.run(Task::ReviewUsers, NOW).await.unwrap(), 2);
    assert_eq!(leader.run(Task::ReviewUsers, NOW.plus(1)).await.unwrap(), 0, "an on-hold user was started twice");
    let started = "SELECT COUNT(*) FROM users WHERE id IN (2, 4) AND expire_strategy = 'fixed_date' AND expire_date = 1100000000 AND usage_duration = 100";
    assert_eq!(number(&db, started).await, 2);
    assert_eq!(number(&db, "SELECT COUNT(*) FROM users WHERE expire_strategy = 'start_on_first_use'").await, 4);
    assert_eq!(number(&db, "SELECT COUNT(*) FROM user_change").await, 0, "started users are marked as changed");
}

async fn user_changed_since_the_search_is_left_unchanged(db: Db) {
    execute(
        &db,
        "INSERT INTO users (id, username, key, expire_strategy, expire_date, usage_duration, created_at) VALUES
            (1, 'expired', 'a', 'fixed_date', 1, NULL, 0), (2, 'seen', 'b', 'start_on_first_use', NULL, 100, 50)",
    )
    .await;
    execute(&db, "INSERT INTO user_traffic (user_id, online_at, created_at) VALUES (1, NULL, 0), (2, 60, 50)").await;
    let expired = find(&db, Search::Expired, NOW).await.unwrap();
    let started = find(&db, Search::ALL[3], NOW).await.unwrap();
    assert_eq!((expired.as_slice(), started.as_slice()), (&[1][..], &[2][..]));
    // Meanwhile an admin extends the first user and edits the second.
    execute(&db, "UPDATE users SET expire_date = 2000000000 WHERE id = 1").await;
    execute(&db, "UPDATE users SET edit_at = 70 WHERE id = 2").await;
    let mut tx = db.begin().await.unwrap();
    assert_eq!(review::deactivate(&mut tx, &expired, NOW).await.unwrap(), IdList::new([]));
    assert_eq!(review::start_on_hold(&mut tx, &started, NOW).await.unwrap(), IdList::new([]));
    tx.commit().await.unwrap();
}

async fn many_due_users_are_deactivated_in_one_run(db: Db) {
    execute(
        &db,
        "WITH RECURSIVE n (id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n WHERE id < 1201)
        INSERT INTO users (id, username, key, expire_strategy, expire_date, created_at)
        SELECT id, 'u' || id, 'k' || id, CASE WHEN id <= 600 THEN 'never' ELSE 'fixed_date' END,
            CASE WHEN id <= 600 THEN NULL ELSE 1 END, 0 FROM n",
    )
    .await;
    execute(
        &db,
        "INSERT INTO user_traffic (user_id, data_limit, used_traffic, created_at) SELECT id, 10, CASE WHEN id <= 600 THEN 10 ELSE 0 END, 0 FROM users",
    )
    .await;
    let mut leader = Leader::new(&db).await;
    assert_eq!(leader.run(Task::ReviewUsers, NOW).await.unwrap(), 1_201);
    assert_eq!(number(&db, "SELECT COUNT(*) FROM users WHERE activated = TRUE").await, 0);
}
