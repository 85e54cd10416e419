//! What PostgreSQL knows of the tables' contents, by which it plans statements.

use super::db::Tx;
use super::error::StoreError;
use super::statement::{db_execute, statements};

statements! {
    // Each table by its name: those of the system belong to others, and the server would warn of each.
    ANALYZE =>
        pg "DO $$ DECLARE name TEXT; BEGIN
                FOR name IN SELECT c.relname FROM pg_class c
                            WHERE c.relkind = 'r' AND c.relnamespace = current_schema()::regnamespace LOOP
                    EXECUTE format('ANALYZE %I', name);
                END LOOP;
            END $$",
        lite "SELECT 1";
}

/// Reads samples of all tables, after they were filled. Otherwise PostgreSQL takes them for empty until autovacuum comes by. Those of
/// SQLite are collected when the panel stops.
pub async fn analyze(tx: &mut Tx) -> Result<(), StoreError> {
    db_execute!(tx, ANALYZE)
}
