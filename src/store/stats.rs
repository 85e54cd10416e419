//! How many there are of what.

use sqlx::query_as;

use super::{Db, StoreError, read, row, statements};
use crate::domain::ids::AdminId;
use crate::domain::moment::{Moment, SECOND};

/// Traffic within so long means that a user is online.
const ONLINE_WITHIN: i64 = 30 * SECOND;

/// Counts users, each kind by an index of its own; `$owner` restricts them. Accounts that do not work are counted each
/// for one reason (the date, else that they are switched off, else the traffic), because their union would have to be
/// built. Of those who have used up their traffic, `$live` keeps the ones that are not removed, `$else_active` those with
/// no other reason.
macro_rules! count_users {
    ($owner:literal, $of_totals:literal, $live:literal, $else_active:literal) => {
        concat!(
            "SELECT
                 (SELECT CAST(COALESCE(SUM(o.users), 0) AS BIGINT) FROM owner_totals o ",
            $of_totals,
            ") AS total,
                 (SELECT COUNT(*) FROM users u WHERE u.removed = FALSE ",
            $owner,
            " AND u.expire_date < $1)
                 + (SELECT COUNT(*) FROM users u WHERE u.removed = FALSE ",
            $owner,
            " AND u.enabled = FALSE AND COALESCE(u.expire_date, 9223372036854775807) >= $1)
                 + (SELECT COUNT(*) FROM user_traffic t ",
            $else_active,
            ") AS inactive,
                 (SELECT COUNT(*) FROM users u WHERE u.removed = FALSE ",
            $owner,
            "
                      AND u.expire_strategy = 'start_on_first_use') AS on_hold,
                 (SELECT COUNT(*) FROM users u WHERE u.removed = FALSE ",
            $owner,
            " AND u.expire_date < $1) AS expired,
                 (SELECT COUNT(*) FROM user_traffic t ",
            $live,
            ") AS limited,
                 (SELECT COUNT(*) FROM user_traffic t CROSS JOIN users u
                      WHERE t.online_at >= $2 AND u.id = t.user_id AND u.removed = FALSE ",
            $owner,
            ") AS online"
        )
    };
}

statements! {
    // Nobody's owner is looked at: the small indexes of who is removed, switched off or expired say all, where the users
    // themselves would each be looked up.
    USERS = count_users!(
        "",
        "",
        "WHERE t.data_limit_reached = TRUE
             AND NOT EXISTS (SELECT 1 FROM users r WHERE r.removed = TRUE AND r.id = t.user_id)",
        "WHERE t.data_limit_reached = TRUE
             AND NOT EXISTS (SELECT 1 FROM users r WHERE r.removed = TRUE AND r.id = t.user_id)
             AND NOT EXISTS (SELECT 1 FROM users r
                             WHERE r.removed = FALSE AND r.enabled = FALSE AND r.id = t.user_id)
             AND NOT EXISTS (SELECT 1 FROM users r
                             WHERE r.removed = FALSE AND r.expire_date < $1 AND r.id = t.user_id)"
    );
    USERS_OF = count_users!(
        "AND u.owner_id = $3",
        "WHERE o.owner_id = $3",
        "CROSS JOIN users u
             WHERE t.data_limit_reached = TRUE AND u.id = t.user_id AND u.removed = FALSE AND u.owner_id = $3",
        "CROSS JOIN users u
             WHERE t.data_limit_reached = TRUE AND u.id = t.user_id AND u.removed = FALSE AND u.owner_id = $3
                 AND u.enabled AND COALESCE(u.expire_date, 9223372036854775807) >= $1"
    );
    NODES =
        "SELECT COUNT(*) AS total, COUNT(CASE WHEN status = 'healthy' THEN 1 END) AS healthy,
                COUNT(CASE WHEN status = 'unhealthy' THEN 1 END) AS unhealthy
         FROM nodes";
}

row! {
    struct UserRow {
        total: i64,
        inactive: i64,
        on_hold: i64,
        expired: i64,
        limited: i64,
        online: i64,
    }
}

row! {
    /// How many nodes there are; those that are neither are disabled.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct NodeCounts {
        /// All.
        pub total: i64,
        /// Connected and in step.
        pub healthy: i64,
        /// Not connected.
        pub unhealthy: i64,
    }
}

/// How many users there are, removed ones never.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserCounts {
    /// All.
    pub total: i64,
    /// Whose account works.
    pub active: i64,
    /// Who wait for their first use.
    pub on_hold: i64,
    /// Whose fixed date has passed.
    pub expired: i64,
    /// Who have used up their traffic.
    pub limited: i64,
    /// With traffic within the last 30 seconds.
    pub online: i64,
}

/// Counts users: an admin's own, or all.
pub async fn users(db: &Db, owner: Option<AdminId>, now: Moment) -> Result<UserCounts, StoreError> {
    let (now, since) = (now.micros(), now.plus(-ONLINE_WITHIN).micros());
    let counts = match owner {
        None => {
            read!(db, USERS, |sql, c| query_as::<_, UserRow>(sql).bind(now).bind(since).fetch_one(c).await)
        }
        Some(owner) => read!(db, USERS_OF, |sql, c| {
            query_as::<_, UserRow>(sql).bind(now).bind(since).bind(owner.0).fetch_one(c).await
        }),
    }?;
    let UserRow { total, inactive, on_hold, expired, limited, online } = counts;
    Ok(UserCounts { total, active: total - inactive, on_hold, expired, limited, online })
}

/// Counts nodes.
pub async fn nodes(db: &Db) -> Result<NodeCounts, StoreError> {
    read!(db, NODES, |sql, c| query_as::<_, NodeCounts>(sql).fetch_one(c).await)
}
