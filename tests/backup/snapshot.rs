//! A back-up shows one moment, and nobody waits for it.

use futures_util::StreamExt;
use sarban::store::Db;
use sarban::store::backup::{Tuples, rows, schema_version, tables};

use crate::support::database::{execute, number, on_both_engines};

on_both_engines!(writes_during_a_back_up_are_not_in_it);

async fn writes_during_a_back_up_are_not_in_it(db: Db) {
    let user = |id: i64| {
        format!(
            "INSERT INTO users (id, key, expire_strategy, created_at) VALUES ({id}, 'key-{id}', 'never', 5);
             INSERT INTO user_traffic (user_id, created_at) VALUES ({id}, 5)"
        )
    };
    execute(&db, &user(1)).await;
    let mut tx = db.begin_snapshot().await.expect("a snapshot");
    schema_version(&mut tx).await.expect("the first statement");
    // Writers go on, before each table and in the midst of it.
    execute(&db, &user(2)).await;
    let (found, _) = tables(&mut tx, &["users", "user_traffic"]).await.expect("tables");
    for (table, next) in found.iter().zip(3..) {
        let mut runs = rows(&mut tx, table);
        let run = runs.next().await.expect("a run").expect("rows");
        execute(&db, &user(next)).await;
        assert!(runs.next().await.is_none());
        assert_eq!(Tuples::new(&run).count(), 1, "{}", table.name);
    }
    tx.rollback().await.expect("ended");
    assert_eq!(number(&db, "SELECT COUNT(*) FROM users").await, 4);
}
