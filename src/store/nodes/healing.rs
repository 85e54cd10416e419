//! When the engines of a node were last restarted because the node kept refusing its users.

use super::sync_state::NodeRow;
use crate::domain::ids::NodeId;
use crate::store::cluster::{Fence, FenceError};
use crate::store::engine::statement::{db_affected, statements};
use crate::store::engine::{Db, StoreError, clock};

statements! {
    CLAIM = "UPDATE nodes SET healed_at = $2, healings = healings + 1
        WHERE id = $1 AND deleted_at IS NULL AND status <> 'disabled' AND (healed_at IS NULL OR healed_at <= $3)";
}

/// Returns whether a node's engines were not restarted for `interval` microseconds.
pub async fn is_due(db: &Db, row: &NodeRow, interval: i64) -> Result<bool, StoreError> {
    match row.healed_at {
        Some(healed_at) => Ok(healed_at <= clock::now(db).await?.plus(-interval).micros()),
        None => Ok(true),
    }
}

/// Records that a node's engines are about to be restarted. False: they were restarted less than `interval` microseconds
/// ago, or the node is disabled or gone.
pub async fn claim(fence: &Fence, node: NodeId, interval: i64) -> Result<bool, FenceError> {
    let now = clock::now(fence.db()).await?;
    fence
        .transaction("claim healing of node", async |tx| {
            let claimed = db_affected!(tx, CLAIM, node.0, now.micros(), now.plus(-interval).micros())?;
            Ok(claimed > 0)
        })
        .await
}
