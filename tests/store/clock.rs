//! The database's clock: it shows the time of day and advances inside a transaction.

use sarban::clock::Clock;
use sarban::domain::moment::SECOND;
use sarban::store::Db;
use sarban::store::clock;

use crate::support::database::on_both_engines;

on_both_engines! {
    now_is_the_time_of_day,
    now_advances_inside_a_transaction,
}

async fn now_is_the_time_of_day(db: Db) {
    // SQLite's clock has milliseconds, rounded.
    let before = Clock::real().now().plus(-SECOND);
    let now = clock::now(&db).await.unwrap();
    let after = Clock::real().now().plus(SECOND);
    assert!(before <= now && now <= after, "{before:?} {now:?} {after:?}");
}

async fn now_advances_inside_a_transaction(db: Db) {
    let tx = db.begin().await.unwrap();
    let first = clock::now(&db).await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    let second = clock::now(&db).await.unwrap();
    tx.rollback().await.unwrap();
    assert!(second.since(first) >= 15_000, "{first:?} {second:?}");
}
