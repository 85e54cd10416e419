//! The edit lock of a node while the database does not answer.

use sarban::clock::Clock;
use sarban::domain::ids::NodeId;
use sarban::domain::moment::SECOND;
use sarban::nodes::edit_lock::EditLock;
use sarban::store::Db;

use crate::nodes::panel::sql;
use crate::support::database::{TestDatabase, on_both_engines};

on_both_engines! {
    lock_counts_as_held_for_a_time_without_the_database,
    lock_that_another_holder_took_is_not_held,
}

async fn lock_counts_as_held_for_a_time_without_the_database(test: TestDatabase) {
    let clock = Clock::fixed(Clock::real().now());
    let other = Db::open(&test.options).await.expect("a database");
    let lock = EditLock::take(&other, &clock, NodeId(1)).await.unwrap().expect("nobody else has it");
    clock.advance(20 * SECOND);
    assert!(lock.is_held().await, "and renewed");
    other.close().await;
    clock.advance(24 * SECOND);
    assert!(lock.is_held().await, "nobody can have taken it");
    clock.advance(2 * SECOND);
    assert!(!lock.is_held().await, "another panel may take it soon");
}

async fn lock_that_another_holder_took_is_not_held(db: Db) {
    let clock = Clock::real();
    let lock = EditLock::take(&db, &clock, NodeId(1)).await.unwrap().expect("nobody else has it");
    assert!(EditLock::take(&db, &clock, NodeId(1)).await.unwrap().is_none());
    sql(&db, "UPDATE node_edit SET held_until = 5").await;
    let next = EditLock::take(&db, &clock, NodeId(1)).await.unwrap().expect("the lock has expired");
    assert!(!lock.is_held().await);
    let mut tx = db.begin().await.unwrap();
    assert!(!lock.hold(&mut tx).await.unwrap());
    assert!(next.hold(&mut tx).await.unwrap());
    tx.rollback().await.unwrap();
}
