//! The table `user_change`: users that may differ from what nodes have. A transaction that changes something nodes
//! should know about a user marks the user here; the leader's node supervisor deletes the marks.

use sqlx::query_as;
use uuid::Uuid;

use crate::domain::ids::{ServiceId, UserId};
use crate::domain::moment::Moment;
use crate::store::cluster::{Fence, FenceError};
use crate::store::engine::statement::{db_execute, db_read, row, statements};
use crate::store::engine::{Db, IdList, StoreError, Tx};

statements! {
    MARK =>
        pg "INSERT INTO user_change (user_id, change_id, changed_at) SELECT id, $2, $3 FROM UNNEST(CAST($1 AS BIGINT[])) AS ids (id)
            ON CONFLICT (user_id) DO UPDATE SET change_id = excluded.change_id, changed_at = excluded.changed_at",
        lite "INSERT INTO user_change (user_id, change_id, changed_at) SELECT value, $2, $3 FROM json_each($1) WHERE TRUE
            ON CONFLICT (user_id) DO UPDATE SET change_id = excluded.change_id, changed_at = excluded.changed_at";
    MARK_USERS_OF_SERVICE =
        "INSERT INTO user_change (user_id, change_id, changed_at)
         SELECT s.user_id, $2, $3 FROM users_services s JOIN users u ON u.id = s.user_id
         WHERE s.service_id = $1 AND s.user_id <= $4 AND u.activated = TRUE ORDER BY s.user_id
         ON CONFLICT (user_id) DO UPDATE SET change_id = excluded.change_id, changed_at = excluded.changed_at";
    PAGE = "SELECT user_id, change_id FROM user_change WHERE user_id > $1 ORDER BY user_id LIMIT $2";
    CLEAR =>
        pg "WITH settled AS (
                SELECT c.user_id FROM user_change AS c
                JOIN json_to_recordset(CAST($1 AS JSON)) AS d (user_id BIGINT, change_id UUID)
                    ON d.user_id = c.user_id AND d.change_id = c.change_id
                ORDER BY c.user_id FOR UPDATE OF c)
            DELETE FROM user_change WHERE user_id IN (SELECT user_id FROM settled)",
        lite "DELETE FROM user_change WHERE (user_id, lower(hex(change_id))) IN
            (SELECT value ->> 'user_id', value ->> 'change_id' FROM json_each($1))";
}

row! {
    /// A mark: a user that may differ from what nodes have.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Mark {
        /// Id of the user.
        pub user_id: i64,
        /// Id of the change, new with every change.
        pub change_id: Uuid,
    }
}

/// Marks users as changed. An existing mark gets a new id, so that a sender of the older state does not delete it.
pub async fn mark(tx: &mut Tx, users: IdList, now: Moment) -> Result<(), StoreError> {
    let change_id = Uuid::now_v7();
    db_execute!(tx, MARK, users, change_id, now.micros())
}

/// Returns the next marks after `after`, by user, at most `limit`.
pub async fn page(db: &Db, after: UserId, limit: usize) -> Result<Vec<Mark>, StoreError> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    db_read!(db, PAGE, |sql, c| query_as::<_, Mark>(sql).bind(after.0).bind(limit).fetch_all(c).await)
}

/// Deletes marks that every node has confirmed. The mark of a user who has changed again has another id and stays.
pub async fn clear(fence: &Fence, marks: &[Mark]) -> Result<(), FenceError> {
    let entry = |mark: &Mark| serde_json::json!({"user_id": mark.user_id, "change_id": mark.change_id.simple()});
    let list = marks.iter().map(entry).collect::<serde_json::Value>().to_string();
    fence
        .transaction("clear user changes", async |tx| {
            db_execute!(tx, CLEAR, &list)?;
            Ok(())
        })
        .await
}

/// Marks the activated users of a service, up to a user id: before the inbounds of the service change, or before it is
/// deleted.
pub async fn mark_users_of(tx: &mut Tx, service: ServiceId, up_to: UserId, now: Moment) -> Result<(), StoreError> {
    let change_id = Uuid::now_v7();
    db_execute!(tx, MARK_USERS_OF_SERVICE, service.0, change_id, now.micros(), up_to.0)
}
