//! Which nodes a user is on, and whether they have the user's latest state.

use sqlx::query_as;

use crate::domain::ids::UserId;
use crate::store::engine::statement::{db_read, row, statements};
use crate::store::engine::{Db, StoreError};

statements! {
    // Healthy under the current term: a session of this leader is open. No mark: nothing is on its way.
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
            WHERE m.user_id = $1)
         LEFT JOIN user_change AS w ON w.user_id = u.id
         WHERE u.id = $1 ORDER BY n.id";
}

row! {
    /// A node with one of a user's inbounds. Times are unix microseconds.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct UserNode {
        /// The node's row.
        pub node_id: i64,
        /// Its name.
        pub node_name: String,
        /// Its last full sync.
        pub synced_at: Option<i64>,
        /// The change that is on its way.
        pub waiting_since: Option<i64>,
        /// When the user was made.
        pub created_at: i64,
        /// The last edit.
        pub edit_at: Option<i64>,
        /// The last change of the key.
        pub sub_revoked_at: Option<i64>,
        /// The node's session is open and no change of the user is waiting.
        pub in_step: bool,
    }
}

impl UserNode {
    /// Since when it is as it is: the later of the user's last change and the node's last full sync.
    pub fn since(&self) -> i64 {
        let moments = [self.synced_at, self.waiting_since, self.edit_at, self.sub_revoked_at];
        moments.into_iter().flatten().fold(self.created_at, i64::max)
    }
}

/// The nodes of a user, by id.
pub async fn of_user(db: &Db, user: UserId) -> Result<Vec<UserNode>, StoreError> {
    db_read!(db, OF_USER, |sql, c| query_as::<_, UserNode>(sql).bind(user.0).fetch_all(c).await)
}
