//! The tables `users`, `user_traffic` and `users_services`: reads of users, and writes of one user. Rows are locked in
//! this order: admins, services, users, user_traffic.

pub mod bulk;
pub mod bulk_requests;
pub mod bulk_selection;
pub(in crate::store) mod bulk_update;
pub mod changes;
pub mod diagnosis;
pub mod expiring;
pub mod list;
mod list_conditions;
mod list_count;
mod list_filter;
mod list_flags;
mod list_page;
pub mod node_status;
pub(in crate::store) mod online;
pub mod owner_totals;
pub mod resets;
pub mod review;
pub(in crate::store) mod row;
pub mod subscription_fetches;

use sqlx::types::Json;
use sqlx::{query_as, query_scalar};

use crate::domain::ids::{AdminId, ServiceId, UserId};
use crate::domain::user::{Owner, User};
use crate::store::engine::statement::{db_execute, db_read, db_run, row, statements};
use crate::store::engine::{Db, IdList, StoreError, Tx};
use row::{UserRow, rows_in_text, select_users, user_columns, user_joins};

pub use bulk_update::update_all;
pub use row::{insert, update};

statements! {
    BY_USERNAME => pg select_users!(pg "u.username = $1"), lite select_users!(lite "u.username = $1");
    /// In no particular order. On SQLite all rows come as one text.
    BY_USERNAMES =>
        pg select_users!(pg "u.username = ANY($1)"),
        lite concat!(
            user_columns!(lite text),
            " FROM json_each($1) wanted CROSS JOIN users u",
            user_joins!(),
            " WHERE u.username = wanted.value)"
        );
    BY_ID => pg select_users!(pg "u.id = $1"), lite select_users!(lite "u.id = $1");
    BY_IDS =>
        pg select_users!(pg "u.id = ANY($1)"),
        lite select_users!(lite "u.id IN (SELECT value FROM json_each($1))");
    REMOVED =>
        pg "SELECT ARRAY(SELECT id FROM users WHERE removed = TRUE AND id > $1 AND id <= $2)",
        lite "SELECT json_group_array(id) FROM users INDEXED BY users_removed
              WHERE removed = TRUE AND id > $1 AND id <= $2";
    LOCK_BY_USERNAME =>
        pg "SELECT id FROM users WHERE username = $1 FOR UPDATE",
        lite "SELECT id FROM users WHERE username = $1";
    /// Locks the admin, so that it is not deleted before the transaction that makes it an owner ends.
    LOCK_OWNER =>
        pg "SELECT id, username, subscription_url_prefix FROM admins WHERE username = $1 FOR KEY SHARE",
        lite "SELECT id, username, subscription_url_prefix FROM admins WHERE username = $1";
    LOCK_SERVICES =>
        pg "SELECT id FROM services WHERE id = ANY($1) ORDER BY id FOR KEY SHARE",
        lite "SELECT id FROM services WHERE id IN (SELECT value FROM json_each($1)) ORDER BY id";
    TICK_KEY_CHANGE = "UPDATE key_change SET seq = seq + 1 WHERE id = 1 RETURNING seq";
    SET_KEY_CHANGE = "UPDATE users SET key_change_seq = $2 WHERE id = $1";
}

/// Returns the user of this name; removed users have no name.
pub async fn by_username(db: &Db, username: &str) -> Result<Option<User>, StoreError> {
    if username.contains('\0') {
        // No user has such a name, and PostgreSQL fails on a text with NUL.
        return Ok(None);
    }
    db_read!(db, BY_USERNAME, |sql, c| query_as::<_, UserRow>(sql).bind(username).fetch_optional(c).await)
        .map(|row| row.map(User::from))
}

/// Returns the users of these names, in no particular order.
pub async fn by_usernames(db: &Db, usernames: &[&str]) -> Result<Vec<User>, StoreError> {
    let usernames: Vec<&str> = usernames.iter().copied().filter(|name| !name.contains('\0')).collect();
    // By hand, because SQLite returns all rows as one text.
    let rows: sqlx::Result<Vec<UserRow>> = match db {
        Db::Pg(pool) => {
            query_as(BY_USERNAMES.pg).bind(usernames).fetch_all(pool.for_statement(BY_USERNAMES.name)).await
        }
        Db::Lite(lite) => {
            let text = query_scalar::<_, String>(BY_USERNAMES.lite).bind(Json(usernames)).fetch_one(&lite.read).await;
            text.and_then(|text| rows_in_text(&text))
        }
    };
    let rows = rows.map_err(|source| db.failed(BY_USERNAMES.name, source))?;
    Ok(rows.into_iter().map(User::from).collect())
}

