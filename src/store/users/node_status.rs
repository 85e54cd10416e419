//! The nodes of a user, and whether they have the user's latest state.

use sqlx::query_as;

use crate::domain::ids::UserId;
use crate::store::engine::statement::{db_read, row, statements};
use crate::store::engine::{Db, StoreError};

statements! {
    // Connected: healthy under the current term, so that a session of this leader is open. In sync: no mark of the user
    // is waiting.
    OF_USER =
        "SELECT n.id AS node_id, n.name AS node_name, n.synced_at, w.changed_at AS waiting_since,
                u.created_at, u.edit_at, u.sub_revoked_at,
                (n.status = 'healthy' AND w.user_id IS NULL
                    AND n.synced_epoch = (SELECT epoch FROM scheduler_epoch WHERE id = 1)) AS in_step
         FROM users AS u
         JOIN nodes AS n ON n.id IN (
            SELECT i.node_id FROM users_services AS m
            JOIN inbounds_services AS s ON s.service_id = m.service_id
            JOIN inbounds AS i ON i.id = s.inbound_id
            WHERE m.user_id = $1 AND i.absent_since IS NULL) AND n.deleted_at IS NULL
         LEFT JOIN user_change AS w ON w.user_id = u.id
         WHERE u.id = $1 ORDER BY n.id";
}

row! {
    /// A node with an inbound of a user. Times are unix microseconds.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct UserNode {
        /// Id of the node.
        pub node_id: i64,
        /// Name of the node.
        pub node_name: String,
        /// Last full sync of the node.
        pub synced_at: Option<i64>,
        /// Change of the user that nodes have not confirmed yet.
        pub waiting_since: Option<i64>,
        /// Creation of the user.
        pub created_at: i64,
        /// Last edit of the user.
        pub edit_at: Option<i64>,
        /// Last change of the user's key.
        pub sub_revoked_at: Option<i64>,
        /// True if the node is connected and no change of the user is waiting.
        pub in_step: bool,
    }
}

impl UserNode {
    /// Returns the time since when the status holds: the later of the user's last change and the node's last full sync.
    pub fn since(&self) -> i64 {
        let moments = [self.synced_at, self.waiting_since, self.edit_at, self.sub_revoked_at];
        moments.into_iter().flatten().fold(self.created_at, i64::max)
    }
}

/// Returns the nodes of a user, by id.
pub async fn of_user(db: &Db, user: UserId) -> Result<Vec<UserNode>, StoreError> {
    db_read!(db, OF_USER, |sql, c| query_as::<_, UserNode>(sql).bind(user.0).fetch_all(c).await)
}
