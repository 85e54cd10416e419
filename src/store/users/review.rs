//! Queries and updates of the task `review_users`: users who ran out, and on-hold users who started. Candidates are
//! read outside of transactions; the update decides again from locked rows, so that a chunk can be repeated.

use sqlx::query_scalar;

use crate::domain::ids::UserId;
use crate::domain::moment::Moment;
use crate::store::engine::statement::{db_read, db_run, statements};
use crate::store::engine::{Db, IdList, StoreError, Tx};

/// Maximum number of users in one transaction.
pub const CHUNK: i64 = 500;

statements! {
    // Each reason has an index of its own. Removed users are not activated.
    EXPIRED = "SELECT id FROM users WHERE activated = TRUE AND expire_strategy = 'fixed_date' AND expire_date < $1
        ORDER BY expire_date LIMIT $2";
    DISABLED = "SELECT id FROM users WHERE activated = TRUE AND enabled = FALSE ORDER BY id LIMIT $1";
    // Nearly all users over their limit were deactivated long ago. PostgreSQL excludes them by small indexes, of which
    // it reads only ids; SQLite looks up each user, which costs it no more. `OFFSET 0` makes PostgreSQL look up each
    // user, too: with a join, while its statistics still say that nobody is deactivated, it may compare all users with
    // all users.
    LIMITED =>
        pg "SELECT t.user_id FROM user_traffic AS t
            WHERE t.data_limit_reached = TRUE AND t.user_id > $1
              AND NOT EXISTS (SELECT 1 FROM users AS x WHERE x.removed = FALSE AND x.activated = FALSE AND x.id = t.user_id OFFSET 0)
              AND NOT EXISTS (SELECT 1 FROM users AS r WHERE r.removed = TRUE AND r.id = t.user_id OFFSET 0)
            ORDER BY t.user_id LIMIT $2",
        lite "SELECT u.id FROM user_traffic AS t JOIN users AS u ON u.id = t.user_id
            WHERE t.data_limit_reached = TRUE AND u.activated = TRUE AND t.user_id > $1 ORDER BY t.user_id LIMIT $2";
    // A subquery for each of the few on-hold users: with a join, PostgreSQL would read the traffic of all users.
    STARTED = "SELECT u.id FROM users AS u
        WHERE u.removed = FALSE AND u.expire_strategy = 'start_on_first_use' AND u.enabled = TRUE AND u.id > $2
          AND (SELECT t.data_limit_reached = FALSE
                      AND (t.online_at >= COALESCE(u.edit_at, u.created_at) OR u.activation_deadline <= $1)
               FROM user_traffic AS t WHERE t.user_id = u.id)
        ORDER BY u.id LIMIT $3";
    LOCK =>
        pg "SELECT id FROM users WHERE id = ANY(CAST($1 AS BIGINT[])) ORDER BY id FOR UPDATE",
        lite "SELECT value FROM json_each($1)";
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
    START =>
        pg "UPDATE users AS u SET expire_strategy = 'fixed_date', expire_date = $2 + COALESCE(u.usage_duration, 0) * 1000000
            FROM user_traffic AS t
            WHERE u.id = ANY($1::BIGINT[]) AND t.user_id = u.id AND u.removed = FALSE AND u.enabled = TRUE
              AND u.expire_strategy = 'start_on_first_use' AND t.data_limit_reached = FALSE
              AND (t.online_at >= COALESCE(u.edit_at, u.created_at) OR u.activation_deadline <= $2)
            RETURNING u.id",
        lite "UPDATE users SET expire_strategy = 'fixed_date', expire_date = $2 + COALESCE(usage_duration, 0) * 1000000
            FROM user_traffic AS t
            WHERE users.id IN (SELECT value FROM json_each($1)) AND t.user_id = users.id AND users.removed = FALSE
              AND users.enabled = TRUE AND users.expire_strategy = 'start_on_first_use' AND t.data_limit_reached = FALSE
              AND (t.online_at >= COALESCE(users.edit_at, users.created_at) OR users.activation_deadline <= $2)
            RETURNING users.id";
}

/// A search of the review. Searches that may find the same users again continue behind the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Search {
    /// Activated users whose fixed date has passed.
    Expired,
    /// Activated users who are disabled.
    Disabled,
    /// Activated users after this one who have used up their data limit.
    Limited(UserId),
    /// On-hold users after this one with traffic since they were created or edited, or whose deadline has passed.
    Started(UserId),
}

impl Search {
    /// All searches in their order: users who ran out must not start.
    pub const ALL: [Self; 4] = [Self::Expired, Self::Disabled, Self::Limited(UserId(0)), Self::Started(UserId(0))];

    /// Returns the search that continues after these users.
    #[must_use]
    pub fn behind(self, found: &IdList) -> Self {
        let Some(last) = found.as_slice().last().copied().map(UserId) else { return self };
        match self {
            Self::Expired | Self::Disabled => self,
            Self::Limited(_) => Self::Limited(last),
            Self::Started(_) => Self::Started(last),
        }
    }
}

/// Returns up to [`CHUNK`] users.
pub async fn find(db: &Db, search: Search, now: Moment) -> Result<IdList, StoreError> {
    let now = now.micros();
    let found = match search {
        Search::Expired => {
            db_read!(db, EXPIRED, |sql, c| query_scalar::<_, i64>(sql).bind(now).bind(CHUNK).fetch_all(c).await)
        }
        Search::Disabled => {
            db_read!(db, DISABLED, |sql, c| query_scalar::<_, i64>(sql).bind(CHUNK).fetch_all(c).await)
        }
        Search::Limited(behind) => {
            db_read!(db, LIMITED, |sql, c| query_scalar::<_, i64>(sql).bind(behind.0).bind(CHUNK).fetch_all(c).await)
        }
        Search::Started(behind) => db_read!(db, STARTED, |sql, c| {
            query_scalar::<_, i64>(sql).bind(now).bind(behind.0).bind(CHUNK).fetch_all(c).await
        }),
    };
    found.map(IdList::new)
}

/// Deactivates the activated users among these who should no longer be active. Returns them; the caller marks them as
/// changed.
pub async fn deactivate(tx: &mut Tx, users: &IdList, now: Moment) -> Result<IdList, StoreError> {
    lock(tx, users).await?;
    let done = db_run!(tx, DEACTIVATE, |sql, c| {
        query_scalar::<_, i64>(sql).bind(users).bind(now.micros()).fetch_all(c).await
    })?;
    Ok(IdList::new(done))
}

/// Starts the accounts of those users who should start: from now they expire after their duration. Returns them.
pub async fn start_on_hold(tx: &mut Tx, users: &IdList, now: Moment) -> Result<IdList, StoreError> {
    lock(tx, users).await?;
    let started =
        db_run!(tx, START, |sql, c| { query_scalar::<_, i64>(sql).bind(users).bind(now.micros()).fetch_all(c).await })?;
    Ok(IdList::new(started))
}

/// Locks users by id, so that later statements decide from what others have committed.
pub async fn lock(tx: &mut Tx, users: &IdList) -> Result<(), StoreError> {
    db_run!(tx, LOCK, |sql, c| query_scalar::<_, i64>(sql).bind(users).fetch_all(c).await.map(drop))
}
