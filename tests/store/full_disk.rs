//! A full disk under SQLite: the transaction fails, and the next one is not affected.

use sarban::domain::moment::Moment;
use sarban::store::access::admins;
use sarban::store::{Condition, Db, Engine, StoreError, Tx};
use sqlx::raw_sql;

use crate::support::database::{Content, TestDatabase, execute, number, with_database};

/// Inserts more than a file that may not grow has space for. SQLite rolls such a transaction back by itself.
async fn fill(db: &Db) -> Result<(), StoreError> {
    db.transaction("fill", async |tx| {
        if let Tx::Lite { tx, .. } = &mut *tx {
            // SQLite takes the present size if it is larger.
            raw_sql("PRAGMA max_page_count = 1").execute(&mut **tx).await.expect("the limit is set");
        }
        admins::insert(tx, "ann", &"x".repeat(1_000_000), false, Moment::from_micros(1)).await.map(drop)
    })
    .await
}

#[test]
fn transaction_after_one_that_failed_on_a_full_disk_succeeds() {
    with_database(Engine::Sqlite, Content::Schema, async |TestDatabase { db, .. }| {
        execute(&db, "CREATE TABLE t (a INTEGER)").await;
        for written in 1..=3 {
            let error = fill(&db).await.expect_err("the file is full");
            assert_eq!(error.condition(), Some(Condition::DiskFull), "{error:?}");
            execute(&db, "INSERT INTO t VALUES (1)").await;
            assert_eq!(number(&db, "SELECT COUNT(*) FROM t").await, written);
        }
        assert_eq!(number(&db, "SELECT COUNT(*) FROM admins").await, 0);
    });
}
