//! The database's clock. Slots and the `now` of tasks come from it, so that all hosts agree.

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

/// Returns the database's current time, in microseconds on PostgreSQL and milliseconds on SQLite (the host's clock).
pub async fn now(db: &Db) -> Result<Moment, StoreError> {
    db_read!(db, NOW, |sql, c| query_scalar::<_, i64>(sql).fetch_one(c).await).map(Moment::from_micros)
}
