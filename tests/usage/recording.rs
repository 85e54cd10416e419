//! Usage accounting: each byte counts once, also for repeated, late and unassignable batches.

use sarban::domain::ids::{NodeId, UserId};
use sarban::domain::moment::{HOUR, Moment};
use sarban::domain::usage::UsageReply;
use sarban::store::usage::batches;
use sarban::store::usage::batches::{oldest_applied, oldest_staged, stage};
use sarban::store::usage::hours::fold;
use sarban::store::usage::totals::{Applied, ApplyOptions, Outcome, apply};
use sarban::store::{Db, Engine, Tx};
use sqlx::query_scalar;
use uuid::Uuid;

use crate::support::database::{Content, execute, number, on_both_engines, with_database};

on_both_engines!(
    batch_staged_twice_counts_once,
    batch_is_applied_and_folded_once,
    bytes_of_deleted_users_count_for_the_node_and_are_reported,
    batch_fetched_before_a_reset_adds_to_the_lifetime_only,
    large_reply_is_staged_in_parts,
    replies_of_one_moment_are_applied_together_and_no_others,
    batches_folded_together_are_of_one_node_and_hour,
    batch_without_node_hours_charges_only_users,
    absurd_numbers_break_neither_the_batch_nor_the_row
);

/// Otherwise each recording would write to all indexes of the table and take three times as long.
#[test]
fn recording_on_postgresql_writes_to_no_index() {
    const HOT: &str = "SELECT pg_stat_get_xact_tuples_hot_updated('user_traffic'::REGCLASS)";
    with_database(Engine::Postgres, Content::Schema, async |test| {
        execute(
            &test.db,
            "INSERT INTO users (id, username, key, expire_strategy, created_at)
             SELECT id, 'user' || id, 'key' || id, 'never', 0 FROM generate_series(1, 1000) AS id;
             INSERT INTO user_traffic
                (user_id, data_limit, used_traffic, online_at, data_limit_reset_strategy, created_at)
             SELECT id, 50000000001, id * 50000000 - 20000000, 1, 'month', 0 FROM users",
        )
        .await;
        let entries: Vec<(i64, u64)> = (1..=1_000).map(|user| (user, 100_000)).collect();
        stage(&test.db, Uuid::from_u128(1), &reply(1.0, &entries)).await.unwrap();
        let batches = oldest_staged(&test.db).await.unwrap().batches;
        let mut tx = test.db.begin().await.unwrap();
        apply(&mut tx, &batches, ApplyOptions { node_hours: true, notify_percent: None }, AT).await.unwrap();
        let Tx::Pg(inside) = &mut tx else { panic!("PostgreSQL") };
        let hot = query_scalar::<_, i64>(HOT).fetch_one(&mut *inside).await.unwrap();
        tx.commit().await.unwrap();
        assert!(hot >= 950, "only {hot} of 1000 rows were updated without an index write");
    });
}

const AT: Moment = Moment::from_micros(500_000 * HOUR + 1_000_000);

async fn two_users(db: &Db) {
    execute(db, "INSERT INTO users (id, username, key, expire_strategy, created_at) VALUES (1, 'ann', 'a', 'never', 0), (2, 'ben', 'b', 'never', 0)").await;
    execute(db, "INSERT INTO user_traffic (user_id, created_at) VALUES (1, 0), (2, 0)").await;
}

fn reply(coefficient: f64, entries: &[(i64, u64)]) -> UsageReply {
    UsageReply::new(NodeId(7), AT, coefficient, entries.iter().map(|(user, bytes)| (UserId(*user), *bytes)))
}

/// Applies the oldest staged batches, as many as belong to one transaction.
async fn apply_next(db: &Db, node_hours: bool) -> Vec<Applied> {
    let waiting = oldest_staged(db).await.unwrap();
    assert_eq!(waiting.damaged, []);
    let mut tx = db.begin().await.unwrap();
    let options = ApplyOptions { node_hours, notify_percent: None };
    let outcome = apply(&mut tx, &waiting.batches, options, AT).await.unwrap();
    assert_eq!(
        apply(&mut tx, &waiting.batches, options, AT).await.unwrap(),
        Outcome::default(),
        "repeating has an effect"
    );
    tx.commit().await.unwrap();
    outcome.applied
}

/// Folds the oldest applied batches, as many as belong to one transaction; returns their number.
async fn fold_next(db: &Db) -> usize {
    let waiting = oldest_applied(db, AT).await.unwrap();
    let mut tx = db.begin().await.unwrap();
    let folded = fold(&mut tx, &waiting.batches, true, AT).await.unwrap();
    assert_eq!(folded, waiting.batches.len());
    assert_eq!(fold(&mut tx, &waiting.batches, true, AT).await.unwrap(), 0, "repeating has an effect");
    tx.commit().await.unwrap();
    folded
}

const fn applied(users: usize, bytes: i64, unknown: i64) -> Applied {
    Applied { node: NodeId(7), bytes, users, unknown }
}

