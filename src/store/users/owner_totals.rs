//! The table `owner_totals`: the number of users of each admin, and their traffic. Triggers keep the number in step
//! with `users`; recordings of usage add the traffic.

use sqlx::query_scalar;

use crate::domain::ids::AdminId;
use crate::store::engine::statement::{db_execute, db_read, db_run, statements};
use crate::store::engine::{Db, StoreError, Tx};
use crate::store::usage::charge_columns::ChargeColumn;

statements! {
    USERS = "SELECT CAST(COALESCE(SUM(users), 0) AS BIGINT) FROM owner_totals
             WHERE CAST($1 AS BIGINT) IS NULL OR owner_id = $1";
    // A statement of its own after the one that locks the users' traffic, so that on PostgreSQL it sees a change of
    // owner in between. Binds are those of `charge_columns`; a float is exact far beyond the traffic of one recording.
    ADD_TRAFFIC =>
        pg "INSERT INTO owner_totals (owner_id, users, traffic)
            SELECT COALESCE(u.owner_id, 0), 0, SUM(e.counted)
            FROM UNNEST($1::BIGINT[], $2::BIGINT[]) AS e (user_id, counted) JOIN users u ON u.id = e.user_id GROUP BY 1",
        lite "INSERT INTO owner_totals (owner_id, users, traffic)
            SELECT COALESCE(u.owner_id, 0), 0, CAST(TOTAL(e.value ->> 1) AS INTEGER)
            FROM json_each($1) AS e JOIN users u ON u.id = e.value ->> 0 GROUP BY 1
            ON CONFLICT (owner_id) DO UPDATE SET traffic = traffic + excluded.traffic";
    // Rows of owners who have several, or whose only one says nothing. Returns the number of rows that were taken; on SQLite,
    // where each owner has one row, none.
    FOLD =>
        pg "WITH taken AS (DELETE FROM owner_totals WHERE ctid = ANY(ARRAY(
                               SELECT t.ctid FROM owner_totals t WHERE t.owner_id IN
                                   (SELECT m.owner_id FROM owner_totals m GROUP BY m.owner_id
                                    HAVING COUNT(*) > 1 OR (SUM(m.users) = 0 AND SUM(m.traffic) = 0))
                               ORDER BY t.owner_id LIMIT $1 FOR UPDATE OF t SKIP LOCKED))
                           RETURNING owner_id, users, traffic),
                 merged AS (INSERT INTO owner_totals (owner_id, users, traffic)
                            SELECT owner_id, SUM(users), SUM(traffic) FROM taken GROUP BY owner_id
                            HAVING SUM(users) <> 0 OR SUM(traffic) <> 0)
            SELECT COUNT(*) FROM taken",
        lite "DELETE FROM owner_totals WHERE users = 0 AND traffic = 0 AND $1 > 0 RETURNING 0";
}

/// Returns the number of users of an admin, or of all, that are not removed.
pub async fn users(db: &Db, owner: Option<AdminId>) -> Result<i64, StoreError> {
    db_read!(db, USERS, |sql, c| query_scalar::<_, i64>(sql).bind(owner.map(|owner| owner.0)).fetch_one(c).await)
}

/// Adds charges to the sums of the users' owners, after they were added to the users.
pub(in crate::store) async fn add_traffic(
    tx: &mut Tx,
    users: &ChargeColumn,
    counted: &ChargeColumn,
) -> Result<(), StoreError> {
    db_execute!(tx, ADD_TRAFFIC, users, counted)
}

/// Merges up to `limit` rows per owner, so that sums stay fast. No sum changes, and nobody is blocked. Returns the number of
/// rows that were merged: below `limit` none are left.
pub async fn fold(tx: &mut Tx, limit: i64) -> Result<i64, StoreError> {
    db_run!(tx, FOLD, |sql, c| query_scalar::<_, i64>(sql).bind(limit).fetch_all(c).await)
        .map(|taken| taken.first().copied().unwrap_or(0))
}
