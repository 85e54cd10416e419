//! Opening a database that another process still uses, and connections after a restart of PostgreSQL.

use std::time::Duration;

use sarban::config::database_url::DatabaseUrl;
use sarban::store::{Db, Engine};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteLockingMode};
use sqlx::{ConnectOptions, Connection, raw_sql};

use crate::support::database::{Content, TestDatabase, execute, number, with_database};

/// As in a restart: the previous process is the last to close the file, which locks it.
#[test]
fn open_waits_for_a_file_that_is_being_closed() {
    with_database(Engine::Sqlite, Content::Empty, async |TestDatabase { db, options }| {
        db.close().await;
        let DatabaseUrl::Sqlite { path } = &options.url else { panic!("a database of SQLite") };
        let alone = SqliteConnectOptions::new()
            .filename(path)
            .journal_mode(SqliteJournalMode::Wal)
            .locking_mode(SqliteLockingMode::Exclusive);
        let mut alone = alone.connect().await.expect("no other process has the file open");
        raw_sql("CREATE TABLE t (a INTEGER)").execute(&mut alone).await.expect("it is writable");
        let opening = tokio::spawn(async move { Db::open(&options).await });
        tokio::time::sleep(Duration::from_millis(200)).await;
        alone.close().await.expect("it closes");
        let db = opening.await.expect("no panic").expect("it opens once it may");
        execute(&db, "INSERT INTO t VALUES (1)").await;
        db.close().await;
    });
}

/// As after a restart of PostgreSQL while the panel was idle: the next statement does not fail.
#[test]
fn idle_connections_that_were_lost_are_replaced() {
    with_database(Engine::Postgres, Content::Schema, async |TestDatabase { db, options }| {
        for _ in 0..3 {
            let readers = (0..4).map(|_| sarban::store::clock::now(&db));
            for read in futures_util::future::join_all(readers).await {
                read.expect("it reads");
            }
            tokio::time::sleep(Duration::from_millis(300)).await;
            let other = Db::open(&options).await.expect("a pool of its own");
            execute(
                &other,
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                 WHERE datname = current_database() AND pid <> pg_backend_pid()",
            )
            .await;
            other.close().await;
        }
        sarban::store::clock::now(&db).await.expect("it reads over a new connection");
    });
}

/// JIT compilation takes longer than it saves.
#[test]
fn postgres_jit_is_off() {
    with_database(Engine::Postgres, Content::Empty, async |TestDatabase { db, .. }| {
        let off = "SELECT COUNT(*) FROM pg_settings WHERE name = 'jit' AND setting = 'off'";
        assert_eq!(number(&db, off).await, 1);
    });
}

/// With statistics of one user, SQLite reads whole tables for each of thousands that are added later.
#[test]
fn statistics_of_a_few_users_are_forgotten() {
    with_database(Engine::Sqlite, Content::Schema, async |TestDatabase { db, options }| {
        let user =
            "INSERT INTO users (id, username, key, expire_strategy, created_at) VALUES (1, 'ann', 'abc', 'never', 0)";
        execute(&db, user).await;
        execute(&db, "ANALYZE").await;
        let known = "SELECT COUNT(*) FROM sqlite_stat1 WHERE tbl = 'users'";
        assert!(number(&db, known).await > 0);
        db.close().await;
        let db = Db::open(&options).await.expect("it opens");
        assert_eq!(number(&db, known).await, 0);
        db.close().await;
    });
}
