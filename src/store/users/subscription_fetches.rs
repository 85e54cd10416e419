//! The table `subscription_fetches`: the last fetch of each subscription, with the client program.

use sqlx::query;

use crate::domain::ids::UserId;
use crate::domain::moment::Moment;
use crate::store::engine::statement::statements;
use crate::store::engine::{StoreError, Tx};

statements! {
    // Deleted users are left out, and an older fetch does not replace a newer one.
    UPSERT =>
        pg "INSERT INTO subscription_fetches (user_id, fetched_at, user_agent)
            SELECT f.user_id, f.fetched_at, f.user_agent
            FROM UNNEST(CAST($1 AS BIGINT[]), CAST($2 AS BIGINT[]), CAST($3 AS TEXT[])) AS f (user_id, fetched_at, user_agent)
            JOIN users u ON u.id = f.user_id
            ORDER BY f.user_id
            ON CONFLICT (user_id) DO UPDATE SET fetched_at = excluded.fetched_at, user_agent = excluded.user_agent
            WHERE subscription_fetches.fetched_at <= excluded.fetched_at",
        lite "INSERT INTO subscription_fetches (user_id, fetched_at, user_agent)
            SELECT u.id, f.value ->> 1, f.value ->> 2 FROM json_each($1) f JOIN users u ON u.id = f.value ->> 0
            WHERE TRUE
            ON CONFLICT (user_id) DO UPDATE SET fetched_at = excluded.fetched_at, user_agent = excluded.user_agent
            WHERE subscription_fetches.fetched_at <= excluded.fetched_at";
}

/// A fetch of a subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetch {
    /// Time of the fetch.
    pub at: Moment,
    /// User agent of the client.
    pub user_agent: String,
}

/// Stores the last fetch of each user; at most a few thousand, each user once, by id.
pub async fn upsert(tx: &mut Tx, fetches: &[(UserId, Fetch)]) -> Result<(), StoreError> {
    // By hand, because the binds differ: three arrays on PostgreSQL, a JSON text on SQLite.
    let stored = match &mut *tx {
        Tx::Pg(tx) => {
            let ids: Vec<i64> = fetches.iter().map(|(user, _)| user.0).collect();
            let times: Vec<i64> = fetches.iter().map(|(_, fetch)| fetch.at.micros()).collect();
            let agents: Vec<&str> = fetches.iter().map(|(_, fetch)| fetch.user_agent.as_str()).collect();
            query(UPSERT.pg).bind(ids).bind(times).bind(agents).execute(&mut *tx).await.map(drop)
        }
        Tx::Lite { tx, .. } => {
            let rows: Vec<_> =
                fetches.iter().map(|(user, fetch)| (user.0, fetch.at.micros(), fetch.user_agent.as_str())).collect();
            query(UPSERT.lite).bind(sqlx::types::Json(rows)).execute(&mut **tx).await.map(drop)
        }
    };
    stored.map_err(|source| tx.failed(UPSERT.name, source))
}