/// Returns these users, removed ones included, in no particular order.
pub async fn by_ids(db: &Db, ids: IdList) -> Result<Vec<User>, StoreError> {
    db_read!(db, BY_IDS, |sql, c| query_as::<_, UserRow>(sql).bind(ids).fetch_all(c).await)
        .map(|rows| rows.into_iter().map(User::from).collect())
}

/// Returns these users as this transaction sees them, ascending by id.
pub async fn of_ids(tx: &mut Tx, ids: &IdList) -> Result<Vec<User>, StoreError> {
    let rows = db_run!(tx, BY_IDS, |sql, c| query_as::<_, UserRow>(sql).bind(ids).fetch_all(c).await)?;
    let mut users: Vec<User> = rows.into_iter().map(User::from).collect();
    users.sort_unstable_by_key(|user| user.id);
    Ok(users)
}

/// Returns the removed users after one id and up to another.
pub(in crate::store) async fn removed(db: &Db, after: UserId, up_to: UserId) -> Result<IdList, StoreError> {
    db_read!(db, REMOVED, |sql, c| query_scalar::<_, IdList>(sql).bind(after.0).bind(up_to.0).fetch_one(c).await)
}

/// Returns the user of this name and locks it until the end of the transaction.
pub async fn lock_by_username(tx: &mut Tx, username: &str) -> Result<Option<User>, StoreError> {
    if username.contains('\0') {
        return Ok(None);
    }
    // Two statements: on PostgreSQL the second one sees what others committed while the first one waited for the lock.
    let id =
        db_run!(tx, LOCK_BY_USERNAME, |sql, c| query_scalar::<_, i64>(sql).bind(username).fetch_optional(c).await)?;
    match id {
        Some(id) => by_id(tx, UserId(id)).await,
        None => Ok(None),
    }
}

/// Returns the user of this id, removed or not, as this transaction sees it.
pub async fn by_id(tx: &mut Tx, id: UserId) -> Result<Option<User>, StoreError> {
    db_run!(tx, BY_ID, |sql, c| query_as::<_, UserRow>(sql).bind(id.0).fetch_optional(c).await)
        .map(|row| row.map(User::from))
}

row! {
    struct OwnerRow {
        id: i64,
        username: String,
        subscription_url_prefix: String,
    }
}

/// Returns the admin of this name as an owner, and locks it against deletion until the end of the transaction.
pub async fn lock_owner(tx: &mut Tx, username: &str) -> Result<Option<Owner>, StoreError> {
    let row = db_run!(tx, LOCK_OWNER, |sql, c| query_as::<_, OwnerRow>(sql).bind(username).fetch_optional(c).await)?;
    Ok(row.map(|row| Owner {
        id: AdminId(row.id),
        username: row.username,
        subscription_url_prefix: row.subscription_url_prefix,
    }))
}

/// Returns the existing ones of these services, by id, and locks them against deletion until the end of the
/// transaction.
pub async fn lock_services(tx: &mut Tx, wanted: &[ServiceId]) -> Result<Vec<ServiceId>, StoreError> {
    let wanted = IdList::new(wanted.iter().map(|id| id.0));
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    db_run!(tx, LOCK_SERVICES, |sql, c| query_scalar::<_, i64>(sql).bind(wanted).fetch_all(c).await)
        .map(|ids| ids.into_iter().map(ServiceId).collect())
}

/// Records the change of a user's key by the clock `key_change`: a node synced at an earlier reading has the old key.
/// The clock stays locked until the end of the transaction, so call it last, before the mark only.
pub async fn record_key_change(tx: &mut Tx, user: UserId) -> Result<(), StoreError> {
    let seq = db_run!(tx, TICK_KEY_CHANGE, |sql, c| query_scalar::<_, i64>(sql).fetch_one(c).await)?;
    db_execute!(tx, SET_KEY_CHANGE, user.0, seq)
}
