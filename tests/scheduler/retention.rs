//! Old hours of usage are rolled up to days, and the totals do not change.

use sarban::domain::ids::{AdminId, NodeId, UserId};
use sarban::domain::moment::{DAY, HOUR, Moment};
use sarban::domain::schedule::Task;
use sarban::domain::usage_series::Span;
use sarban::store::Db;
use sarban::store::nodes;
use sarban::store::usage::days;
use sarban::store::usage::series::{self, Unfolded};

use crate::scheduler::task::Leader;
use crate::support::database::{execute, number, on_both_engines};

on_both_engines!(
    old_hours_become_days_and_totals_stay,
    roll_up_in_chunks_adds_up_with_late_hours,
    hours_without_a_retention_stay,
    series_show_days_after_a_roll_up,
    node_without_a_sync_is_connected_again,
    interrupted_deletion_of_a_node_is_finished,
    answers_to_changes_of_many_users_are_remembered_for_a_day,
    used_challenges_are_remembered_until_they_are_over,
    gone_edges_and_old_batches_are_forgotten
);

/// 3 users on 2 nodes, each hour of the first 3 days; the bytes of an hour are its index.
async fn three_days(db: &Db) {
    execute(
        db,
        "WITH RECURSIVE h (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM h WHERE n < 71),
            u (id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM u WHERE id < 3)
        INSERT INTO user_usage_hours (user_id, hour, node_id, counted)
        SELECT u.id, h.n * 3600000000, node.id, h.n FROM h, u, (SELECT 1 AS id UNION ALL SELECT 2) AS node",
    )
    .await;
    execute(
        db,
        "INSERT INTO node_usage_hours (node_id, hour, uplink, downlink, counted)
        SELECT node_id, hour, 1, 2 * SUM(counted), SUM(counted) FROM user_usage_hours GROUP BY node_id, hour",
    )
    .await;
}

async fn old_hours_become_days_and_totals_stay(db: Db) {
    three_days(&db).await;
    let mut leader = Leader::with_retention(&db, Some(60)).await;
    // Two days ended more than 60 days ago, the third one not.
    leader.run(Task::Prune, Moment::from_micros(62 * DAY + 5 * HOUR)).await.unwrap();
    assert_eq!(number(&db, "SELECT COUNT(*) FROM user_usage_hours").await, 24 * 6);
    assert_eq!(number(&db, "SELECT MIN(hour) FROM user_usage_hours").await, 2 * DAY);
    assert_eq!(number(&db, "SELECT COUNT(*) FROM user_usage_days").await, 2 * 6);
    let second = "SELECT counted FROM user_usage_days WHERE user_id = 3 AND node_id = 2 AND day = 86400000000";
    assert_eq!(number(&db, second).await, (24..48).sum::<i64>());
    let all = "SELECT CAST((SELECT SUM(counted) FROM user_usage_hours) + (SELECT SUM(counted) FROM user_usage_days) AS BIGINT)";
    assert_eq!(number(&db, all).await, 6 * (0..72).sum::<i64>());
    assert_eq!(number(&db, "SELECT COUNT(*) FROM node_usage_hours").await, 24 * 2);
    let node = "SELECT downlink * 1000 + uplink FROM node_usage_days WHERE node_id = 1 AND day = 86400000000";
    assert_eq!(number(&db, node).await, 2 * 3 * (24..48).sum::<i64>() * 1_000 + 24);
    leader.run(Task::Prune, Moment::from_micros(62 * DAY + 5 * HOUR)).await.unwrap();
    assert_eq!(number(&db, all).await, 6 * (0..72).sum::<i64>(), "a second run changes the totals");
}

async fn roll_up_in_chunks_adds_up_with_late_hours(db: Db) {
    three_days(&db).await;
    let before = Moment::from_micros(DAY);
    let roll_up = async |limit| {
        let mut tx = db.begin().await.unwrap();
        let days = days::roll_up_users(&mut tx, before, limit).await.unwrap();
        tx.commit().await.unwrap();
        days
    };
    while roll_up(7).await > 0 {}
    let first = "SELECT counted FROM user_usage_days WHERE user_id = 2 AND node_id = 1 AND day = 0";
    assert_eq!(number(&db, first).await, (0..24).sum::<i64>());
    // A process was offline for long and delivers the usage that it had spooled.
    execute(&db, "INSERT INTO user_usage_hours (user_id, hour, node_id, counted) VALUES (2, 3600000000, 1, 1000)")
        .await;
    assert_eq!(roll_up(7).await, 1);
    assert_eq!(number(&db, first).await, (0..24).sum::<i64>() + 1_000);
    assert_eq!(number(&db, "SELECT COUNT(*) FROM user_usage_hours").await, 48 * 6);
}

