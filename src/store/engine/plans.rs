//! SQLite's query plans, for tests.
#![cfg(test)]

use sqlx::{AssertSqlSafe, Row, query};

use super::migrate::migrate;
use super::{Db, OpenOptions};
use crate::config::database_url::DatabaseUrl;

/// Returns the steps of a query's plan.
pub async fn steps_of(db: &Db, sql: String) -> Vec<String> {
    let Db::Lite(lite) = db else { panic!("not SQLite") };
    let explained = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}"));
    let steps = query(explained).fetch_all(&lite.read).await.expect("SQLite answers");
    steps.iter().map(|step| step.get("detail")).collect()
}

/// Opens an empty database with the panel's schema.
pub async fn database() -> (tempfile::TempDir, Db) {
    let folder = tempfile::tempdir().expect("a folder");
    let second = std::time::Duration::from_secs(1);
    let options = OpenOptions {
        url: DatabaseUrl::Sqlite { path: folder.path().join("db.sqlite3") },
        connections: 1,
        statement_cache: 1,
        application_name: String::new(),
        acquire_timeout: second,
        statement_timeout: second,
        busy_timeout: second,
        read_only: false,
    };
    let db = Db::open(&options).await.expect("SQLite answers");
    migrate(&db).await.expect("SQLite answers");
    (folder, db)
}
