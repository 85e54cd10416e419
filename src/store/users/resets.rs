//! Periodic resets of used traffic. The data says when one is due (`user_traffic.next_reset_at`), so a reset missed in
//! an outage is made later, once.

use sqlx::query_scalar;

use super::{bulk, review};
use crate::domain::moment::Moment;
use crate::store::engine::statement::{db_read, db_run, statements};
use crate::store::engine::{Db, IdList, StoreError, Tx};

/// Maximum number of users in one transaction.
pub const CHUNK: i64 = 500;

statements! {
    DUE = "SELECT user_id FROM user_traffic WHERE next_reset_at <= $1 ORDER BY next_reset_at LIMIT $2";
    STILL_DUE =>
        pg "SELECT user_id FROM user_traffic WHERE user_id = ANY(CAST($1 AS BIGINT[])) AND next_reset_at <= $2",
        lite "SELECT user_id FROM user_traffic WHERE user_id IN (SELECT value FROM json_each($1)) AND next_reset_at <= $2";
}

/// Returns up to [`CHUNK`] users whose reset is due. Removed users are included, so that they do not stay due.
pub async fn due(db: &Db, now: Moment) -> Result<IdList, StoreError> {
    db_read!(db, DUE, |sql, c| query_scalar::<_, i64>(sql).bind(now.micros()).bind(CHUNK).fetch_all(c).await)
        .map(IdList::new)
}

/// Resets the users who are still due; the next reset counts from now. Returns the reset users, and the users who are
/// activated by it, which the caller marks as changed.
pub async fn reset(tx: &mut Tx, users: &IdList, now: Moment) -> Result<(IdList, IdList), StoreError> {
    review::lock(tx, users).await?;
    let due = db_run!(tx, STILL_DUE, |sql, c| {
        query_scalar::<_, i64>(sql).bind(users).bind(now.micros()).fetch_all(c).await
    })?;
    let due = IdList::new(due);
    let back = bulk::reset_traffic(tx, due.clone(), now).await?;
    Ok((due, back))
}
