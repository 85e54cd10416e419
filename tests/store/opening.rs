//! Opening a database that another process still has.

use std::time::Duration;

use sarban::config::database_url::DatabaseUrl;
use sarban::store::{Db, Engine};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteLockingMode};
use sqlx::{ConnectOptions, Connection, raw_sql};

use crate::support::database::{Content, TestDatabase, execute, number, with_database};

/// As in a restart: the process before this one closes the file as the last, which keeps everybody else out.
#[test]
fn a_file_that_is_being_closed_is_opened_when_it_is() {
    with_database(Engine::Sqlite, Content::Empty, async |TestDatabase { db, options }| {
        db.close().await;
        let DatabaseUrl::Sqlite { path } = &options.url else { panic!("a database of SQLite") };
        let alone = SqliteConnectOptions::new()
            .filename(path)
            .journal_mode(SqliteJournalMode::Wal)
            .locking_mode(SqliteLockingMode::Exclusive);
        let mut alone = alone.connect().await.expect("nobody else has it");
        raw_sql("CREATE TABLE t (a INTEGER)").execute(&mut alone).await.expect("it is writable");
        let opening = tokio::spawn(async move { Db::open(&options).await });
        tokio::time::sleep(Duration::from_millis(200)).await;
        alone.close().await.expect("it closes");
        let db = opening.await.expect("no panic").expect("it opens once it may");
        execute(&db, "INSERT INTO t VALUES (1)").await;
        db.close().await;
    });
}

/// As after a restart of PostgreSQL while nothing was asked: the first to ask does not notification.
#[test]
fn connections_that_were_lost_while_they_lay_idle_are_replaced() {
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

/// Compiling a statement takes longer than it saves.
#[test]
fn postgresql_compiles_no_statement() {
    with_database(Engine::Postgres, Content::Empty, async |TestDatabase { db, .. }| {
        let off = "SELECT COUNT(*) FROM pg_settings WHERE name = 'jit' AND setting = 'off'";
        assert_eq!(number(&db, off).await, 1);
    });
}
