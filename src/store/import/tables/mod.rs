//! Tables with all rows and ids, as `sarban import` writes and `sarban export` reads them.

mod check;
mod full_user_rows;
mod rows;
mod usage;

use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt, TryStreamExt};
use sqlx::{query_as, query_scalar};

use crate::store::engine::statement::{db_execute, db_run, statements};
use crate::store::engine::{Statement, StoreError, Tx};

pub use check::{Contents, Totals, contents, count, node_hour_totals, user_hour_totals, user_totals};
pub use full_user_rows::FullUserRow;
pub use rows::{
    AdminRow, AdminServiceRow, BackendRow, FetchRow, HostChainRow, HostRow, HostServiceRow, InboundRow,
    InboundServiceRow, JwtRow, NodeHourRow, NodeRow, ServiceRow, SettingsRow, Stored, TableRow, TlsRow, TrafficRow,
    UserRow, UserServiceRow,
};
pub use usage::{NodeHour, UserHour, load_user_hours};

statements! {
    REMOVE_LOCAL_NODE = "DELETE FROM nodes";
    // A transaction of SQLite is a snapshot anyway.
    USE_SNAPSHOT => pg "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", lite "SELECT 1";
    UNFOLDED = "SELECT COUNT(*) FROM usage_batch WHERE state <> 'folded'";
    // SQLite derives the next id from the largest one.
    NEXT_ADMIN => pg
        "SELECT setval(pg_get_serial_sequence('admins', 'id'), GREATEST(COALESCE(MAX(id), 1), 1), COALESCE(MAX(id), 0) > 0)
         FROM admins",
        lite "SELECT 0";
    NEXT_SERVICE => pg
        "SELECT setval(pg_get_serial_sequence('services', 'id'), GREATEST(COALESCE(MAX(id), 1), 1), COALESCE(MAX(id), 0) > 0)
         FROM services",
        lite "SELECT 0";
    NEXT_USER => pg
        "SELECT setval(pg_get_serial_sequence('users', 'id'), GREATEST(COALESCE(MAX(id), 1), 1), COALESCE(MAX(id), 0) > 0)
         FROM users",
        lite "SELECT 0";
    NEXT_NODE => pg
        "SELECT setval(pg_get_serial_sequence('nodes', 'id'), GREATEST(COALESCE(MAX(id), 1), 1), COALESCE(MAX(id), 0) > 0)
         FROM nodes",
        lite "SELECT 0";
    NEXT_INBOUND => pg
        "SELECT setval(pg_get_serial_sequence('inbounds', 'id'), GREATEST(COALESCE(MAX(id), 1), 1), COALESCE(MAX(id), 0) > 0)
         FROM inbounds",
        lite "SELECT 0";
    NEXT_HOST => pg
        "SELECT setval(pg_get_serial_sequence('hosts', 'id'), GREATEST(COALESCE(MAX(id), 1), 1), COALESCE(MAX(id), 0) > 0)
         FROM hosts",
        lite "SELECT 0";
}

/// Returns every statement of this folder.
pub(in crate::store) fn all_statements() -> impl Iterator<Item = &'static Statement> {
    [STATEMENTS, check::STATEMENTS, usage::STATEMENTS, rows::STATEMENTS, full_user_rows::STATEMENTS]
        .into_iter()
        .flatten()
}

/// Inserts rows of one table, many in one statement.
pub async fn insert<R: TableRow>(tx: &mut Tx, rows: &[R]) -> Result<(), StoreError> {
    if rows.is_empty() {
        return Ok(());
    }
    let document = serde_json::to_string(rows)
        .map_err(|error| StoreError::new(R::INSERT.name, sqlx::Error::Encode(Box::new(error))))?;
    db_execute!(tx, R::INSERT, document)
}

/// Streams the rows of a table.
pub fn rows<R: Stored + 'static>(tx: &mut Tx) -> BoxStream<'_, Result<R, StoreError>> {
    let failed = |source| StoreError::new(R::SELECT.name, source);
    match tx {
        Tx::Pg(tx) => match tx.connection() {
            Ok(connection) => query_as::<_, R>(R::SELECT.pg).fetch(connection).map_err(failed).boxed(),
            Err(error) => stream::iter([Err(failed(error))]).boxed(),
        },
        Tx::Lite { tx, .. } => query_as::<_, R>(R::SELECT.lite).fetch(&mut **tx).map_err(failed).boxed(),
    }
}

/// Makes the transaction read one snapshot. Must be its first statement.
pub async fn use_snapshot(tx: &mut Tx) -> Result<(), StoreError> {
    db_execute!(tx, USE_SNAPSHOT)
}

/// Returns the number of usage batches that are not folded into users' hours yet.
pub async fn unfolded(tx: &mut Tx) -> Result<i64, StoreError> {
    db_run!(tx, UNFOLDED, |sql, c| query_scalar::<_, i64>(sql).fetch_one(c).await)
}

/// Deletes the node that a migration created, before nodes are imported.
pub async fn remove_local_node(tx: &mut Tx) -> Result<(), StoreError> {
    db_execute!(tx, REMOVE_LOCAL_NODE)
}

/// Sets the sequences of ids behind the imported rows.
pub async fn advance_ids(tx: &mut Tx) -> Result<(), StoreError> {
    for statement in [&NEXT_ADMIN, &NEXT_SERVICE, &NEXT_USER, &NEXT_NODE, &NEXT_INBOUND, &NEXT_HOST] {
        db_run!(&mut *tx, statement, |sql, c| query_scalar::<_, i64>(sql).fetch_one(c).await)?;
    }
    Ok(())
}
