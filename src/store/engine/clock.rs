//! The database's clock. Slots and the `now` of tasks come from it, so that all hosts agree.

use sqlx::query_scalar;

use super::db::Db;
use super::error::StoreError;
use super::statement::{db_read, statements};
use crate::clock::Clock;
use crate::domain::moment::Moment;

statements! {
    NOW =>
        pg "SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)",
        lite "SELECT CAST((julianday('now') - 2440587.5) * 86400000000.0 AS INTEGER)";
}

/// Returns the database's current time, in microseconds on PostgreSQL and milliseconds on SQLite (the host's clock).
pub async fn now(db: &Db) -> Result<Moment, StoreError> {
    // SQLite would read the host's clock, on another thread.
    if let Db::Lite(lite) = db
        && lite.read.is_free().map_err(|source| db.failed(NOW.name, source))?
    {
        return Ok(Moment::from_micros(Clock::real().now().micros() / 1_000 * 1_000));
    }
    db_read!(db, NOW, |sql, c| query_scalar::<_, i64>(sql).fetch_one(c).await).map(Moment::from_micros)
}
