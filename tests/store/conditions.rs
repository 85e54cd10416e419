//! States of a PostgreSQL server: none is a bug, and each ends without a new pool.

use std::time::Duration;

use sarban::domain::moment::Moment;
use sarban::store::access::admins;
use sarban::store::{Condition, Db, Engine, Fault, OpenOptions, StoreError, clock};
use tokio::time::{Instant, sleep};

use crate::support::database::{Content, TestDatabase, execute, with_database};

const LIMIT: Duration = Duration::from_secs(5);

async fn add_admin(db: &Db, name: &str) -> Result<(), StoreError> {
    let mut tx = db.begin().await?;
    admins::insert(&mut tx, name, "", false, Moment::from_micros(1)).await?;
    tx.commit().await
}

/// Ends the sessions of the pool that is tested.
const END_SESSIONS: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'sarban-test-state'";

fn options(options: &OpenOptions) -> OpenOptions {
    OpenOptions { application_name: "sarban-test-state".to_owned(), connections: 3, ..options.clone() }
}

/// Waits for a statement that succeeds; every failure before is the database's state.
async fn works_again(db: &Db) {
    let began = Instant::now();
    while let Err(error) = clock::now(db).await {
        assert!(matches!(error.fault(), Fault::Unavailable(_)), "{error:?}");
        assert!(began.elapsed() < LIMIT, "{error:?}");
        sleep(Duration::from_millis(20)).await;
    }
}

#[test]
fn sessions_opened_while_the_database_was_read_only_are_not_used_afterwards() {
    with_database(Engine::Postgres, Content::Schema, async |TestDatabase { db: other, options: test }| {
        let db = Db::open(&options(&test)).await.expect("it opens");
        let switch = async |setting: &'static str| {
            execute(&other, setting).await;
            execute(&other, END_SESSIONS).await;
        };
        switch(
            "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = on', current_database()); END $$",
        )
        .await;
        works_again(&db).await;
        for name in ["one", "two", "three", "four"] {
            let refused = add_admin(&db, name).await.expect_err("the database is read-only");
            assert_eq!(refused.fault(), Fault::Unavailable(Condition::ReadOnly));
        }
        assert_eq!(db.condition(), Some(Condition::ReadOnly), "known without a probe");
        db.probe(LIMIT).await.expect("it answers");
        assert_eq!(db.condition(), Some(Condition::ReadOnly));
        // Opened by reads, these sessions don't know yet that they can't write.
        for held in futures_util::future::join_all((0..3).map(|_| db.begin())).await {
            held.expect("a connection").rollback().await.expect("it works");
        }

        execute(
            &other,
            "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I RESET default_transaction_read_only', current_database()); END $$",
        )
        .await;
        db.probe(LIMIT).await.expect("it answers");
        let began = Instant::now();
        let mut refused = 0;
        while add_admin(&db, "five").await.is_err() {
            refused += 1;
            assert!(refused <= 1, "a session of the read-only time was used {refused} times");
            assert!(began.elapsed() < LIMIT);
        }
        db.probe(LIMIT).await.expect("it answers");
        assert_eq!(db.condition(), None);
        db.close().await;
    });
}

#[test]
fn ended_sessions_and_missing_tables_are_unavailable_and_come_back() {
    with_database(Engine::Postgres, Content::Schema, async |TestDatabase { db: other, options: test }| {
        let db = Db::open(&options(&test)).await.expect("it opens");
        execute(&other, END_SESSIONS).await;
        works_again(&db).await;
        execute(&other, "ALTER TABLE admins RENAME TO taken_away").await;
        let refused = add_admin(&db, "ann").await.expect_err("the table is missing");
        assert_eq!(refused.fault(), Fault::Unavailable(Condition::Missing));
        execute(&other, "ALTER TABLE taken_away RENAME TO admins").await;
        add_admin(&db, "ann").await.expect("the table is back");
        db.close().await;
    });
}

#[test]
fn statement_cancelled_by_the_server_leaves_its_connection_usable() {
    with_database(Engine::Postgres, Content::Schema, async |TestDatabase { options: test, .. }| {
        let db = Db::open(&OpenOptions { connections: 1, ..options(&test) }).await.expect("it opens");
        let Db::Pg(pool) = &db else { panic!("PostgreSQL") };
        let backend = async || {
            sqlx::query_scalar::<_, i32>("SELECT pg_backend_pid()").fetch_one(pool.for_statement("a test")).await
        };
        let before = backend().await.expect("it answers");
        sqlx::raw_sql("SET statement_timeout = 50").execute(pool.for_statement("a test")).await.expect("it is set");
        let cancelled = sqlx::raw_sql("SELECT pg_sleep(5)")
            .execute(pool.for_statement("a test"))
            .await
            .expect_err("it takes too long");
        assert_eq!(cancelled.as_database_error().and_then(|error| error.code()).as_deref(), Some("57014"));
        assert_eq!(backend().await.expect("it answers"), before);
        db.close().await;
    });
}
