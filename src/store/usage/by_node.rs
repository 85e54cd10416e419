//! Recorded traffic of all users by node.

use sqlx::query_as;

use crate::domain::ids::NodeId;
use crate::domain::usage_series::Span;
use crate::store::engine::statement::{db_read, row, statements};
use crate::store::engine::{Db, StoreError};

statements! {
    // Sums are capped near the end of 64 bits instead of failing.
    BY_NODE =>
        pg "SELECT n.id AS node_id, n.name AS node_name, CAST(LEAST(SUM(h.counted), 9000000000000000000) AS BIGINT) AS bytes
            FROM (SELECT node_id, counted FROM node_usage_hours WHERE hour BETWEEN $1 AND $2
                  UNION ALL SELECT node_id, counted FROM node_usage_days WHERE day BETWEEN $1 AND $2) AS h
            LEFT JOIN nodes n ON n.id = h.node_id AND n.deleted_at IS NULL
            GROUP BY n.id, n.name ORDER BY 3 DESC, 1",
        lite "SELECT n.id AS node_id, n.name AS node_name, CAST(MIN(TOTAL(h.counted), 9000000000000000000) AS INTEGER) AS bytes
            FROM (SELECT node_id, counted FROM node_usage_hours WHERE hour BETWEEN $1 AND $2
                  UNION ALL SELECT node_id, counted FROM node_usage_days WHERE day BETWEEN $1 AND $2) AS h
            LEFT JOIN nodes n ON n.id = h.node_id AND n.deleted_at IS NULL
            GROUP BY n.id, n.name ORDER BY 3 DESC, 1";
}

row! {
    struct NodeBytes {
        node_id: Option<i64>,
        node_name: Option<String>,
        bytes: i64,
    }
}

/// The traffic of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeTotal {
    /// The node and its name; `None`: all deleted nodes.
    pub node: Option<(NodeId, String)>,
    /// Bytes as they were counted for users.
    pub bytes: i64,
}

/// Returns the traffic of each node that had any in the span, most first.
pub async fn totals(db: &Db, span: Span) -> Result<Vec<NodeTotal>, StoreError> {
    let (from, until) = (span.start.micros(), span.end.micros());
    let rows = db_read!(db, BY_NODE, |sql, c| query_as::<_, NodeBytes>(sql).bind(from).bind(until).fetch_all(c).await)?;
    let total = |row: NodeBytes| NodeTotal { node: row.node_id.map(NodeId).zip(row.node_name), bytes: row.bytes };
    Ok(rows.into_iter().map(total).collect())
}
