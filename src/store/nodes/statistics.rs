//! What a node did lately: its users, its last reply with traffic, and how often it failed.

use sqlx::query_as;

use crate::domain::ids::NodeId;
use crate::domain::moment::{Moment, SECOND};
use crate::store::engine::statement::{db_read, row, statements};
use crate::store::engine::{Db, StoreError};

/// Longest age of a reply that counts as the last one, in microseconds. Older ones say nothing about now, and their number
/// must not slow the statement down.
const RECENT: i64 = 3_600 * SECOND;

statements! {
    OF_NODE = "SELECT failures, healings, healed_at, synced_users, last_status_change FROM nodes
        WHERE id = $1 AND deleted_at IS NULL";
    // A large reply has several parts.
    LAST_REPLY = "SELECT fetched_at, CAST(SUM(entries) AS BIGINT) AS users, CAST(SUM(bytes) AS BIGINT) AS bytes
        FROM usage_batch
        WHERE state_at >= $2 AND fetched_at >= $2 AND state <> 'staged' AND trouble IS NULL AND payload IS NOT NULL
            AND node_id = $1
        GROUP BY fetched_at ORDER BY fetched_at DESC LIMIT 1";
}

row! {
    /// Counts of a node. Times are unix microseconds.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct NodeCounts {
        /// How often the node became unhealthy.
        pub failures: i64,
        /// How often its engines were restarted because it kept refusing its users.
        pub healings: i64,
        /// When they were last restarted for that.
        pub healed_at: Option<i64>,
        /// Number of users in the last full list that it has confirmed; `None`: not counted yet.
        pub synced_users: Option<i64>,
        /// When its status last changed.
        pub last_status_change: Option<i64>,
    }
}

row! {
    /// A node's last reply with traffic.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct LastReply {
        /// When the node was asked, in unix microseconds.
        pub fetched_at: i64,
        /// Number of users with traffic since the reply before.
        pub users: i64,
        /// Raw bytes of these users.
        pub bytes: i64,
    }
}

/// Returns the counts of a node.
pub async fn of_node(db: &Db, node: NodeId) -> Result<Option<NodeCounts>, StoreError> {
    db_read!(db, OF_NODE, |sql, c| query_as::<_, NodeCounts>(sql).bind(node.0).fetch_optional(c).await)
}

/// Returns the last reply of a node that is in the totals, of the hour before `now`.
pub async fn last_reply(db: &Db, node: NodeId, now: Moment) -> Result<Option<LastReply>, StoreError> {
    let since = now.plus(-RECENT).micros();
    db_read!(db, LAST_REPLY, |sql, c| {
        query_as::<_, LastReply>(sql).bind(node.0).bind(since).fetch_optional(c).await
    })
}
