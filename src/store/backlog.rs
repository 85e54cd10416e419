//! Work that is waiting: changes on their way to nodes, nodes that lack their list, and usage that is not counted yet.

use sqlx::query_as;

use crate::store::engine::statement::{db_read, row, statements};
use crate::store::engine::{Db, StoreError};

/// Most rows of each kind that are counted: a mass change of a million users must not make a page slow.
pub const MOST_COUNTED: i64 = 1_000;

statements! {
    WAITING = "WITH waiting AS (SELECT changed_at FROM user_change ORDER BY user_id LIMIT $1),
             staged AS (SELECT fetched_at FROM usage_batch WHERE state = 'staged' AND trouble IS NULL
                        ORDER BY fetched_at, part, batch_id LIMIT $1),
             aside AS (SELECT batch_id FROM usage_batch WHERE trouble IS NOT NULL ORDER BY batch_id, part LIMIT $1)
         SELECT (SELECT COUNT(*) FROM waiting) AS users, (SELECT MIN(changed_at) FROM waiting) AS users_since,
             (SELECT COUNT(*) FROM staged) AS usage, (SELECT MIN(fetched_at) FROM staged) AS usage_since,
             (SELECT COUNT(*) FROM aside) AS quarantined";
    // Healthy, and without the full list of the present term.
    OUT_OF_STEP = "SELECT id, name, synced_at FROM nodes
         WHERE deleted_at IS NULL AND status = 'healthy'
             AND synced_epoch <> (SELECT epoch FROM scheduler_epoch WHERE id = 1)
         ORDER BY id LIMIT $1";
}

row! {
    /// Work that is waiting. Times are unix microseconds; counts are at most [`MOST_COUNTED`].
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Waiting {
        /// Users with a change that connected nodes have not all confirmed.
        pub users: i64,
        /// The oldest of these changes.
        pub users_since: Option<i64>,
        /// Usage replies of nodes that are stored and not counted yet.
        pub usage: i64,
        /// The oldest of these replies.
        pub usage_since: Option<i64>,
        /// Usage replies that can't be counted and wait for a person.
        pub quarantined: i64,
    }
}

row! {
    /// A connected node that waits for its full list of users.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct OutOfStep {
        /// Id of the node.
        pub id: i64,
        /// Name of the node.
        pub name: String,
        /// Last full list that the node has confirmed, in unix microseconds.
        pub synced_at: Option<i64>,
    }
}

/// Returns the work that is waiting.
pub async fn waiting(db: &Db) -> Result<Waiting, StoreError> {
    db_read!(db, WAITING, |sql, c| query_as::<_, Waiting>(sql).bind(MOST_COUNTED).fetch_one(c).await)
}

/// Returns the nodes that wait for their full list, by id.
pub async fn out_of_step(db: &Db) -> Result<Vec<OutOfStep>, StoreError> {
    db_read!(db, OUT_OF_STEP, |sql, c| query_as::<_, OutOfStep>(sql).bind(MOST_COUNTED).fetch_all(c).await)
}
