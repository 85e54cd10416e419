//! Sums per owner are merged part by part, each part in a transaction of its own.

use sarban::store::access::quotas;
use sarban::store::users::owner_totals;
use sarban::store::{Db, Engine};

use crate::support::database::{Content, TestDatabase, execute, number, with_database};

const ROWS: &str = "SELECT (SELECT COUNT(*) FROM owner_totals) + (SELECT COUNT(*) FROM owner_moved_traffic)";
const SUM: &str = "SELECT CAST((SELECT SUM(owner_id * 1000 + users * 100 + traffic) FROM
        (SELECT owner_id, SUM(users) AS users, SUM(traffic) AS traffic FROM owner_totals
         GROUP BY owner_id HAVING SUM(users) <> 0 OR SUM(traffic) <> 0) AS t)
    + (SELECT SUM(owner_id * 1000 + traffic) FROM
        (SELECT owner_id, SUM(traffic) AS traffic FROM owner_moved_traffic GROUP BY owner_id HAVING SUM(traffic) <> 0) AS m)
    AS BIGINT)";

#[test]
fn each_part_leaves_fewer_rows_and_the_same_sums() {
    with_database(Engine::Postgres, Content::Schema, async |TestDatabase { db, .. }| {
        execute(
            &db,
            "DELETE FROM owner_totals; DELETE FROM owner_moved_traffic;
             INSERT INTO owner_totals (owner_id, users, traffic) VALUES
                 (5, 1, 10), (6, 1, 7), (5, 1, 11), (6, -1, 9), (5, 1, 12), (7, 2, 3), (7, -2, -3), (8, 4, 4);
             INSERT INTO owner_moved_traffic (owner_id, traffic) VALUES (5, 1), (6, 2), (5, 3), (6, 4), (8, 0)",
        )
        .await;
        let sum = number(&db, SUM).await;
        merge(&db, sum).await;
        assert_eq!(number(&db, "SELECT COUNT(*) FROM owner_totals").await, 3, "5, 6 and 8");
        assert_eq!(number(&db, "SELECT COUNT(*) FROM owner_moved_traffic").await, 2, "5 and 6");
    });
}

async fn merge(db: &Db, sum: i64) {
    for is_moved in [false, true] {
        let mut before = number(db, ROWS).await;
        loop {
            let mut tx = db.begin().await.unwrap();
            let merged = match is_moved {
                false => owner_totals::fold(&mut tx, 2).await.unwrap(),
                true => quotas::fold_moved(&mut tx, 2).await.unwrap(),
            };
            tx.commit().await.unwrap();
            let rows = number(db, ROWS).await;
            assert!(rows < before || merged < 2, "{merged} rows were merged of {before}, and {rows} are left");
            assert_eq!(number(db, SUM).await, sum);
            if merged < 2 {
                break;
            }
            before = rows;
        }
    }
}
