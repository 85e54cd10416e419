//! The table `bulk_request`: changes of many users by their idempotency keys, with their answers.

use sqlx::query_as;
use uuid::Uuid;

use crate::domain::ids::AdminId;
use crate::domain::moment::Moment;
use crate::store::engine::statement::{db_affected, db_execute, db_run, row, statements};
use crate::store::engine::{StoreError, Tx};

statements! {
    // Waits for a transaction that has inserted the same key.
    BEGIN = "INSERT INTO bulk_request (admin_id, idempotency_key, fingerprint, created_at) VALUES ($1, $2, $3, $4)
             ON CONFLICT (admin_id, idempotency_key) DO NOTHING";
    ANSWER = "SELECT fingerprint, matched, changed, next_cursor FROM bulk_request
              WHERE admin_id = $1 AND idempotency_key = $2";
    FINISH = "UPDATE bulk_request SET matched = $3, changed = $4, next_cursor = $5
              WHERE admin_id = $1 AND idempotency_key = $2";
    PRUNE = "DELETE FROM bulk_request WHERE (admin_id, idempotency_key) IN
                (SELECT admin_id, idempotency_key FROM bulk_request WHERE created_at < $1 ORDER BY created_at LIMIT $2)";
}

row! {
    /// A request that was made before.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Answered {
        /// The fingerprint of the request.
        pub fingerprint: String,
        /// Users who were selected.
        pub matched: i64,
        /// Users who were changed.
        pub changed: i64,
        /// Where to go on.
        pub next_cursor: Option<String>,
    }
}

/// A request of an admin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BulkRequest {
    /// The admin.
    pub admin: AdminId,
    /// The key that the client gave it.
    pub key: Uuid,
    /// Hash of what is asked for.
    pub fingerprint: String,
}

/// Enters a request; returns the answer if it was made before. Must be the first statement that locks something.
pub async fn begin(tx: &mut Tx, request: &BulkRequest, now: Moment) -> Result<Option<Answered>, StoreError> {
    let BulkRequest { admin, key, fingerprint } = request;
    if db_affected!(tx, BEGIN, admin.0, *key, fingerprint, now.micros())? == 1 {
        return Ok(None);
    }
    db_run!(tx, ANSWER, |sql, c| query_as::<_, Answered>(sql).bind(admin.0).bind(*key).fetch_optional(c).await)
}

/// Stores the answer to a request that was entered.
pub async fn finish(
    tx: &mut Tx,
    request: &BulkRequest,
    matched: i64,
    changed: i64,
    cursor: Option<String>,
) -> Result<(), StoreError> {
    db_execute!(tx, FINISH, request.admin.0, request.key, matched, changed, cursor)
}

/// Deletes at most `limit` requests from before a moment. Returns their number.
pub async fn prune(tx: &mut Tx, before: Moment, limit: i64) -> Result<u64, StoreError> {
    db_affected!(tx, PRUNE, before.micros(), limit)
}
