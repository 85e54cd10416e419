//! Who writes many rows of `user_traffic` in one transaction takes a turn first, and so can't meet another one in the
//! middle. Locking the rows by id beforehand would do the same and costs as much again as a third of the writing.

use sqlx::query_scalar;

use crate::store::engine::statement::{db_run, statements};
use crate::store::engine::{StoreError, Tx};

statements! {
    // Held to the end of the transaction.
    ONE_AT_A_TIME =>
        pg "SELECT 1 FROM (SELECT pg_advisory_xact_lock(7310303452)) AS held",
        lite "SELECT 1";
}

/// Waits until no other transaction is writing many rows of `user_traffic`. Its place in the order of locks is that of
/// `user_traffic`; whoever writes a single row needs none.
pub(in crate::store) async fn one_at_a_time(tx: &mut Tx) -> Result<(), StoreError> {
    db_run!(tx, ONE_AT_A_TIME, |sql, c| query_scalar::<_, i32>(sql).fetch_one(c).await.map(drop))
}
