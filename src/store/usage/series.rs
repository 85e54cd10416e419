//! Recorded traffic by hour, for series.
//!
//! `user_usage_hours` lags: an applied batch counts in totals and in `node_usage_hours` at once, but in its users'
//! hours only when it is folded, up to a few minutes later. So the series of users also read the batches that are
//! applied and not folded, in the same statement: in two, a batch that is folded in between would count twice or not at
//! all. The series of a node and of everybody are read from `node_usage_hours.counted` (the same bytes, summed over the
//! users of a node).
//!
//! Old hours are rolled up to days (`days`), which count at midnight.

use std::future::ready;

use futures_util::TryStreamExt as _;
use sqlx::{query_as, query_scalar};

use crate::domain::ids::{AdminId, NodeId, UserId};
use crate::domain::moment::Moment;
use crate::domain::usage::{bytes_of, counted, decode_entries};
use crate::domain::usage_series::Span;
use crate::domain::user::set::UserSet;
use crate::store::engine::statement::{db_read, row, statements};
use crate::store::engine::{Db, IdList, StoreError};

/// Hours of batches that are not folded yet, from $4 on. The types of the following unions are those of these columns.
macro_rules! unfolded {
    ($columns:literal) => {
        concat!(
            "SELECT ",
            $columns,
            "b.fetched_at - b.fetched_at % 3600000000 AS hour, CAST(0 AS BIGINT) AS bytes, b.coefficient, b.payload
             FROM usage_batch AS b
             WHERE b.state = 'applied' AND b.trouble IS NULL AND b.payload IS NOT NULL AND b.fetched_at >= $4
               AND b.fetched_at - b.fetched_at % 3600000000 BETWEEN $2 AND $3"
        )
    };
    // None if the user has had no traffic since: applying a batch sets `online_at` of its users.
    (of user $columns:literal) => {
        concat!(
            unfolded!($columns),
            " AND b.fetched_at <= (SELECT t.online_at FROM user_traffic AS t WHERE t.user_id = $1)"
        )
    };
}

