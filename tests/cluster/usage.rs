//! Usage accounting: each byte once, whatever comes twice, late or for nobody.

use sarban::domain::ids::{NodeId, UserId};
use sarban::domain::moment::{HOUR, Moment};
use sarban::domain::usage::UsageReply;
use sarban::store::usage_batches::{self, Applied, apply, fold, oldest_applied, oldest_staged, stage};
use sarban::store::{Db, Engine};
use uuid::Uuid;

use crate::support::database::{execute, number, on_both_engines};

on_both_engines!(
    a_batch_staged_twice_counts_once,
    a_batch_is_applied_and_folded_once,
    bytes_of_users_that_are_gone_count_for_the_node_and_are_told,
    a_batch_fetched_before_a_reset_adds_to_the_lifetime_only,
    a_large_reply_goes_in_parts_on_sqlite,
    without_node_hours_only_users_are_charged,
    absurd_numbers_break_neither_the_batch_nor_the_row
);

const AT: Moment = Moment::from_micros(500_000 * HOUR + 1_000_000);

async fn two_users(db: &Db) {
    execute(db, "INSERT INTO users (id, username, key, expire_strategy, created_at) VALUES (1, 'ann', 'a', 'never', 0), (2, 'ben', 'b', 'never', 0)").await;
    execute(db, "INSERT INTO user_traffic (user_id, created_at) VALUES (1, 0), (2, 0)").await;
}

fn reply(coefficient: f64, entries: &[(i64, u64)]) -> UsageReply {
    UsageReply::new(NodeId(7), AT, coefficient, entries.iter().map(|(user, bytes)| (UserId(*user), *bytes)))
}

async fn apply_next(db: &Db, node_hours: bool) -> Option<Applied> {
    let batch = oldest_staged(db).await.unwrap()?;
    let mut tx = db.begin().await.unwrap();
    let applied = apply(&mut tx, &batch, node_hours, AT).await.unwrap();
    assert_eq!(apply(&mut tx, &batch, node_hours, AT).await.unwrap(), None, "twice is once");
    tx.commit().await.unwrap();
    applied
}

async fn fold_next(db: &Db) -> bool {
    let Some(batch) = oldest_applied(db, AT).await.unwrap() else { return false };
    let mut tx = db.begin().await.unwrap();
    assert!(fold(&mut tx, &batch, true, AT).await.unwrap());
    assert!(!fold(&mut tx, &batch, true, AT).await.unwrap(), "twice is once");
    tx.commit().await.unwrap();
    true
}

async fn a_batch_staged_twice_counts_once(db: Db) {
    two_users(&db).await;
    let id = Uuid::from_u128(1);
    assert!(stage(&db, id, &reply(1.0, &[(1, 10)])).await.unwrap());
    assert!(!stage(&db, id, &reply(1.0, &[(1, 10)])).await.unwrap());
    assert!(apply_next(&db, true).await.is_some());
    assert!(!stage(&db, id, &reply(1.0, &[(1, 10)])).await.unwrap(), "a replay after it was applied");
    assert!(apply_next(&db, true).await.is_none());
    assert_eq!(number(&db, "SELECT used_traffic FROM user_traffic WHERE user_id = 1").await, 10);
}

async fn a_batch_is_applied_and_folded_once(db: Db) {
    two_users(&db).await;
    for n in 0..3 {
        stage(&db, Uuid::from_u128(n), &reply(2.5, &[(1, 11), (2, 100)])).await.unwrap();
        assert_eq!(apply_next(&db, true).await, Some(Applied { users: 2, bytes: 111, unknown: 0 }));
    }
    assert_eq!(number(&db, "SELECT used_traffic FROM user_traffic WHERE user_id = 1").await, 3 * 27);
    assert_eq!(number(&db, "SELECT lifetime_used_traffic FROM user_traffic WHERE user_id = 2").await, 3 * 250);
    assert_eq!(number(&db, "SELECT online_at FROM user_traffic WHERE user_id = 2").await, AT.micros());
    assert_eq!(number(&db, "SELECT downlink FROM node_usage_hours WHERE node_id = 7").await, 333);
    assert_eq!(number(&db, "SELECT counted FROM node_usage_hours WHERE node_id = 7").await, 3 * 277);
    while fold_next(&db).await {}
    assert_eq!(number(&db, "SELECT counted FROM user_usage_hours WHERE user_id = 1 AND node_id = 7").await, 3 * 27);
    assert_eq!(number(&db, "SELECT hour FROM user_usage_hours WHERE user_id = 1").await, AT.hour().micros());
    assert_eq!(number(&db, "SELECT COUNT(*) FROM usage_batch WHERE state = 'folded'").await, 3);
    let mut tx = db.begin().await.unwrap();
    usage_batches::prune(&mut tx, AT.plus(1), AT).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(number(&db, "SELECT COUNT(*) FROM usage_batch WHERE payload IS NULL").await, 3);
}

