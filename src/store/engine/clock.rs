//! The database's clock: slots and the tasks' `now` come from here, so that all hosts agree on them.

use sqlx::query_scalar;

use super::db::Db;
use super::error::StoreError;
use super::statement::{db_read, statements};
use crate::domain::moment::Moment;

statements! {
    NOW =>
        pg "SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)",
        lite "SELECT CAST((julianday('now') - 2440587.5) * 86400000000.0 AS INTEGER)";
}

/// The moment that the database has now (SQLite: the host's clock, to the millisecond).
pub async fn now(db: &Db) -> Result<Moment, StoreError> {
    db_read!(db, NOW, |sql, c| query_scalar::<_, i64>(sql).fetch_one(c).await).map(Moment::from_micros)
}