async fn hours_without_a_retention_stay(db: Db) {
    three_days(&db).await;
    let mut leader = Leader::with_retention(&db, None).await;
    leader.run(Task::Prune, Moment::from_micros(10_000 * DAY)).await.unwrap();
    assert_eq!(number(&db, "SELECT COUNT(*) FROM user_usage_hours").await, 72 * 6);
    assert_eq!(number(&db, "SELECT COUNT(*) FROM node_usage_hours").await, 72 * 2);
}

async fn series_show_days_after_a_roll_up(db: Db) {
    three_days(&db).await;
    execute(
        &db,
        "INSERT INTO admins (id, username, hashed_password, is_sudo, created_at) VALUES (1, 'root', '', TRUE, 0);
         INSERT INTO users (id, username, key, owner_id, expire_strategy, created_at)
         VALUES (1, 'ann', 'a', 1, 'never', 0), (2, 'ben', 'b', 1, 'never', 0), (3, 'cyd', 'c', NULL, 'never', 0)",
    )
    .await;
    execute(
        &db,
        "DELETE FROM nodes;
         INSERT INTO nodes (id, name, address, port, connection_backend, created_at) VALUES (2, 'two', 'two', 1, 'grpcio', 0)",
    )
    .await;
    let span = Span::new(Some(Moment::from_micros(0)), Some(Moment::from_micros(3 * DAY)), Moment::MIN).unwrap();
    let sums = async || {
        let sum = |hours: Vec<(Moment, i64)>| hours.iter().map(|(_, bytes)| bytes).sum::<i64>();
        let by_node = series::of_user_by_node(&db, UserId(1), span, Unfolded::Counts).await.unwrap();
        let named: Vec<bool> = by_node.iter().map(|node| node.node.is_some()).collect();
        assert_eq!(named, [true, false], "usage of deleted nodes is not last");
        [
            sum(series::of_user(&db, UserId(1), span, Unfolded::Counts).await.unwrap()),
            by_node.into_iter().map(|node| sum(node.hours)).sum(),
            sum(series::of_node(&db, NodeId(2), span).await.unwrap().unwrap()),
            sum(series::of_all(&db, span).await.unwrap()),
            sum(series::of_owner(&db, AdminId(1), span, Unfolded::Counts).await.unwrap()),
        ]
    };
    let before = sums().await;
    let each: i64 = (0..72).sum();
    assert_eq!(before, [2 * each, 2 * each, 3 * each, 6 * each, 4 * each]);
    let mut leader = Leader::with_retention(&db, Some(60)).await;
    leader.run(Task::Prune, Moment::from_micros(62 * DAY + HOUR)).await.unwrap();
    assert_eq!(number(&db, "SELECT COUNT(*) FROM user_usage_days").await, 12);
    assert_eq!(sums().await, before);
    let hours = series::of_user(&db, UserId(1), span, Unfolded::Counts).await.unwrap();
    let first: i64 = hours.iter().filter(|(hour, _)| hour.micros() == 0).map(|(_, bytes)| bytes).sum();
    assert_eq!(first, 2 * (0..24).sum::<i64>(), "the bytes of a day are not at its midnight");
}

async fn node_without_a_sync_is_connected_again(db: Db) {
    execute(
        &db,
        "INSERT INTO nodes (id, name, address, port, connection_backend, status, synced_at, created_at) VALUES
            (11, 'fine', 'a', 1, 'grpcio', 'healthy', 86399000000, 0), (12, 'stuck', 'b', 1, 'grpcio', 'healthy', 85000000000, 0),
            (13, 'away', 'c', 1, 'grpcio', 'unhealthy', 85000000000, 0), (14, 'off', 'd', 1, 'grpcio', 'disabled', 0, 0)",
    )
    .await;
    let mut leader = Leader::with_retention(&db, None).await;
    assert_eq!(leader.run(Task::SyncNodes, Moment::from_micros(DAY)).await.unwrap(), 1);
    assert_eq!(number(&db, "SELECT id FROM nodes WHERE sync_request IS NOT NULL").await, 12);
}

