//! Cancelled futures: a cancelled statement or transaction leaves nothing on a connection that others get.

use std::pin::pin;
use std::time::Duration;

use futures_util::{FutureExt, poll};
use sarban::domain::moment::Moment;
use sarban::store::access::admins;
use sarban::store::{Db, Engine, OpenOptions};
use tokio::task::yield_now;
use tokio::time::{Instant, sleep};

use crate::support::database::{execute, number, on_both_engines};

on_both_engines!(
    empty cancelled_begin_leaves_no_open_transaction,
    cancelled_statement_leaves_no_answer_behind,
);

async fn cancelled_begin_leaves_no_open_transaction(options: OpenOptions) {
    let db = Db::open(&OpenOptions { connections: 2, ..options.clone() }).await.unwrap();
    execute(&db, "CREATE TABLE t (a INTEGER)").await;
    let others = Db::open(&options).await.unwrap();
    for polls in [1, 2, 3, 4, 2, 1] {
        // Some are cancelled before they are sent, some before they are answered.
        let (mut one, mut two) = (pin!(db.begin().fuse()), pin!(db.begin().fuse()));
        for _ in 0..polls {
            drop((poll!(&mut one), poll!(&mut two)));
            yield_now().await;
        }
    }
    if db.engine() == Engine::Postgres {
        const OPEN: &str = "SELECT COUNT(*) FROM pg_stat_activity
            WHERE datname = current_database() AND state LIKE 'idle in transaction%' AND pid <> pg_backend_pid()";
        // The server takes a moment to notice that a connection was closed.
        let limit = Instant::now() + Duration::from_secs(20);
        while number(&others, OPEN).await > 0 {
            assert!(Instant::now() < limit, "a transaction stays open");
            sleep(Duration::from_millis(20)).await;
        }
    }
    for _ in 0..4 {
        execute(&db, "INSERT INTO t VALUES (1)").await;
    }
    assert_eq!(number(&db, "SELECT COUNT(*) FROM t").await, 4);
    db.close().await;
    others.close().await;
}

async fn cancelled_statement_leaves_no_answer_behind(options: OpenOptions) {
    let db = Db::open(&OpenOptions { connections: 2, ..options }).await.unwrap();
    let names = ["a", "b", "c", "d"];
    let mut tx = db.begin().await.unwrap();
    for name in names {
        admins::insert(&mut tx, name, "", false, Moment::from_micros(1)).await.unwrap();
    }
    tx.commit().await.unwrap();
    for round in 0..24_usize {
        {
            // Some are cancelled before they are sent, some before they are answered.
            let mut called_off = pin!(admins::by_username(&db, "a").fuse());
            for _ in 0..round % 6 {
                drop(poll!(&mut called_off));
                yield_now().await;
            }
        }
        let name = names[round % names.len()];
        let found = admins::by_username(&db, name).await.unwrap().unwrap();
        assert_eq!(found.username, name, "round {round}");
    }
    db.close().await;
}
