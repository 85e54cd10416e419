//! What a node may have applied in part, and since when it has refused its users: kept here so that the next leader knows it.

use std::collections::BTreeMap;

use sqlx::query_scalar;

use super::sync_state::NodeRow;
use crate::domain::ids::{NodeId, UserId};
use crate::store::cluster::{Fence, FenceError};
use crate::store::engine::statement::{db_execute, db_read, statements};
use crate::store::engine::{Db, StoreError, clock};

statements! {
    USERS = "SELECT doubtful_users FROM nodes WHERE id = $1";
    // A series of refusals keeps its beginning, unless a full sync has ended since: an older version leaves it in place.
    RECORD = "UPDATE nodes SET doubtful_users = $2,
        refused_since = CASE WHEN refused_since > COALESCE(synced_at, 0) THEN refused_since ELSE $3 END
        WHERE id = $1 AND deleted_at IS NULL";
}

/// Users of whom the engines and the memory of a node may differ, with their names; an empty name is unknown.
pub type Users = BTreeMap<UserId, String>;

/// Records a node's users in doubt. `refused`: the node has refused its users.
pub async fn record(fence: &Fence, node: NodeId, users: &Users, refused: bool) -> Result<(), FenceError> {
    let text = (!users.is_empty()).then(|| serde_json::json!(users).to_string());
    let since = if refused { Some(clock::now(fence.db()).await?.micros()) } else { None };
    fence
        .transaction("record users in doubt", async |tx| {
            db_execute!(tx, RECORD, node.0, &text, since)?;
            Ok(())
        })
        .await
}

/// Returns a node's users in doubt.
pub async fn users(db: &Db, node: NodeId) -> Result<Users, StoreError> {
    let stored =
        db_read!(db, USERS, |sql, c| { query_scalar::<_, Option<String>>(sql).bind(node.0).fetch_optional(c).await })?;
    // Written by `record`.
    Ok(stored.flatten().and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default())
}

/// Returns for how many microseconds a node has refused its users. `None`: it has not since its last full sync.
pub async fn refused_for(db: &Db, row: &NodeRow) -> Result<Option<i64>, StoreError> {
    let since = row.refused_since.filter(|since| row.synced_at.is_none_or(|synced| synced < *since));
    match since {
        Some(since) => Ok(Some((clock::now(db).await?.micros() - since).max(0))),
        None => Ok(None),
    }
}
