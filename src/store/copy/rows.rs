//! How rows of a copy's file are written: users in few statements, and values by name.

use sqlx::sqlite::SqliteConnection;
use sqlx::{QueryBuilder, Sqlite, query, query_scalar};

use super::schema;
use crate::domain::copy::CopiedUser;
use crate::domain::copy::checksum::sealed;

/// Rows in one statement.
pub(super) const ROWS: usize = 200;

/// Names of values.
pub(super) const POSITION: &str = "position";
pub(super) const AGREED_AT: &str = "agreed_at";
/// The same by the clock that nobody sets, with the id of its boot.
pub(super) const AGREED_IN_BOOT: &str = "agreed_in_boot";
/// `AUTH_GENERATION_ALGORITHM` of the panels, at an edge.
pub(super) const CREDENTIALS: &str = "credentials";
pub(super) const WHOLE: &str = "whole";
pub(super) const USERS: &str = "users";
pub(super) const SHARED_CHANGES: &str = "shared_changes";

/// Inserts or replaces users. Returns the number of new ones.
pub(super) async fn put(connection: &mut SqliteConnection, users: &[CopiedUser]) -> sqlx::Result<i64> {
    let before = count(connection, users).await?;
    for part in users.chunks(ROWS) {
        let mut statement = QueryBuilder::<Sqlite>::new(schema::PUT_USERS);
        statement.push_values(part, |mut row, user| {
            row.push_bind(user.id).push_bind(&user.username).push_bind(user.to_bytes());
        });
        statement.push(schema::REPLACE_USER);
        // Other lengths are rare, and each would be another statement in memory.
        statement.build().persistent(part.len() == ROWS).execute(&mut *connection).await?;
    }
    Ok(users.len() as i64 - before)
}

/// Number of these users that the copy has.
async fn count(connection: &mut SqliteConnection, users: &[CopiedUser]) -> sqlx::Result<i64> {
    let ids: Vec<i64> = users.iter().map(|user| user.id).collect();
    query_scalar(schema::COUNT).bind(sqlx::types::Json(ids)).fetch_one(connection).await
}

/// Removes users. Returns the number of those that were there.
pub(super) async fn remove_users(connection: &mut SqliteConnection, users: &[i64]) -> sqlx::Result<i64> {
    if users.is_empty() {
        return Ok(0);
    }
    let done = query(schema::REMOVE_USERS).bind(sqlx::types::Json(users)).execute(connection).await?;
    Ok(i64::try_from(done.rows_affected()).unwrap_or(0))
}

/// Stores a value.
pub(super) async fn set(connection: &mut SqliteConnection, name: &str, value: &[u8]) -> sqlx::Result<()> {
    query(schema::SET).bind(name).bind(value).execute(connection).await.map(drop)
}

/// Stores the part that all subscriptions share, with a checksum. Returns true if it was another one before.
pub(super) async fn set_shared(connection: &mut SqliteConnection, shared: &[u8]) -> sqlx::Result<bool> {
    let done = query(schema::SET_SHARED).bind(sealed(shared.to_vec())).execute(&mut *connection).await?;
    let has_changed = done.rows_affected() > 0;
    if has_changed {
        add_to(connection, SHARED_CHANGES, 1).await?;
    }
    Ok(has_changed)
}

/// Adds to a stored number.
pub(super) async fn add_to(connection: &mut SqliteConnection, name: &str, count: i64) -> sqlx::Result<()> {
    if count == 0 {
        return Ok(());
    }
    query(schema::ADD).bind(name).bind(count).execute(connection).await.map(drop)
}
