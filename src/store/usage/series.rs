//! Recorded traffic by hour, for series.
//!
//! `user_usage_hours` lags: an applied batch counts in totals and in `node_usage_hours` at once, but in its users'
//! hours only when it is folded, up to a few minutes later. So a user's series may lack the last minutes. The series of
//! a node and of everybody do not, because they are read from `node_usage_hours.counted` (the same bytes, summed over
//! the users of a node).
//!
//! Old hours are rolled up to days (`days`), which count at midnight.

use sqlx::{query_as, query_scalar};

use crate::domain::ids::{AdminId, NodeId, UserId};
use crate::domain::moment::Moment;
use crate::domain::usage_series::Span;
use crate::store::engine::statement::{db_read, row, statements};
use crate::store::engine::{Db, StoreError};

statements! {
    OF_USER =
        "SELECT hour, counted AS bytes FROM user_usage_hours WHERE user_id = $1 AND hour BETWEEN $2 AND $3
         UNION ALL SELECT day, counted FROM user_usage_days WHERE user_id = $1 AND day BETWEEN $2 AND $3";
    OF_USER_BY_NODE =
        "SELECT n.id AS node_id, n.name AS node_name, h.hour, h.counted AS bytes
         FROM (SELECT node_id, hour, counted FROM user_usage_hours WHERE user_id = $1 AND hour BETWEEN $2 AND $3
               UNION ALL
               SELECT node_id, day, counted FROM user_usage_days WHERE user_id = $1 AND day BETWEEN $2 AND $3) AS h
         LEFT JOIN nodes n ON n.id = h.node_id AND n.deleted_at IS NULL ORDER BY n.id IS NULL, n.id";
    OF_NODE =
        "SELECT hour, counted AS bytes FROM node_usage_hours WHERE node_id = $1 AND hour BETWEEN $2 AND $3
         UNION ALL SELECT day, counted FROM node_usage_days WHERE node_id = $1 AND day BETWEEN $2 AND $3";
    OF_ALL =
        "SELECT hour, counted AS bytes FROM node_usage_hours WHERE hour BETWEEN $1 AND $2
         UNION ALL SELECT day, counted FROM node_usage_days WHERE day BETWEEN $1 AND $2";
    // Sums are capped near the end of 64 bits instead of failing.
    OF_OWNER =>
        pg "SELECT h.hour, CAST(LEAST(SUM(h.counted), 9000000000000000000) AS BIGINT) AS bytes
            FROM users u JOIN user_usage_hours h ON h.user_id = u.id
            WHERE u.owner_id = $1 AND h.hour BETWEEN $2 AND $3 GROUP BY h.hour
            UNION ALL SELECT d.day, CAST(LEAST(SUM(d.counted), 9000000000000000000) AS BIGINT)
            FROM users u JOIN user_usage_days d ON d.user_id = u.id
            WHERE u.owner_id = $1 AND d.day BETWEEN $2 AND $3 GROUP BY d.day",
        lite "SELECT h.hour, CAST(MIN(TOTAL(h.counted), 9000000000000000000) AS INTEGER) AS bytes
            FROM users u JOIN user_usage_hours h ON h.user_id = u.id
            WHERE u.owner_id = $1 AND h.hour BETWEEN $2 AND $3 GROUP BY h.hour
            UNION ALL SELECT d.day, CAST(MIN(TOTAL(d.counted), 9000000000000000000) AS INTEGER)
            FROM users u JOIN user_usage_days d ON d.user_id = u.id
            WHERE u.owner_id = $1 AND d.day BETWEEN $2 AND $3 GROUP BY d.day";
    NODE_EXISTS = "SELECT EXISTS (SELECT 1 FROM nodes WHERE id = $1 AND deleted_at IS NULL)";
}

row! {
    struct HourRow {
        hour: i64,
        bytes: i64,
    }
}

row! {
    struct NodeHourRow {
        node_id: Option<i64>,
        node_name: Option<String>,
        hour: i64,
        bytes: i64,
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

/// Returns a user's hours on all nodes.
pub async fn of_user(db: &Db, user: UserId, span: Span) -> Result<Vec<Hour>, StoreError> {
    let (from, until) = bounds(span);
    let rows = db_read!(db, OF_USER, |sql, c| {
        query_as::<_, HourRow>(sql).bind(user.0).bind(from).bind(until).fetch_all(c).await
    })?;
    Ok(rows.into_iter().map(HourRow::hour).collect())
}

/// Returns a user's hours by node, only nodes with traffic; deleted nodes come last and together.
pub async fn of_user_by_node(db: &Db, user: UserId, span: Span) -> Result<Vec<NodeHours>, StoreError> {
    let (from, until) = bounds(span);
    let rows = db_read!(db, OF_USER_BY_NODE, |sql, c| {
        query_as::<_, NodeHourRow>(sql).bind(user.0).bind(from).bind(until).fetch_all(c).await
    })?;
    let mut nodes: Vec<NodeHours> = Vec::new();
    for row in rows {
        let node = row.node_id.map(NodeId).zip(row.node_name);
        let hour = (Moment::from_micros(row.hour), row.bytes);
        match nodes.last_mut().filter(|last| last.node == node) {
            Some(last) => last.hours.push(hour),
            None => nodes.push(NodeHours { node, hours: vec![hour] }),
        }
    }
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
pub async fn of_owner(db: &Db, owner: AdminId, span: Span) -> Result<Vec<Hour>, StoreError> {
    let (from, until) = bounds(span);
    let rows = db_read!(db, OF_OWNER, |sql, c| {
        query_as::<_, HourRow>(sql).bind(owner.0).bind(from).bind(until).fetch_all(c).await
    })?;
    Ok(rows.into_iter().map(HourRow::hour).collect())
}

const fn bounds(span: Span) -> (i64, i64) {
    (span.start.micros(), span.end.micros())
}

impl HourRow {
    const fn hour(self) -> Hour {
        (Moment::from_micros(self.hour), self.bytes)
    }
}
