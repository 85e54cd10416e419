//! Users and the bytes they are charged, as two binds.

use crate::domain::ids::UserId;
use crate::store::engine::Engine;
use crate::store::engine::by_engine::ByEngine;

/// An array on PostgreSQL; on SQLite the first bind has both columns as a JSON text, and the second is NULL.
pub(in crate::store) type ChargeColumn = ByEngine<Vec<i64>, Option<String>>;

/// Users and counted bytes: two arrays for `UNNEST` on PostgreSQL; on SQLite `[[user, counted], …]` for `json_each`,
/// and NULL.
pub(in crate::store) fn charge_columns(engine: Engine, charges: &[(UserId, i64)]) -> (ChargeColumn, ChargeColumn) {
    match engine {
        Engine::Postgres => {
            let (users, counts) = charges.iter().map(|(user, counted)| (user.0, *counted)).unzip();
            (ByEngine::Pg(users), ByEngine::Pg(counts))
        }
        Engine::Sqlite => {
            // Lists of numbers always serialize.
            (ByEngine::Lite(Some(serde_json::to_string(charges).unwrap_or_default())), ByEngine::Lite(None))
        }
    }
}
