//! The table `quota_disabled_user`: users whom a used-up quota disabled, and who are enabled when it has room again.

use std::collections::BTreeSet;

use sqlx::{query_as, query_scalar};

use crate::domain::ids::{AdminId, UserId};
use crate::store::engine::statement::{db_affected, db_execute, db_read, db_run, row, statements};
use crate::store::engine::{Db, IdList, StoreError, Tx};

/// Users in one transaction of the task `review_admins`.
pub const CHUNK: i64 = 500;

statements! {
    // 0: users without an owner.
    OWNERS =
        "SELECT DISTINCT COALESCE(u.owner_id, 0) AS id FROM quota_disabled_user d JOIN users u ON u.id = d.user_id ORDER BY 1";
    COUNT =
        "SELECT COUNT(*) FROM quota_disabled_user d JOIN users u ON u.id = d.user_id WHERE u.owner_id = $1 AND u.removed = FALSE";
    HAS = "SELECT EXISTS (SELECT 1 FROM quota_disabled_user WHERE user_id = $1)";
    HAS_OF_OWNER =
        "SELECT EXISTS (SELECT 1 FROM quota_disabled_user d JOIN users u ON u.id = d.user_id WHERE u.owner_id = $1)";
    LOCK_OF_OWNER =>
        pg "SELECT id, enabled, removed FROM users
            WHERE id IN (SELECT d.user_id FROM quota_disabled_user d JOIN users o ON o.id = d.user_id
                         WHERE COALESCE(o.owner_id, 0) = $1 AND d.user_id > $2 ORDER BY d.user_id LIMIT $3)
              AND COALESCE(owner_id, 0) = $1
            ORDER BY id FOR UPDATE",
        lite "SELECT u.id, u.enabled, u.removed FROM quota_disabled_user d JOIN users u ON u.id = d.user_id
            WHERE COALESCE(u.owner_id, 0) = $1 AND d.user_id > $2 ORDER BY d.user_id LIMIT $3";
    LOCK_TO_DISABLE =>
        pg "SELECT u.id FROM users u
            WHERE u.removed = FALSE AND u.owner_id = $1 AND u.id > $2
              AND (u.enabled = TRUE OR EXISTS (SELECT 1 FROM quota_disabled_user d WHERE d.user_id = u.id))
            ORDER BY u.id LIMIT $3 FOR UPDATE OF u",
        lite "SELECT u.id FROM users u
            WHERE u.removed = FALSE AND u.owner_id = $1 AND u.id > $2
              AND (u.enabled = TRUE OR EXISTS (SELECT 1 FROM quota_disabled_user d WHERE d.user_id = u.id))
            ORDER BY u.id LIMIT $3";
    MARK =>
        pg "INSERT INTO quota_disabled_user (user_id) SELECT id FROM UNNEST(CAST($1 AS BIGINT[])) AS ids (id)
            ON CONFLICT DO NOTHING",
        lite "INSERT INTO quota_disabled_user (user_id) SELECT value FROM json_each($1) WHERE TRUE ON CONFLICT DO NOTHING";
    AMONG =>
        pg "SELECT user_id FROM quota_disabled_user WHERE user_id = ANY($1)",
        lite "SELECT user_id FROM quota_disabled_user WHERE user_id IN (SELECT value FROM json_each($1))";
    FORGET =>
        pg "DELETE FROM quota_disabled_user WHERE user_id = ANY($1)",
        lite "DELETE FROM quota_disabled_user WHERE user_id IN (SELECT value FROM json_each($1))";
}

row! {
    /// A user whom a quota disabled.
    pub struct DisabledUser {
        /// Id of the user.
        pub id: i64,
        /// True if somebody has enabled the user since.
        pub enabled: bool,
        /// True if the user was removed since.
        pub removed: bool,
    }
}

/// Returns the owners of disabled users; 0 stands for users without one.
pub async fn owners(db: &Db) -> Result<Vec<AdminId>, StoreError> {
    db_read!(db, OWNERS, |sql, c| query_scalar::<_, i64>(sql).fetch_all(c).await)
        .map(|ids| ids.into_iter().map(AdminId).collect())
}

/// Returns the number of an admin's disabled users.
pub async fn count(db: &Db, owner: AdminId) -> Result<i64, StoreError> {
    db_read!(db, COUNT, |sql, c| query_scalar::<_, i64>(sql).bind(owner.0).fetch_one(c).await)
}

/// Returns true if a quota has disabled the user.
pub async fn has(db: &Db, user: UserId) -> Result<bool, StoreError> {
    db_read!(db, HAS, |sql, c| query_scalar::<_, bool>(sql).bind(user.0).fetch_one(c).await)
}

/// Returns true if a quota has disabled users of an admin.
pub async fn has_of(tx: &mut Tx, owner: AdminId) -> Result<bool, StoreError> {
    db_run!(tx, HAS_OF_OWNER, |sql, c| query_scalar::<_, bool>(sql).bind(owner.0).fetch_one(c).await)
}

/// Locks the first [`CHUNK`] disabled users of an owner by id after `after`.
pub async fn lock_of(tx: &mut Tx, owner: AdminId, after: UserId) -> Result<Vec<DisabledUser>, StoreError> {
    db_run!(tx, LOCK_OF_OWNER, |sql, c| {
        query_as::<_, DisabledUser>(sql).bind(owner.0).bind(after.0).bind(CHUNK).fetch_all(c).await
    })
}

/// Locks the first `limit` of an admin's users by id after `after` who are enabled, or disabled by its quota only.
pub async fn lock_to_disable(tx: &mut Tx, owner: AdminId, after: UserId, limit: i64) -> Result<IdList, StoreError> {
    db_run!(tx, LOCK_TO_DISABLE, |sql, c| {
        query_scalar::<_, i64>(sql).bind(owner.0).bind(after.0).bind(limit).fetch_all(c).await
    })
    .map(IdList::new)
}

/// Returns those of these users whom a quota disabled.
pub async fn among(tx: &mut Tx, users: &IdList) -> Result<BTreeSet<i64>, StoreError> {
    let found = db_run!(tx, AMONG, |sql, c| query_scalar::<_, i64>(sql).bind(users).fetch_all(c).await)?;
    Ok(found.into_iter().collect())
}

/// Records users whom a quota disabled in this transaction.
pub async fn mark(tx: &mut Tx, users: &IdList) -> Result<(), StoreError> {
    db_execute!(tx, MARK, users)
}

/// Forgets that a quota disabled these users. Returns the number of those that it had disabled.
pub async fn forget(tx: &mut Tx, users: &IdList) -> Result<u64, StoreError> {
    db_affected!(tx, FORGET, users)
}
