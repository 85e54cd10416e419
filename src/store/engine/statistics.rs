//! What PostgreSQL knows of the tables' contents, by which it plans statements.

use super::db::Tx;
use super::error::StoreError;
use super::statement::{db_execute, statements};

statements! {
    // The tables into which this transaction has written. Others in the database may belong to somebody else.
    ANALYZE =>
        pg "DO $$ DECLARE name TEXT; BEGIN
                FOR name IN SELECT CAST(CAST(c.oid AS REGCLASS) AS TEXT) FROM pg_class c JOIN pg_locks l ON l.relation = c.oid
                            WHERE c.relkind = 'r' AND c.relnamespace <> CAST('pg_catalog' AS REGNAMESPACE)
                              AND l.pid = pg_backend_pid() AND l.mode = 'RowExclusiveLock' LOOP
                    EXECUTE 'ANALYZE ' || name;
                END LOOP;
            END $$",
        lite "SELECT 1";
}

/// Reads samples of the tables that a transaction has filled. Otherwise PostgreSQL takes them for empty until autovacuum comes by. Those of
/// SQLite are collected when the panel stops.
pub async fn analyze(tx: &mut Tx) -> Result<(), StoreError> {
    db_execute!(tx, ANALYZE)
}
