//! What a restored database needs besides rows: empty tables before them; then ids, the lease and the nodes.

use std::collections::BTreeMap;

use sqlx::{AssertSqlSafe, query_as, raw_sql};

use super::catalog::Table;
use crate::store::engine::statement::{db_execute, db_run, row, statements};
use crate::store::engine::{StoreError, Tx};

statements! {
    // Ids that were assigned to rows which are deleted by now must not be assigned again: entries of the audit log and
    // usage have them.
    LAST_IDS =>
        pg "SELECT CAST(c.relname AS TEXT) AS name,
                   CAST(COALESCE(pg_sequence_last_value(pg_get_serial_sequence(quote_ident(c.relname), a.attname)::regclass), 0)
                        AS BIGINT) AS last
            FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
            WHERE c.relkind = 'r' AND pg_table_is_visible(c.oid) AND c.relnamespace <> 'pg_catalog'::regnamespace
              AND a.attidentity <> '' ORDER BY 1",
        lite "SELECT CAST(name AS TEXT) AS name, CAST(seq AS BIGINT) AS last FROM sqlite_sequence ORDER BY 1";
    SET_LAST_ID =>
        pg "SELECT setval(pg_get_serial_sequence(quote_ident($1), 'id'), $2)",
        lite "UPDATE sqlite_sequence SET seq = MAX(seq, $2) WHERE name = $1";
    // SQLite has no row of a table that never had one.
    ADD_LAST_ID =>
        pg "SELECT 1 WHERE CAST($1 AS TEXT) IS NULL AND CAST($2 AS BIGINT) IS NULL",
        lite "INSERT INTO sqlite_sequence (name, seq)
              SELECT $1, $2 WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = $1)";
    // The lease belongs to nobody, and its epoch is the one from which the next leader counts.
    FREE_LEASE =
        "UPDATE scheduler_lease SET epoch = (SELECT epoch FROM scheduler_epoch WHERE id = 1), holder = NULL,
            lease_until = 0, released = TRUE WHERE id = 1";
    // Nodes compare users' tags, not their keys, and may have keys that were issued after the back-up: each user's key is
    // sent again at the next full sync.
    RENEW_KEYS = "UPDATE nodes SET key_synced_seq = -1";
    // Nobody else fills the database meanwhile: another restore waits, and finds it in use then. Readers do not wait.
    LOCK =>
        pg "LOCK TABLE admins, users, nodes IN SHARE ROW EXCLUSIVE MODE",
        lite "SELECT 1";
    // Rows are checked against those that they refer to at the end, not each by itself.
    CHECK_LATER => pg "SELECT 1", lite "PRAGMA defer_foreign_keys = ON";
}

row! {
    struct LastIdRow {
        name: String,
        last: i64,
    }
}

/// Keeps others from filling the database until the transaction ends. On SQLite nobody else can write then.
pub async fn lock(tx: &mut Tx) -> Result<(), StoreError> {
    db_execute!(tx, LOCK)
}

/// Deletes the rows that migrations inserted into these tables.
pub async fn empty(tx: &mut Tx, tables: &[Table]) -> Result<(), StoreError> {
    db_execute!(&mut *tx, CHECK_LATER)?;
    for table in tables {
        let sql = AssertSqlSafe(format!("DELETE FROM {}", table.quoted_name()));
        let failed = |source| StoreError::new("emptying a table", source);
        match &mut *tx {
            Tx::Pg(tx) => raw_sql(sql).execute(tx.connection().map_err(failed)?).await.map(drop).map_err(failed)?,
            Tx::Lite { tx, .. } => raw_sql(sql).execute(&mut **tx).await.map(drop).map_err(failed)?,
        }
    }
    Ok(())
}

/// Returns the last id that each table assigned, also to rows that are deleted by now.
pub async fn last_ids(tx: &mut Tx) -> Result<BTreeMap<String, i64>, StoreError> {
    let rows = db_run!(tx, LAST_IDS, |sql, c| query_as::<_, LastIdRow>(sql).fetch_all(c).await)?;
    Ok(rows.into_iter().filter(|row| row.last > 0).map(|row| (row.name, row.last)).collect())
}

/// Makes each table assign ids behind this last one.
pub async fn set_last_ids(tx: &mut Tx, last_ids: &BTreeMap<String, i64>) -> Result<(), StoreError> {
    for (table, last) in last_ids {
        db_execute!(&mut *tx, SET_LAST_ID, table, *last)?;
        db_execute!(&mut *tx, ADD_LAST_ID, table, *last)?;
    }
    Ok(())
}

/// Adjusts what described the processes and nodes at the time of the back-up.
pub async fn adjust(tx: &mut Tx) -> Result<(), StoreError> {
    db_execute!(&mut *tx, FREE_LEASE)?;
    db_execute!(tx, RENEW_KEYS)
}