async fn interrupted_deletion_of_a_node_is_finished(db: Db) {
    execute(
        &db,
        "INSERT INTO inbounds (node_id, tag, protocol, config) SELECT id, 'tag', 'vmess', '{}' FROM nodes;
         INSERT INTO hosts (inbound_id, spec) SELECT id, '{}' FROM inbounds",
    )
    .await;
    let mut tx = db.begin().await.unwrap();
    assert!(nodes::hide(&mut tx, NodeId(1), Moment::from_micros(1)).await.unwrap());
    tx.commit().await.unwrap();
    let mut leader = Leader::with_retention(&db, None).await;
    leader.run(Task::Prune, Moment::from_micros(DAY)).await.unwrap();
    let left = "SELECT (SELECT COUNT(*) FROM nodes) + (SELECT COUNT(*) FROM inbounds) + (SELECT COUNT(*) FROM hosts)";
    assert_eq!(number(&db, left).await, 0);
}

async fn answers_to_changes_of_many_users_are_remembered_for_a_day(db: Db) {
    for (admin, at) in [(1, 5 * DAY), (2, 5 * DAY + HOUR), (3, 5 * DAY - 1)] {
        let key = if db.engine() == sarban::store::Engine::Sqlite { "x'00'" } else { "gen_random_uuid()" };
        let request = format!(
            "INSERT INTO bulk_request (admin_id, idempotency_key, fingerprint, created_at) VALUES ({admin}, {key}, '', {at})"
        );
        execute(&db, &request).await;
    }
    let mut leader = Leader::with_retention(&db, None).await;
    leader.run(Task::Prune, Moment::from_micros(6 * DAY)).await.unwrap();
    assert_eq!(number(&db, "SELECT CAST(SUM(admin_id) AS BIGINT) FROM bulk_request").await, 3, "those of the last day");
}

async fn used_challenges_are_remembered_until_they_are_over(db: Db) {
    let now = Moment::from_micros(62 * DAY + 5 * HOUR);
    for (id, expires_at) in [(1, now.plus(-HOUR - 1)), (2, now.plus(-HOUR)), (3, now)] {
        let id = format!("00000000-0000-0000-0000-00000000000{id}");
        let expires_at = expires_at.micros();
        execute(&db, &format!("INSERT INTO used_challenge (id, expires_at) VALUES ('{id}', {expires_at})")).await;
    }
    Leader::with_retention(&db, None).await.run(Task::Prune, now).await.unwrap();
    let left = "SELECT COUNT(*) * 1000000000000000000 + MIN(expires_at) FROM used_challenge";
    assert_eq!(number(&db, left).await, 2_000_000_000_000_000_000 + now.micros() - HOUR);
}

async fn gone_edges_and_old_batches_are_forgotten(db: Db) {
    let lite = db.engine() == sarban::store::Engine::Sqlite;
    for (id, at) in [(1, 39 * DAY), (2, 39 * DAY - 1), (3, 10 * DAY), (4, 10 * DAY - 1)] {
        let uuid = if lite { format!("x'0{id}'") } else { format!("'00000000-0000-0000-0000-00000000000{id}'") };
        let edge = format!(
            "INSERT INTO edge (id, host, version, started_at, last_seen, report) VALUES ({uuid}, '', '', 0, {at}, '{{}}')"
        );
        execute(&db, &edge).await;
        execute(&db, &format!("INSERT INTO edge_batch (id, received_at) VALUES ({uuid}, {at})")).await;
    }
    let mut leader = Leader::with_retention(&db, None).await;
    leader.run(Task::Prune, Moment::from_micros(40 * DAY)).await.unwrap();
    assert_eq!(number(&db, "SELECT COUNT(*) FROM edge").await, 1, "those that reported within a day");
    assert_eq!(number(&db, "SELECT COUNT(*) FROM edge_batch").await, 3, "those of a month");
}
