//! Changes to many users, in chunks that the caller commits one by one.

use sqlx::{query_as, query_scalar};

use crate::domain::ids::{AdminId, UserId};
use crate::domain::moment::Moment;
use crate::store::engine::statement::{db_execute, db_run, row, statements};
use crate::store::engine::{IdList, StoreError, Tx};
use crate::store::usage::traffic_writers;

statements! {
    // The earliest dates are selected first, and locked by id.
    LOCK_EXPIRED =>
        pg "SELECT id, activated FROM users
            WHERE id IN (SELECT e.id FROM users e
                         WHERE e.removed = FALSE AND e.expire_date <= $1
                             AND (CAST($2 AS BIGINT) IS NULL OR e.owner_id = $2)
                         ORDER BY e.expire_date, e.id LIMIT $3)
                AND removed = FALSE AND expire_date <= $1 AND (CAST($2 AS BIGINT) IS NULL OR owner_id = $2)
            ORDER BY id FOR UPDATE",
        lite "SELECT id, activated FROM users
            WHERE removed = FALSE AND expire_date <= $1 AND ($2 IS NULL OR owner_id = $2)
            ORDER BY expire_date, id LIMIT $3";
    REMOVE =>
        pg "UPDATE users SET username = NULL, removed = TRUE, activated = FALSE WHERE id = ANY($1)",
        lite "UPDATE users SET username = NULL, removed = TRUE, activated = FALSE
            WHERE id IN (SELECT value FROM json_each($1))";
    LOCK_OWNED =>
        pg "SELECT id FROM users
            WHERE removed = FALSE AND owner_id = $1 AND id > $2 AND (CAST($3 AS BOOLEAN) IS NULL OR enabled = $3)
            ORDER BY id LIMIT $4 FOR UPDATE",
        lite "SELECT id FROM users
            WHERE removed = FALSE AND owner_id = $1 AND id > $2 AND ($3 IS NULL OR enabled = $3)
            ORDER BY id LIMIT $4";
    ACTIVATED =>
        pg "SELECT id FROM users WHERE id = ANY($1) AND activated = TRUE",
        lite "SELECT id FROM users WHERE id IN (SELECT value FROM json_each($1)) AND activated = TRUE";
    DISABLE =>
        pg "UPDATE users SET enabled = FALSE, activated = FALSE WHERE id = ANY($1)",
        lite "UPDATE users SET enabled = FALSE, activated = FALSE WHERE id IN (SELECT value FROM json_each($1))";
    ENABLE =>
        pg "UPDATE users SET enabled = TRUE,
                activated = (expire_date IS NULL OR expire_date >= $2)
                    AND id NOT IN (SELECT user_id FROM user_traffic WHERE data_limit_reached = TRUE AND user_id = ANY($1))
            WHERE id = ANY($1) RETURNING id, activated",
        lite "UPDATE users SET enabled = TRUE,
                activated = (expire_date IS NULL OR expire_date >= $2)
                    AND NOT EXISTS (SELECT 1 FROM user_traffic t WHERE t.user_id = users.id AND t.data_limit_reached = TRUE)
            WHERE id IN (SELECT value FROM json_each($1)) RETURNING id, activated";
    LIMITED =>
        pg "SELECT user_id FROM user_traffic WHERE user_id = ANY(CAST($1 AS BIGINT[])) AND data_limit_reached = TRUE",
        lite "SELECT user_id FROM user_traffic WHERE user_id IN (SELECT value FROM json_each($1)) AND data_limit_reached = TRUE";
    ACTIVATE =>
        pg "UPDATE users SET activated = TRUE
            WHERE id = ANY(CAST($1 AS BIGINT[])) AND activated = FALSE AND enabled = TRUE AND removed = FALSE
                AND (expire_date IS NULL OR expire_date >= $2)
            RETURNING id",
        lite "UPDATE users SET activated = TRUE
            WHERE id IN (SELECT value FROM json_each($1)) AND activated = FALSE AND enabled = TRUE AND removed = FALSE
                AND (expire_date IS NULL OR expire_date >= $2)
            RETURNING id";
    RESET_TRAFFIC =>
        pg "UPDATE user_traffic SET used_traffic = 0, traffic_reset_at = $2 WHERE user_id = ANY($1)",
        lite "UPDATE user_traffic SET used_traffic = 0, traffic_reset_at = $2
            WHERE user_id IN (SELECT value FROM json_each($1))";
}

