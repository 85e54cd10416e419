//! Whole tables at once into an empty database, ids and all: the writing side of `sarban import`.

mod check;
mod rows;
mod usage;

use sqlx::{query, query_scalar};

use super::{Statement, StoreError, Tx, run, statements};

pub use check::{Contents, Totals, contents, count, node_hour_totals, user_hour_totals, user_totals};
pub use rows::{
    AdminRow, AdminServiceRow, BackendRow, FetchRow, HostChainRow, HostRow, HostServiceRow, InboundRow,
    InboundServiceRow, Incoming, JwtRow, NodeHourRow, NodeRow, ServiceRow, SettingsRow, TlsRow, TrafficRow, UserRow,
    UserServiceRow,
};
pub use usage::{UserHour, add_user_hours};

macro_rules! next_id {
    ($table:literal) => {
        concat!(
            "SELECT setval(pg_get_serial_sequence('",
            $table,
            "', 'id'), GREATEST(COALESCE(MAX(id), 1), 1), COALESCE(MAX(id), 0) > 0) FROM ",
            $table
        )
    };
}

statements! {
    REMOVE_LOCAL_NODE = "DELETE FROM nodes";
    // SQLite takes the next id from the largest one by itself.
    NEXT_ADMIN => pg next_id!("admins"), lite "SELECT 0";
    NEXT_SERVICE => pg next_id!("services"), lite "SELECT 0";
    NEXT_USER => pg next_id!("users"), lite "SELECT 0";
    NEXT_NODE => pg next_id!("nodes"), lite "SELECT 0";
    NEXT_INBOUND => pg next_id!("inbounds"), lite "SELECT 0";
    NEXT_HOST => pg next_id!("hosts"), lite "SELECT 0";
}

/// Every statement of this folder.
pub(super) fn all_statements() -> impl Iterator<Item = &'static Statement> {
    [STATEMENTS, check::STATEMENTS, usage::STATEMENTS, rows::STATEMENTS].into_iter().flatten()
}

/// Writes rows of one table, many in one statement.
pub async fn insert<R: Incoming>(tx: &mut Tx, rows: &[R]) -> Result<(), StoreError> {
    if rows.is_empty() {
        return Ok(());
    }
    let document = serde_json::to_string(rows)
        .map_err(|error| StoreError::new(R::INSERT.name, sqlx::Error::Encode(Box::new(error))))?;
    run!(tx, R::INSERT, |sql, c| query(sql).bind(document).execute(c).await.map(drop))
}

/// Removes the node that a migration made, before another database's nodes come.
pub async fn remove_local_node(tx: &mut Tx) -> Result<(), StoreError> {
    run!(tx, REMOVE_LOCAL_NODE, |sql, c| query(sql).execute(c).await.map(drop))
}

/// Has new rows numbered after the ones that came.
pub async fn number_after(tx: &mut Tx) -> Result<(), StoreError> {
    for statement in [&NEXT_ADMIN, &NEXT_SERVICE, &NEXT_USER, &NEXT_NODE, &NEXT_INBOUND, &NEXT_HOST] {
        run!(&mut *tx, statement, |sql, c| query_scalar::<_, i64>(sql).fetch_one(c).await)?;
    }
    Ok(())
}