statements! {
    OF_USER = concat!(
        unfolded!(of user ""),
        " UNION ALL SELECT hour, counted, NULL, NULL FROM user_usage_hours WHERE user_id = $1 AND hour BETWEEN $2 AND $3
          UNION ALL SELECT day, counted, NULL, NULL FROM user_usage_days WHERE user_id = $1 AND day BETWEEN $2 AND $3");
    OF_USER_BY_NODE = concat!(
        "SELECT n.id AS node_id, n.name AS node_name, h.hour, h.bytes, h.coefficient, h.payload
         FROM (", unfolded!(of user "b.node_id, "), "
               UNION ALL
               SELECT node_id, hour, counted, NULL, NULL FROM user_usage_hours WHERE user_id = $1 AND hour BETWEEN $2 AND $3
               UNION ALL
               SELECT node_id, day, counted, NULL, NULL FROM user_usage_days WHERE user_id = $1 AND day BETWEEN $2 AND $3) AS h
         LEFT JOIN nodes n ON n.id = h.node_id AND n.deleted_at IS NULL ORDER BY n.id IS NULL, n.id");
    USERS_OF =>
        pg "SELECT ARRAY(SELECT id FROM users WHERE owner_id = $1)",
        lite "SELECT json_group_array(id) FROM users WHERE owner_id = $1";
    OF_NODE =
        "SELECT hour, counted AS bytes FROM node_usage_hours WHERE node_id = $1 AND hour BETWEEN $2 AND $3
         UNION ALL SELECT day, counted FROM node_usage_days WHERE node_id = $1 AND day BETWEEN $2 AND $3";
    OF_ALL =
        "SELECT hour, counted AS bytes FROM node_usage_hours WHERE hour BETWEEN $1 AND $2
         UNION ALL SELECT day, counted FROM node_usage_days WHERE day BETWEEN $1 AND $2";
    // Sums are capped near the end of 64 bits instead of failing.
    OF_OWNER =>
        pg concat!(unfolded!(""), "
            UNION ALL SELECT h.hour, CAST(LEAST(SUM(h.counted), 9000000000000000000) AS BIGINT), NULL, NULL
            FROM users u JOIN user_usage_hours h ON h.user_id = u.id
            WHERE u.owner_id = $1 AND h.hour BETWEEN $2 AND $3 GROUP BY h.hour
            UNION ALL SELECT d.day, CAST(LEAST(SUM(d.counted), 9000000000000000000) AS BIGINT), NULL, NULL
            FROM users u JOIN user_usage_days d ON d.user_id = u.id
            WHERE u.owner_id = $1 AND d.day BETWEEN $2 AND $3 GROUP BY d.day"),
        lite concat!(unfolded!(""), "
            UNION ALL SELECT h.hour, CAST(MIN(TOTAL(h.counted), 9000000000000000000) AS INTEGER), NULL, NULL
            FROM users u JOIN user_usage_hours h ON h.user_id = u.id
            WHERE u.owner_id = $1 AND h.hour BETWEEN $2 AND $3 GROUP BY h.hour
            UNION ALL SELECT d.day, CAST(MIN(TOTAL(d.counted), 9000000000000000000) AS INTEGER), NULL, NULL
            FROM users u JOIN user_usage_days d ON d.user_id = u.id
            WHERE u.owner_id = $1 AND d.day BETWEEN $2 AND $3 GROUP BY d.day");
    NODE_EXISTS = "SELECT EXISTS (SELECT 1 FROM nodes WHERE id = $1 AND deleted_at IS NULL)";
}

row! {
    struct HourRow {
        hour: i64,
        bytes: i64,
    }
}

row! {
    /// An hour of users, or a batch.
    struct UsageRow {
        hour: i64,
        bytes: i64,
        coefficient: Option<f64>,
        payload: Option<Vec<u8>>,
    }
}

row! {
    struct NodeUsageRow {
        node_id: Option<i64>,
        node_name: Option<String>,
        hour: i64,
        bytes: i64,
        coefficient: Option<f64>,
        payload: Option<Vec<u8>>,
    }
}

/// Start of an hour, and its bytes multiplied by the node's coefficient.
pub type Hour = (Moment, i64);

/// The hours of a user on one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeHours {
    /// The node and its name; `None`: all deleted nodes.
    pub node: Option<(NodeId, String)>,
    /// Hours in no particular order.
    pub hours: Vec<Hour>,
}

/// Use of applied batches that are not folded yet. They do not count where users' hours are not recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfolded {
    /// They count.
    Counts,
    /// They do not.
    Ignored,
}

/// Returns a user's hours on all nodes.
pub async fn of_user(db: &Db, user: UserId, span: Span, unfolded: Unfolded) -> Result<Vec<Hour>, StoreError> {
    let (from, until) = bounds(span);
    let since = unfolded.since(from);
    let mut hours = Vec::new();
    db_read!(db, OF_USER, |sql, c| {
        let rows = query_as::<_, UsageRow>(sql).bind(user.0).bind(from).bind(until).bind(since).fetch(c);
        rows.try_for_each(|row| {
            hours.extend(row.hour_of(user));
            ready(Ok(()))
        })
        .await
    })?;
    Ok(hours)
}

/// Returns a user's hours by node, only nodes with traffic; deleted nodes come last and together.
pub async fn of_user_by_node(
    db: &Db,
    user: UserId,
    span: Span,
    unfolded: Unfolded,
) -> Result<Vec<NodeHours>, StoreError> {
    let (from, until) = bounds(span);
    let since = unfolded.since(from);
    let mut nodes: Vec<NodeHours> = Vec::new();
    db_read!(db, OF_USER_BY_NODE, |sql, c| {
        let rows = query_as::<_, NodeUsageRow>(sql).bind(user.0).bind(from).bind(until).bind(since).fetch(c);
        rows.try_for_each(|row| {
            let node = row.node_id.map(NodeId).zip(row.node_name);
            let NodeUsageRow { hour, bytes, coefficient, payload, .. } = row;
            if let Some(hour) = (UsageRow { hour, bytes, coefficient, payload }).hour_of(user) {
                match nodes.last_mut().filter(|last| last.node == node) {
                    Some(last) => last.hours.push(hour),
                    None => nodes.push(NodeHours { node, hours: vec![hour] }),
                }
            }
            ready(Ok(()))
        })
        .await
    })?;
    Ok(nodes)
}

/// Returns a node's hours, summed over its users. `None`: the node does not exist.
pub async fn of_node(db: &Db, node: NodeId, span: Span) -> Result<Option<Vec<Hour>>, StoreError> {
    let exists = db_read!(db, NODE_EXISTS, |sql, c| query_scalar::<_, bool>(sql).bind(node.0).fetch_one(c).await)?;
    if !exists {
        return Ok(None);
    }
    let (from, until) = bounds(span);
    let rows = db_read!(db, OF_NODE, |sql, c| {
        query_as::<_, HourRow>(sql).bind(node.0).bind(from).bind(until).fetch_all(c).await
    })?;
    Ok(Some(rows.into_iter().map(HourRow::hour).collect()))
}

/// Returns the hours of all nodes: an entry per node and hour.
pub async fn of_all(db: &Db, span: Span) -> Result<Vec<Hour>, StoreError> {
    let (from, until) = bounds(span);
    let rows = db_read!(db, OF_ALL, |sql, c| query_as::<_, HourRow>(sql).bind(from).bind(until).fetch_all(c).await)?;
    Ok(rows.into_iter().map(HourRow::hour).collect())
}

/// Returns the hours of an admin's users, removed ones included. Reads every hour of each user, so it takes longer the
/// more users the admin has.
pub async fn of_owner(db: &Db, owner: AdminId, span: Span, unfolded: Unfolded) -> Result<Vec<Hour>, StoreError> {
    let (from, until) = bounds(span);
    let since = unfolded.since(from);
    let ids = db_read!(db, USERS_OF, |sql, c| query_scalar::<_, IdList>(sql).bind(owner.0).fetch_one(c).await)?;
    let mut users = UserSet::default();
    ids.as_slice().iter().for_each(|id| users.insert(UserId(*id)));
    let mut hours = Vec::new();
    db_read!(db, OF_OWNER, |sql, c| {
        let rows = query_as::<_, UsageRow>(sql).bind(owner.0).bind(from).bind(until).bind(since).fetch(c);
        rows.try_for_each(|row| {
            hours.push(row.hour_of_all(&users));
            ready(Ok(()))
        })
        .await
    })?;
    Ok(hours)
}

const fn bounds(span: Span) -> (i64, i64) {
    (span.start.micros(), span.end.micros())
}

impl HourRow {
    const fn hour(self) -> Hour {
        (Moment::from_micros(self.hour), self.bytes)
    }
}

impl Unfolded {
    /// The time of the first batch that counts.
    const fn since(self, from: i64) -> i64 {
        match self {
            Self::Counts => from,
            Self::Ignored => i64::MAX,
        }
    }
}

impl UsageRow {
    /// The hour of a user; `None`: the batch has no bytes of the user.
    fn hour_of(self, user: UserId) -> Option<Hour> {
        let hour = Moment::from_micros(self.hour);
        let Some(payload) = self.payload else { return Some((hour, self.bytes)) };
        let bytes = counted(bytes_of(&payload, user)?, self.coefficient.unwrap_or_default());
        (bytes > 0).then_some((hour, bytes))
    }

    /// The hour of many users.
    fn hour_of_all(self, users: &UserSet) -> Hour {
        let coefficient = self.coefficient.unwrap_or_default();
        let entries = self.payload.as_deref().and_then(decode_entries).unwrap_or_default();
        let unfolded = entries.into_iter().filter(|(user, _)| users.contains(*user));
        let bytes = unfolded.fold(self.bytes, |sum, (_, bytes)| sum.saturating_add(counted(bytes, coefficient)));
        (Moment::from_micros(self.hour), bytes)
    }
}
