//! Recorded traffic by hour, for series.
//!
//! `user_usage_hours` lags: an applied batch counts in totals and in `node_usage_hours` at once, but in its users'
//! hours only when it is folded, up to a few minutes later. So the series of users also read the batches that are
//! applied and not folded. One statement says which these are, with the hours: in two, a batch that is folded in between
//! would count twice or not at all. Their contents, which never change and stay for an hour after folding, are read
//! afterwards, a few at a time: those of a large panel have some hundred megabytes. The series of a node and of everybody are read from `node_usage_hours.counted` (the same bytes, summed over the
//! users of a node).
//!
//! Old hours are rolled up to days (`days`), which count at midnight.

use std::collections::HashMap;

use sqlx::{query_as, query_scalar};
use uuid::Uuid;

use crate::domain::ids::{AdminId, NodeId, UserId};
use crate::domain::moment::Moment;
use crate::domain::usage::{bytes_of, counted, decode_entries};
use crate::domain::usage_series::Span;
use crate::domain::user::set::UserSet;
use crate::store::engine::statement::{db_read, row, statements};
use crate::store::engine::{Db, IdList, StoreError};

/// Batches that are not folded yet and their hours, from $4 on. The types of the following unions are those of these columns.
macro_rules! unfolded {
    ($columns:literal) => {
        concat!(
            "SELECT ",
            $columns,
            "b.fetched_at - b.fetched_at % 3600000000 AS hour, CAST(0 AS BIGINT) AS bytes, b.coefficient, b.batch_id, b.part
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
        " UNION ALL SELECT hour, counted, NULL, NULL, NULL FROM user_usage_hours WHERE user_id = $1 AND hour BETWEEN $2 AND $3
          UNION ALL SELECT day, counted, NULL, NULL, NULL FROM user_usage_days WHERE user_id = $1 AND day BETWEEN $2 AND $3");
    OF_USER_BY_NODE = concat!(
        "SELECT n.id AS node_id, n.name AS node_name, h.hour, h.bytes, h.coefficient, h.batch_id, h.part
         FROM (", unfolded!(of user "b.node_id, "), "
               UNION ALL
               SELECT node_id, hour, counted, NULL, NULL, NULL FROM user_usage_hours WHERE user_id = $1 AND hour BETWEEN $2 AND $3
               UNION ALL
               SELECT node_id, day, counted, NULL, NULL, NULL FROM user_usage_days WHERE user_id = $1 AND day BETWEEN $2 AND $3) AS h
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
            UNION ALL SELECT h.hour, CAST(LEAST(SUM(h.counted), 9000000000000000000) AS BIGINT), NULL, NULL, NULL
            FROM users u JOIN user_usage_hours h ON h.user_id = u.id
            WHERE u.owner_id = $1 AND h.hour BETWEEN $2 AND $3 GROUP BY h.hour
            UNION ALL SELECT d.day, CAST(LEAST(SUM(d.counted), 9000000000000000000) AS BIGINT), NULL, NULL, NULL
            FROM users u JOIN user_usage_days d ON d.user_id = u.id
            WHERE u.owner_id = $1 AND d.day BETWEEN $2 AND $3 GROUP BY d.day"),
        lite concat!(unfolded!(""), "
            UNION ALL SELECT h.hour, CAST(MIN(TOTAL(h.counted), 9000000000000000000) AS INTEGER), NULL, NULL, NULL
            FROM users u JOIN user_usage_hours h ON h.user_id = u.id
            WHERE u.owner_id = $1 AND h.hour BETWEEN $2 AND $3 GROUP BY h.hour
            UNION ALL SELECT d.day, CAST(MIN(TOTAL(d.counted), 9000000000000000000) AS INTEGER), NULL, NULL, NULL
            FROM users u JOIN user_usage_days d ON d.user_id = u.id
            WHERE u.owner_id = $1 AND d.day BETWEEN $2 AND $3 GROUP BY d.day");
    // As many as PAYLOADS_AT_ONCE.
    PAYLOADS =
        "SELECT batch_id, part, payload FROM usage_batch
         WHERE (batch_id = $1 AND part = $2) OR (batch_id = $3 AND part = $4)
            OR (batch_id = $5 AND part = $6) OR (batch_id = $7 AND part = $8)";
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
        batch_id: Option<Uuid>,
        part: Option<i64>,
    }
}

row! {
    struct NodeUsageRow {
        node_id: Option<i64>,
        node_name: Option<String>,
        hour: i64,
        bytes: i64,
        coefficient: Option<f64>,
        batch_id: Option<Uuid>,
        part: Option<i64>,
    }
}

row! {
    struct PayloadRow {
        batch_id: Uuid,
        part: i64,
        payload: Option<Vec<u8>>,
    }
}

/// Contents of batches that are in memory at a time: 50,000 entries of 12 bytes each, at most.
const PAYLOADS_AT_ONCE: usize = 4;

/// Id and part of a batch.
type Key = (Uuid, i64);

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
    let rows = db_read!(db, OF_USER, |sql, c| {
        query_as::<_, UsageRow>(sql).bind(user.0).bind(from).bind(until).bind(since).fetch_all(c).await
    })?;
    let unfolded = unfolded_bytes(db, rows.iter().filter_map(UsageRow::batch), of_one(user)).await?;
    Ok(rows.iter().filter_map(|row| row.hour(&unfolded)).collect())
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
    let rows = db_read!(db, OF_USER_BY_NODE, |sql, c| {
        query_as::<_, NodeUsageRow>(sql).bind(user.0).bind(from).bind(until).bind(since).fetch_all(c).await
    })?;
    let rows: Vec<_> = rows.into_iter().map(NodeUsageRow::split).collect();
    let unfolded = unfolded_bytes(db, rows.iter().filter_map(|(_, row)| row.batch()), of_one(user)).await?;
    let mut nodes: Vec<NodeHours> = Vec::new();
    for (node, row) in rows {
        let Some(hour) = row.hour(&unfolded) else { continue };
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
pub async fn of_owner(db: &Db, owner: AdminId, span: Span, unfolded: Unfolded) -> Result<Vec<Hour>, StoreError> {
    let (from, until) = bounds(span);
    let since = unfolded.since(from);
    let ids = db_read!(db, USERS_OF, |sql, c| query_scalar::<_, IdList>(sql).bind(owner.0).fetch_one(c).await)?;
    let mut users = UserSet::default();
    ids.as_slice().iter().for_each(|id| users.insert(UserId(*id)));
    let rows = db_read!(db, OF_OWNER, |sql, c| {
        query_as::<_, UsageRow>(sql).bind(owner.0).bind(from).bind(until).bind(since).fetch_all(c).await
    })?;
    let unfolded = unfolded_bytes(db, rows.iter().filter_map(UsageRow::batch), of_many(&users)).await?;
    Ok(rows.iter().filter_map(|row| row.hour(&unfolded)).collect())
}

/// Reads what batches count for, by `count` of their entries and coefficient. Leaves out those that count for nothing.
async fn unfolded_bytes(
    db: &Db,
    batches: impl Iterator<Item = (Key, f64)>,
    count: impl Fn(&[u8], f64) -> i64,
) -> Result<HashMap<Key, i64>, StoreError> {
    let coefficients: HashMap<Key, f64> = batches.collect();
    let keys: Vec<Key> = coefficients.keys().copied().collect();
    let mut bytes = HashMap::new();
    for some in keys.chunks(PAYLOADS_AT_ONCE) {
        let rows = db_read!(db, PAYLOADS, |sql, c| {
            // Each pair of binds has a key; those that are left over repeat the first one.
            let binds = (0..PAYLOADS_AT_ONCE).map(|nth| some.get(nth).unwrap_or(&some[0]));
            let query = query_as::<_, PayloadRow>(sql);
            binds.fold(query, |query, (id, part)| query.bind(*id).bind(*part)).fetch_all(c).await
        })?;
        for PayloadRow { batch_id, part, payload } in rows {
            let key = (batch_id, part);
            let (payload, coefficient) = (payload.unwrap_or_default(), coefficients.get(&key).copied());
            let counted = count(&payload, coefficient.unwrap_or_default());
            if counted > 0 {
                bytes.insert(key, counted);
            }
        }
    }
    Ok(bytes)
}

/// Counts one user's bytes in a batch.
fn of_one(user: UserId) -> impl Fn(&[u8], f64) -> i64 {
    move |payload, coefficient| counted(bytes_of(payload, user).unwrap_or_default(), coefficient)
}

/// Counts the bytes of many users in a batch.
fn of_many(users: &UserSet) -> impl Fn(&[u8], f64) -> i64 {
    move |payload, coefficient| {
        let entries = decode_entries(payload).unwrap_or_default();
        let entries = entries.into_iter().filter(|(user, _)| users.contains(*user));
        entries.fold(0i64, |sum, (_, bytes)| sum.saturating_add(counted(bytes, coefficient)))
    }
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

impl NodeUsageRow {
    /// The node, and the rest.
    fn split(self) -> (Option<(NodeId, String)>, UsageRow) {
        let Self { node_id, node_name, hour, bytes, coefficient, batch_id, part } = self;
        (node_id.map(NodeId).zip(node_name), UsageRow { hour, bytes, coefficient, batch_id, part })
    }
}

impl UsageRow {
    /// The batch and its coefficient; `None`: the row is an hour.
    fn batch(&self) -> Option<(Key, f64)> {
        Some((self.batch_id.zip(self.part)?, self.coefficient.unwrap_or_default()))
    }

    /// The hour; `None`: a batch that counts for nothing.
    fn hour(&self, unfolded: &HashMap<Key, i64>) -> Option<Hour> {
        let bytes = match self.batch() {
            Some((key, _)) => *unfolded.get(&key)?,
            None => self.bytes,
        };
        Some((Moment::from_micros(self.hour), bytes))
    }
}
