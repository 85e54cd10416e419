//! The table `setup_code`: one-time codes with which the first sudo admin is made.

use sqlx::query_scalar;

use crate::domain::moment::Moment;
use crate::store::engine::statement::{db_affected, db_execute, db_read, db_run, statements};
use crate::store::engine::{Db, StoreError, Tx};

statements! {
    INSERT = "INSERT INTO setup_code (code, expires_at) SELECT $1, $2 WHERE NOT EXISTS (SELECT 1 FROM admins)";
    DELETE_EXPIRED = "DELETE FROM setup_code WHERE code <> '' AND expires_at <= $1";
    IS_GOOD = "SELECT COUNT(*) FROM setup_code
               WHERE code = $1 AND code <> '' AND expires_at > $2 AND NOT EXISTS (SELECT 1 FROM admins)";
    // SQLite has one writer, so its transactions need no lock.
    LOCK =>
        pg "SELECT code FROM setup_code WHERE code = '' FOR UPDATE",
        lite "SELECT code FROM setup_code WHERE code = ''";
    DELETE_ALL = "DELETE FROM setup_code WHERE code <> ''";
}

/// Inserts a code that is good until `expires_at`, and deletes expired ones. Returns false, without inserting it, if there
/// is an admin already.
pub async fn insert(tx: &mut Tx, code: &str, expires_at: Moment, now: Moment) -> Result<bool, StoreError> {
    db_execute!(tx, DELETE_EXPIRED, now.micros())?;
    Ok(db_affected!(tx, INSERT, code, expires_at.micros())? > 0)
}

/// Returns true if the first admin can be made with this code.
pub async fn is_good(db: &Db, code: &str, now: Moment) -> Result<bool, StoreError> {
    let found =
        db_read!(db, IS_GOOD, |sql, c| query_scalar::<_, i64>(sql).bind(code).bind(now.micros()).fetch_one(c).await)?;
    Ok(found > 0)
}

/// Deletes all codes if the first admin can be made with this one, and returns whether it can. No other transaction gets
/// a code before this one ends.
pub async fn take(tx: &mut Tx, code: &str, now: Moment) -> Result<bool, StoreError> {
    db_run!(tx, LOCK, |sql, c| query_scalar::<_, String>(sql).fetch_optional(c).await)?;
    let found =
        db_run!(tx, IS_GOOD, |sql, c| query_scalar::<_, i64>(sql).bind(code).bind(now.micros()).fetch_one(c).await)?;
    if found == 0 {
        return Ok(false);
    }
    db_execute!(tx, DELETE_ALL)?;
    Ok(true)
}
