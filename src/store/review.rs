//! What `review_users` asks and writes: who ran out, and who started. Small chunks, each harmless to repeat.

use sqlx::query_scalar;

use super::{IdList, StoreError, Tx, run, statements};
use crate::domain::moment::Moment;

/// Users in one transaction at most.
pub const CHUNK: i64 = 500;

statements! {
    // The three ways to run out have an index each; a removed user is not activated.
    RAN_OUT =>
        pg "SELECT id FROM users WHERE activated = TRUE AND id IN (
                (SELECT id FROM users WHERE activated = TRUE AND expire_strategy = 'fixed_date' AND expire_date < $1
                 ORDER BY expire_date LIMIT $2)
                UNION (SELECT id FROM users WHERE activated = TRUE AND enabled = FALSE ORDER BY id LIMIT $2)
                UNION (SELECT u.id FROM user_traffic AS t JOIN users AS u ON u.id = t.user_id
                 WHERE t.data_limit_reached = TRUE AND u.activated = TRUE ORDER BY t.user_id LIMIT $2))
            ORDER BY id LIMIT $2 FOR UPDATE",
        lite "SELECT * FROM (SELECT id FROM users WHERE activated = TRUE AND expire_strategy = 'fixed_date' AND expire_date < $1
                 ORDER BY expire_date LIMIT $2)
            UNION SELECT * FROM (SELECT id FROM users WHERE activated = TRUE AND enabled = FALSE ORDER BY id LIMIT $2)
            UNION SELECT * FROM (SELECT u.id FROM user_traffic AS t JOIN users AS u ON u.id = t.user_id
                 WHERE t.data_limit_reached = TRUE AND u.activated = TRUE ORDER BY t.user_id LIMIT $2)
            ORDER BY 1 LIMIT $2";
    DEACTIVATE =>
        pg "UPDATE users AS u SET activated = FALSE FROM user_traffic AS t
            WHERE u.id = ANY($1::BIGINT[]) AND t.user_id = u.id AND u.activated = TRUE
              AND (u.enabled = FALSE OR t.data_limit_reached = TRUE
                   OR (u.expire_strategy = 'fixed_date' AND u.expire_date < $2))
            RETURNING u.id",
        lite "UPDATE users SET activated = FALSE FROM user_traffic AS t
            WHERE users.id IN (SELECT value FROM json_each($1)) AND t.user_id = users.id AND users.activated = TRUE
              AND (users.enabled = FALSE OR t.data_limit_reached = TRUE
                   OR (users.expire_strategy = 'fixed_date' AND users.expire_date < $2))
            RETURNING users.id";
    STARTED =>
        pg "SELECT u.id FROM users AS u JOIN user_traffic AS t ON t.user_id = u.id
            WHERE u.removed = FALSE AND u.expire_strategy = 'start_on_first_use' AND u.enabled = TRUE
              AND t.data_limit_reached = FALSE
              AND (t.online_at >= COALESCE(u.edit_at, u.created_at) OR u.activation_deadline <= $1)
            ORDER BY u.id LIMIT $2 FOR UPDATE OF u",
        lite "SELECT u.id FROM users AS u JOIN user_traffic AS t ON t.user_id = u.id
            WHERE u.removed = FALSE AND u.expire_strategy = 'start_on_first_use' AND u.enabled = TRUE
              AND t.data_limit_reached = FALSE
              AND (t.online_at >= COALESCE(u.edit_at, u.created_at) OR u.activation_deadline <= $1)
            ORDER BY u.id LIMIT $2";
    // The strategy is checked again: on PostgreSQL an admin may have come between.
    START =>
        pg "UPDATE users SET expire_strategy = 'fixed_date', expire_date = $2 + COALESCE(usage_duration, 0) * 1000000
            WHERE id = ANY($1::BIGINT[]) AND expire_strategy = 'start_on_first_use' RETURNING id",
        lite "UPDATE users SET expire_strategy = 'fixed_date', expire_date = $2 + COALESCE(usage_duration, 0) * 1000000
            WHERE id IN (SELECT value FROM json_each($1)) AND expire_strategy = 'start_on_first_use' RETURNING id";
}

/// Deactivates up to [`CHUNK`] users who are activated and should not be any more; returns them. The caller marks
/// them as changed.
pub async fn deactivate(tx: &mut Tx, now: Moment) -> Result<IdList, StoreError> {
    let found =
        run!(tx, RAN_OUT, |sql, c| { query_scalar::<_, i64>(sql).bind(now.micros()).bind(CHUNK).fetch_all(c).await })?;
    let found = IdList::new(found);
    if found.is_empty() {
        return Ok(found);
    }
    let done = run!(tx, DEACTIVATE, |sql, c| {
        query_scalar::<_, i64>(sql).bind(&found).bind(now.micros()).fetch_all(c).await
    })?;
    Ok(IdList::new(done))
}

/// Starts up to [`CHUNK`] on-hold users who were seen online since they were made or edited, or whose deadline has
/// come: from now they end after their duration. Returns how many.
pub async fn start_on_hold(tx: &mut Tx, now: Moment) -> Result<u64, StoreError> {
    let found =
        run!(tx, STARTED, |sql, c| { query_scalar::<_, i64>(sql).bind(now.micros()).bind(CHUNK).fetch_all(c).await })?;
    if found.is_empty() {
        return Ok(0);
    }
    let found = IdList::new(found);
    let started =
        run!(tx, START, |sql, c| { query_scalar::<_, i64>(sql).bind(&found).bind(now.micros()).fetch_all(c).await })?;
    Ok(started.len() as u64)
}