async fn batch_staged_twice_counts_once(db: Db) {
    two_users(&db).await;
    let id = Uuid::from_u128(1);
    assert!(stage(&db, id, &reply(1.0, &[(1, 10)])).await.unwrap());
    assert!(!stage(&db, id, &reply(1.0, &[(1, 10)])).await.unwrap());
    assert_eq!(apply_next(&db, true).await.len(), 1);
    assert!(!stage(&db, id, &reply(1.0, &[(1, 10)])).await.unwrap(), "an applied batch was staged again");
    assert_eq!(apply_next(&db, true).await, []);
    assert_eq!(number(&db, "SELECT used_traffic FROM user_traffic WHERE user_id = 1").await, 10);
}

async fn batch_is_applied_and_folded_once(db: Db) {
    two_users(&db).await;
    for n in 0..3 {
        stage(&db, Uuid::from_u128(n), &reply(2.5, &[(1, 11), (2, 100)])).await.unwrap();
        assert_eq!(apply_next(&db, true).await, [applied(2, 111, 0)]);
    }
    assert_eq!(number(&db, "SELECT used_traffic FROM user_traffic WHERE user_id = 1").await, 3 * 27);
    assert_eq!(number(&db, "SELECT lifetime_used_traffic FROM user_traffic WHERE user_id = 2").await, 3 * 250);
    let of_users = number(&db, "SELECT CAST(SUM(lifetime_used_traffic) AS BIGINT) FROM user_traffic").await;
    let of_owners = number(&db, "SELECT CAST(SUM(traffic) AS BIGINT) FROM owner_totals").await;
    assert_eq!(of_owners, of_users, "the sums of owners differ");
    assert_eq!(number(&db, "SELECT online_at FROM user_traffic WHERE user_id = 2").await, AT.micros());
    assert_eq!(number(&db, "SELECT downlink FROM node_usage_hours WHERE node_id = 7").await, 333);
    assert_eq!(number(&db, "SELECT counted FROM node_usage_hours WHERE node_id = 7").await, 3 * 277);
    assert_eq!(fold_next(&db).await, 3, "the batches of one node and hour are not folded together");
    assert_eq!(number(&db, "SELECT counted FROM user_usage_hours WHERE user_id = 1 AND node_id = 7").await, 3 * 27);
    assert_eq!(number(&db, "SELECT hour FROM user_usage_hours WHERE user_id = 1").await, AT.hour().micros());
    assert_eq!(number(&db, "SELECT COUNT(*) FROM usage_batch WHERE state = 'folded'").await, 3);
    let mut tx = db.begin().await.unwrap();
    assert_eq!(batches::drop_payloads(&mut tx, AT.plus(1), 2).await.unwrap(), 2);
    assert_eq!(batches::drop_payloads(&mut tx, AT.plus(1), 2).await.unwrap(), 1);
    assert_eq!(batches::forget(&mut tx, AT, 2).await.unwrap(), 0);
    tx.commit().await.unwrap();
    assert_eq!(number(&db, "SELECT COUNT(*) FROM usage_batch WHERE payload IS NULL").await, 3);
}

async fn bytes_of_deleted_users_count_for_the_node_and_are_reported(db: Db) {
    two_users(&db).await;
    stage(&db, Uuid::from_u128(1), &reply(1.0, &[(1, 10), (99, 5), (100, 6)])).await.unwrap();
    let mut other = reply(1.0, &[(2, 1)]);
    other.node = NodeId(8);
    stage(&db, Uuid::from_u128(2), &other).await.unwrap();
    let of_other = Applied { node: NodeId(8), ..applied(1, 1, 0) };
    assert_eq!(apply_next(&db, true).await, [applied(1, 21, 11), of_other], "unknown bytes are not counted per node");
    assert_eq!(number(&db, "SELECT unknown_bytes FROM usage_batch WHERE node_id = 7").await, 11);
    assert_eq!(number(&db, "SELECT unknown_bytes FROM usage_batch WHERE node_id = 8").await, 0);
    assert_eq!(number(&db, "SELECT downlink FROM node_usage_hours WHERE node_id = 7").await, 21);
}

async fn batch_fetched_before_a_reset_adds_to_the_lifetime_only(db: Db) {
    two_users(&db).await;
    execute(
        &db,
        "UPDATE user_traffic SET traffic_reset_at = 1800000001000001, online_at = 1900000000000000 WHERE user_id = 1",
    )
    .await;
    assert_eq!(AT.micros(), 1_800_000_001_000_000);
    stage(&db, Uuid::from_u128(1), &reply(1.0, &[(1, 10), (2, 10)])).await.unwrap();
    assert_eq!(apply_next(&db, true).await.len(), 1);
    assert_eq!(number(&db, "SELECT used_traffic FROM user_traffic WHERE user_id = 1").await, 0);
    assert_eq!(number(&db, "SELECT lifetime_used_traffic FROM user_traffic WHERE user_id = 1").await, 10);
    assert_eq!(number(&db, "SELECT used_traffic FROM user_traffic WHERE user_id = 2").await, 10);
    assert_eq!(number(&db, "SELECT online_at FROM user_traffic WHERE user_id = 1").await, 1_900_000_000_000_000);
}