row! {
    /// A user, and whether nodes know of it.
    pub struct Known {
        /// Id of the user.
        pub id: i64,
        /// True if nodes know of the user.
        pub activated: bool,
    }
}

/// Locks at most `limit` users whose fixed date is `cutoff` or earlier, of one owner or of all.
pub async fn lock_expired(
    tx: &mut Tx,
    cutoff: Moment,
    owner: Option<AdminId>,
    limit: i64,
) -> Result<Vec<Known>, StoreError> {
    db_run!(tx, LOCK_EXPIRED, |sql, c| query_as::<_, Known>(sql)
        .bind(cutoff.micros())
        .bind(owner.map(|owner| owner.0))
        .bind(limit)
        .fetch_all(c)
        .await)
}

/// Removes locked users: their names are free again, the rows stay.
pub async fn remove(tx: &mut Tx, users: IdList) -> Result<(), StoreError> {
    db_execute!(tx, REMOVE, users)
}

/// Locks the first `limit` of an owner's users by id after `after`; with `only`, of the enabled or disabled ones.
pub async fn lock_owned(
    tx: &mut Tx,
    owner: AdminId,
    enabled: Option<bool>,
    after: UserId,
    limit: i64,
) -> Result<IdList, StoreError> {
    db_run!(tx, LOCK_OWNED, |sql, c| query_scalar::<_, i64>(sql)
        .bind(owner.0)
        .bind(after.0)
        .bind(enabled)
        .bind(limit)
        .fetch_all(c)
        .await)
    .map(IdList::new)
}

/// Resets the used traffic of locked users, and activates those who were inactive only because of it. Returns the
/// activated users, whose changes nodes should get.
pub async fn reset_traffic(tx: &mut Tx, users: IdList, now: Moment) -> Result<IdList, StoreError> {
    let limited = db_run!(tx, LIMITED, |sql, c| query_scalar::<_, i64>(sql).bind(users.clone()).fetch_all(c).await)?;
    let back = if limited.is_empty() {
        Vec::new()
    } else {
        db_run!(tx, ACTIVATE, |sql, c| {
            query_scalar::<_, i64>(sql).bind(IdList::new(limited)).bind(now.micros()).fetch_all(c).await
        })?
    };
    traffic_writers::one_at_a_time(tx).await?;
    db_execute!(tx, RESET_TRAFFIC, users, now.micros())?;
    Ok(IdList::new(back))
}

/// Disables locked users. Returns those that nodes know of, whose changes nodes should get.
pub async fn disable(tx: &mut Tx, users: IdList) -> Result<IdList, StoreError> {
    let known = db_run!(tx, ACTIVATED, |sql, c| query_scalar::<_, i64>(sql).bind(users.clone()).fetch_all(c).await)?;
    db_execute!(tx, DISABLE, users)?;
    Ok(IdList::new(known))
}

/// Enables locked users, and activates those whose account works then. Returns the activated users, whose changes nodes
/// should get.
pub async fn enable(tx: &mut Tx, users: IdList, now: Moment) -> Result<IdList, StoreError> {
    let users =
        db_run!(tx, ENABLE, |sql, c| { query_as::<_, Known>(sql).bind(users).bind(now.micros()).fetch_all(c).await })?;
    Ok(IdList::new(users.iter().filter(|user| user.activated).map(|user| user.id)))
}