async fn bytes_of_users_that_are_gone_count_for_the_node_and_are_told(db: Db) {
    two_users(&db).await;
    stage(&db, Uuid::from_u128(1), &reply(1.0, &[(1, 10), (99, 5), (100, 6)])).await.unwrap();
    assert_eq!(apply_next(&db, true).await, Some(Applied { users: 1, bytes: 21, unknown: 11 }));
    assert_eq!(number(&db, "SELECT unknown_bytes FROM usage_batch").await, 11);
    assert_eq!(number(&db, "SELECT downlink FROM node_usage_hours").await, 21);
}

async fn a_batch_fetched_before_a_reset_adds_to_the_lifetime_only(db: Db) {
    two_users(&db).await;
    execute(
        &db,
        "UPDATE user_traffic SET traffic_reset_at = 1800000001000001, online_at = 1900000000000000 WHERE user_id = 1",
    )
    .await;
    assert_eq!(AT.micros(), 1_800_000_001_000_000);
    stage(&db, Uuid::from_u128(1), &reply(1.0, &[(1, 10), (2, 10)])).await.unwrap();
    apply_next(&db, true).await.expect("applied");
    assert_eq!(number(&db, "SELECT used_traffic FROM user_traffic WHERE user_id = 1").await, 0);
    assert_eq!(number(&db, "SELECT lifetime_used_traffic FROM user_traffic WHERE user_id = 1").await, 10);
    assert_eq!(number(&db, "SELECT used_traffic FROM user_traffic WHERE user_id = 2").await, 10);
    assert_eq!(number(&db, "SELECT online_at FROM user_traffic WHERE user_id = 1").await, 1_900_000_000_000_000);
}

async fn a_large_reply_goes_in_parts_on_sqlite(db: Db) {
    let entries: Vec<(i64, u64)> = (1..=45_000).map(|user| (user, 3)).collect();
    stage(&db, Uuid::from_u128(1), &reply(1.0, &entries)).await.unwrap();
    let parts = if db.engine() == Engine::Sqlite { 3 } else { 1 };
    assert_eq!(number(&db, "SELECT COUNT(*) FROM usage_batch").await, parts);
    let mut bytes = 0;
    while let Some(applied) = apply_next(&db, true).await {
        bytes += applied.bytes;
    }
    assert_eq!(bytes, 135_000);
    assert_eq!(number(&db, "SELECT downlink FROM node_usage_hours").await, 135_000);
}

async fn without_node_hours_only_users_are_charged(db: Db) {
    two_users(&db).await;
    stage(&db, Uuid::from_u128(1), &reply(1.0, &[(1, 10)])).await.unwrap();
    apply_next(&db, false).await.expect("applied");
    assert_eq!(number(&db, "SELECT COUNT(*) FROM node_usage_hours").await, 0);
    assert_eq!(number(&db, "SELECT used_traffic FROM user_traffic WHERE user_id = 1").await, 10);
}

async fn absurd_numbers_break_neither_the_batch_nor_the_row(db: Db) {
    two_users(&db).await;
    execute(&db, "UPDATE user_traffic SET lifetime_used_traffic = 9000000000000000000 WHERE user_id = 1").await;
    stage(&db, Uuid::from_u128(1), &reply(1e18, &[(1, u64::MAX), (2, 1)])).await.unwrap();
    apply_next(&db, true).await.expect("applied");
    let lifetime = number(&db, "SELECT lifetime_used_traffic FROM user_traffic WHERE user_id = 1").await;
    assert_eq!(lifetime, 9_000_000_000_000_000_000, "the sum stops near the end of 64 bits, and is still an integer");
    assert_eq!(number(&db, "SELECT used_traffic FROM user_traffic WHERE user_id = 2").await, 1 << 50);
}