async fn large_reply_is_staged_in_parts(db: Db) {
    let entries: Vec<(i64, u64)> = (1..=110_000).map(|user| (user, 3)).collect();
    stage(&db, Uuid::from_u128(1), &reply(1.0, &entries)).await.unwrap();
    let parts = if db.engine() == Engine::Sqlite { 6 } else { 3 };
    assert_eq!(number(&db, "SELECT COUNT(*) FROM usage_batch").await, parts);
    for _ in 0..parts {
        assert_eq!(apply_next(&db, true).await.len(), 1);
    }
    assert_eq!(apply_next(&db, true).await, []);
    assert_eq!(number(&db, "SELECT downlink FROM node_usage_hours").await, 330_000);
}

async fn replies_of_one_moment_are_applied_together_and_no_others(db: Db) {
    two_users(&db).await;
    // Ben's traffic was reset between the two moments.
    execute(&db, "UPDATE user_traffic SET traffic_reset_at = 1800000001000001 WHERE user_id = 2").await;
    for (n, node, later) in [(1, 1, 0), (2, 2, 0), (3, 1, 2), (4, 2, 2), (5, 3, 2)] {
        let at = AT.plus(later);
        let entries = [(UserId(1), 10), (UserId(2), 100)];
        stage(&db, Uuid::from_u128(n), &UsageReply::new(NodeId(node), at, 1.0, entries)).await.unwrap();
    }
    assert_eq!(apply_next(&db, true).await.len(), 2);
    assert_eq!(apply_next(&db, true).await.len(), 3);
    assert_eq!(apply_next(&db, true).await, []);
    assert_eq!(number(&db, "SELECT used_traffic FROM user_traffic WHERE user_id = 1").await, 50);
    assert_eq!(number(&db, "SELECT used_traffic FROM user_traffic WHERE user_id = 2").await, 300);
    assert_eq!(number(&db, "SELECT lifetime_used_traffic FROM user_traffic WHERE user_id = 2").await, 500);
    assert_eq!(number(&db, "SELECT online_at FROM user_traffic WHERE user_id = 2").await, AT.micros() + 2);
    assert_eq!(number(&db, "SELECT downlink FROM node_usage_hours WHERE node_id = 1").await, 220);
    assert_eq!(number(&db, "SELECT counted FROM node_usage_hours WHERE node_id = 3").await, 110);
}

async fn batches_folded_together_are_of_one_node_and_hour(db: Db) {
    two_users(&db).await;
    for (n, node, at) in [(1, 1, AT.plus(-HOUR)), (2, 1, AT.plus(-1)), (3, 1, AT), (4, 2, AT)] {
        stage(&db, Uuid::from_u128(n), &UsageReply::new(NodeId(node), at, 1.0, [(UserId(1), 10)])).await.unwrap();
        apply_next(&db, true).await;
    }
    assert_eq!((fold_next(&db).await, fold_next(&db).await, fold_next(&db).await), (1, 2, 1));
    assert_eq!(fold_next(&db).await, 0);
    assert_eq!(number(&db, "SELECT COUNT(*) FROM user_usage_hours").await, 3);
    assert_eq!(number(&db, "SELECT MAX(counted) FROM user_usage_hours WHERE node_id = 1").await, 20);
}

async fn batch_without_node_hours_charges_only_users(db: Db) {
    two_users(&db).await;
    stage(&db, Uuid::from_u128(1), &reply(1.0, &[(1, 10)])).await.unwrap();
    assert_eq!(apply_next(&db, false).await.len(), 1);
    assert_eq!(number(&db, "SELECT COUNT(*) FROM node_usage_hours").await, 0);
    assert_eq!(number(&db, "SELECT used_traffic FROM user_traffic WHERE user_id = 1").await, 10);
}

async fn absurd_numbers_break_neither_the_batch_nor_the_row(db: Db) {
    two_users(&db).await;
    execute(&db, "UPDATE user_traffic SET lifetime_used_traffic = 9000000000000000000 WHERE user_id = 1").await;
    for n in 1..=2 {
        stage(&db, Uuid::from_u128(n), &reply(1e18, &[(1, u64::MAX), (2, 1)])).await.unwrap();
        assert_eq!(apply_next(&db, true).await.len(), 1);
    }
    let many: Vec<(i64, u64)> = (3..20_000).map(|user| (user, u64::MAX)).collect();
    for n in 3..=4 {
        stage(&db, Uuid::from_u128(n), &reply(1.0, &many)).await.unwrap();
        assert_eq!(apply_next(&db, true).await.len(), 1);
    }
    assert_eq!(number(&db, "SELECT downlink FROM node_usage_hours").await, 9_000_000_000_000_000_000);
    while fold_next(&db).await > 0 {}
    let lifetime = number(&db, "SELECT lifetime_used_traffic FROM user_traffic WHERE user_id = 1").await;
    assert_eq!(lifetime, 9_000_000_000_000_000_000, "the sum does not saturate below the limit of 64 bits");
    assert_eq!(number(&db, "SELECT used_traffic FROM user_traffic WHERE user_id = 2").await, 2 << 50);
}
