//! Requests of people to the leader: to run a task now, or to hand over.

use sqlx::query_as;
use uuid::Uuid;

use crate::domain::moment::{HOUR, Moment};
use crate::store::engine::statement::{db_execute, db_read, row, statements};
use crate::store::engine::{Db, StoreError, Tx};

statements! {
    ADD = "INSERT INTO task_request (id, task, requested_at) VALUES ($1, $2, $3)";
    UNHANDLED = "SELECT id, task, requested_at FROM task_request ORDER BY requested_at, id LIMIT 200";
    DELETE = "DELETE FROM task_request WHERE id = $1";
    DELETE_OLD = "DELETE FROM task_request WHERE requested_at < $1";
}

/// Requested like a task: the leader hands over.
pub const STEP_DOWN: &str = "step_down";

/// Age after which an unhandled request is deleted, in microseconds.
const REQUEST_LIFE: i64 = HOUR;

row! {
    /// A request to run a task now, made on any host.
    pub struct Request {
        /// Unique id.
        pub id: Uuid,
        /// Name of the task, or [`STEP_DOWN`].
        pub task: String,
        /// Time of the request in unix microseconds, which is the slot of the run.
        pub requested_at: i64,
    }
}

/// Requests a run of `task` in the slot `now`, or [`STEP_DOWN`].
pub async fn add(tx: &mut Tx, task: &str, now: Moment) -> Result<(), StoreError> {
    db_execute!(tx, ADD, Uuid::new_v4(), task, now.micros())
}

/// Returns the unhandled requests, oldest first.
pub async fn unhandled(db: &Db) -> Result<Vec<Request>, StoreError> {
    db_read!(db, UNHANDLED, |sql, c| query_as::<_, Request>(sql).fetch_all(c).await)
}

/// Deletes a request, in the transaction that starts its run.
pub async fn delete(tx: &mut Tx, id: Uuid) -> Result<(), StoreError> {
    db_execute!(tx, DELETE, id)
}

/// Deletes old requests for tasks that no leader knew.
pub async fn delete_old(tx: &mut Tx, now: Moment) -> Result<(), StoreError> {
    let before = now.plus(-REQUEST_LIFE).micros();
    db_execute!(tx, DELETE_OLD, before)
}
