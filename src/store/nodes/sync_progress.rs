//! How far a node is in step with the users in the database.

use sqlx::query_as;

use crate::domain::ids::NodeId;
use crate::store::engine::statement::{db_read, row, statements};
use crate::store::engine::{Db, StoreError};

/// Most waiting users that are counted: a mass change of a million users must not make a page slow.
pub const MOST_COUNTED: i64 = 1_000;

statements! {
    // Connected: healthy under the current term, with a full list since, so that a session of this leader is open. A mark
    // stays until every connected node has confirmed the change, and does not say which nodes have not.
    OF_NODE = "WITH waiting AS (SELECT changed_at FROM user_change ORDER BY user_id LIMIT $2)
         SELECT n.synced_at, n.certificate_pin,
            (n.status = 'healthy' AND n.synced_epoch = (SELECT epoch FROM scheduler_epoch WHERE id = 1)) AS connected,
            (SELECT COUNT(*) FROM waiting) AS waiting_users,
            (SELECT MIN(changed_at) FROM waiting) AS waiting_since
         FROM nodes AS n WHERE n.id = $1 AND n.deleted_at IS NULL";
}

row! {
    /// The progress of a node. Times are unix microseconds.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct SyncProgress {
        /// Last full list that the node has confirmed.
        pub synced_at: Option<i64>,
        /// SHA-256 of the certificate that the node must present, in hex; `None`: the next certificate seen is pinned.
        pub certificate_pin: Option<String>,
        /// True if the leader is connected and the node has a full list of this term.
        pub connected: bool,
        /// Users with a change that connected nodes have not all confirmed, at most [`MOST_COUNTED`].
        pub waiting_users: i64,
        /// The oldest of these changes.
        pub waiting_since: Option<i64>,
    }
}

impl SyncProgress {
    /// True if the node has everything that is in the database.
    pub fn in_step(&self) -> bool {
        self.connected && self.waiting_users == 0
    }
}

/// Returns how far a node is in step.
pub async fn of_node(db: &Db, node: NodeId) -> Result<Option<SyncProgress>, StoreError> {
    db_read!(db, OF_NODE, |sql, c| {
        query_as::<_, SyncProgress>(sql).bind(node.0).bind(MOST_COUNTED).fetch_optional(c).await
    })
}
