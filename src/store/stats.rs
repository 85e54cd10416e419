//! Counts of users and nodes, for the overview.

use sqlx::query_as;

use crate::domain::ids::AdminId;
use crate::domain::moment::{Moment, SECOND};
use crate::store::engine::statement::{db_read, row, statements};
use crate::store::engine::{Db, StoreError};
use crate::store::users::online;

/// A user with traffic within this time is online, in microseconds.
const ONLINE_WITHIN: i64 = 30 * SECOND;

statements! {
    // Each count uses an index of its own: the small partial indexes (removed, disabled, expired) answer it, where a
    // count over `users` would look up every row. Inactive accounts are counted once each, for the date, else for being
    // disabled, else for the traffic, because a union of the three sets would have to be built.
    USERS =
        "SELECT
             (SELECT CAST(COALESCE(SUM(o.users), 0) AS BIGINT) FROM owner_totals o) AS total,
             (SELECT COUNT(*) FROM users u WHERE u.removed = FALSE AND u.expire_date < $1)
                 + (SELECT COUNT(*) FROM users u WHERE u.removed = FALSE
                        AND u.enabled = FALSE AND COALESCE(u.expire_date, 9223372036854775807) >= $1)
                 + (SELECT COUNT(*) FROM user_traffic t WHERE t.data_limit_reached = TRUE
                        AND NOT EXISTS (SELECT 1 FROM users r WHERE r.removed = TRUE AND r.id = t.user_id)
                        AND NOT EXISTS (SELECT 1 FROM users r
                                        WHERE r.removed = FALSE AND r.enabled = FALSE AND r.id = t.user_id)
                        AND NOT EXISTS (SELECT 1 FROM users r
                                        WHERE r.removed = FALSE AND r.expire_date < $1 AND r.id = t.user_id)) AS inactive,
             (SELECT COUNT(*) FROM users u WHERE u.removed = FALSE
                  AND u.expire_strategy = 'start_on_first_use') AS on_hold,
             (SELECT COUNT(*) FROM users u WHERE u.removed = FALSE AND u.expire_date < $1) AS expired,
             (SELECT COUNT(*) FROM user_traffic t WHERE t.data_limit_reached = TRUE
                  AND NOT EXISTS (SELECT 1 FROM users r WHERE r.removed = TRUE AND r.id = t.user_id)) AS limited";
    // The owner's index has every column that is asked for, except for the data limit, which has another index.
    USERS_OF =
        "SELECT
             (SELECT CAST(COALESCE(SUM(o.users), 0) AS BIGINT) FROM owner_totals o WHERE o.owner_id = $2) AS total,
             f.inactive, f.on_hold, f.expired, f.limited
         FROM (SELECT COUNT(CASE WHEN u.expire_date < $1 OR NOT u.enabled OR r.user_id IS NOT NULL THEN 1 END) AS inactive,
                      COUNT(CASE WHEN u.expire_strategy = 'start_on_first_use' THEN 1 END) AS on_hold,
                      COUNT(CASE WHEN u.expire_date < $1 THEN 1 END) AS expired,
                      COUNT(r.user_id) AS limited
               FROM users u LEFT JOIN user_traffic r ON r.user_id = u.id AND r.data_limit_reached = TRUE
               WHERE u.removed = FALSE AND u.owner_id = $2) AS f";
    NODES =
        "SELECT COUNT(*) AS total, COUNT(CASE WHEN status = 'healthy' THEN 1 END) AS healthy,
                COUNT(CASE WHEN status = 'unhealthy' THEN 1 END) AS unhealthy
         FROM nodes WHERE deleted_at IS NULL";
}

row! {
    struct UserRow {
        total: i64,
        inactive: i64,
        on_hold: i64,
        expired: i64,
        limited: i64,
    }
}

row! {
    /// Counts of nodes; nodes that are neither healthy nor unhealthy are disabled.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct NodeCounts {
        /// All.
        pub total: i64,
        /// Healthy nodes: connected and in sync.
        pub healthy: i64,
        /// Unhealthy nodes.
        pub unhealthy: i64,
    }
}

/// Counts of users; removed users are never included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserCounts {
    /// All.
    pub total: i64,
    /// Users whose account works.
    pub active: i64,
    /// Users on hold: waiting for their first use.
    pub on_hold: i64,
    /// Users whose fixed expiry date has passed.
    pub expired: i64,
    /// Users who have used up their data limit.
    pub limited: i64,
    /// Users with traffic within the last 30 seconds.
    pub online: i64,
}

/// Counts the users of an admin, or all.
pub async fn users(db: &Db, owner: Option<AdminId>, now: Moment) -> Result<UserCounts, StoreError> {
    let counting = async {
        let now = now.micros();
        match owner {
            None => db_read!(db, USERS, |sql, c| query_as::<_, UserRow>(sql).bind(now).fetch_one(c).await),
            Some(owner) => {
                db_read!(db, USERS_OF, |sql, c| query_as::<_, UserRow>(sql).bind(now).bind(owner.0).fetch_one(c).await)
            }
        }
    };
    let (counts, online) = tokio::try_join!(counting, online::count(db, owner, now.plus(-ONLINE_WITHIN)))?;
    let UserRow { total, inactive, on_hold, expired, limited } = counts;
    Ok(UserCounts { total, active: total - inactive, on_hold, expired, limited, online })
}

/// Counts the nodes.
pub async fn nodes(db: &Db) -> Result<NodeCounts, StoreError> {
    db_read!(db, NODES, |sql, c| query_as::<_, NodeCounts>(sql).fetch_one(c).await)
}
