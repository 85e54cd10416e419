//! Serialises transactions that write many rows of `user_traffic`, so that they can't deadlock. Locking the rows by id
//! beforehand would also do, but costs a third more of the writing.

use sqlx::query_scalar;

use crate::store::engine::statement::{db_run, statements};
use crate::store::engine::{StoreError, Tx};

statements! {
    // Held until the end of the transaction.
    ONE_AT_A_TIME =>
        pg "SELECT 1 FROM (SELECT pg_advisory_xact_lock(7310303452)) AS held",
        lite "SELECT 1";
}

/// Waits until no other transaction writes many rows of `user_traffic`. In the order of locks it has the place of
/// `user_traffic`; a writer of a single row does not need it.
pub(in crate::store) async fn one_at_a_time(tx: &mut Tx) -> Result<(), StoreError> {
    db_run!(tx, ONE_AT_A_TIME, |sql, c| query_scalar::<_, i32>(sql).fetch_one(c).await.map(drop))
}
