//! Requests a full sync of healthy nodes whose last one is overdue although sessions have timers for it. If a request has
//! no effect, the next run makes the session reconnect.

use super::context::{Context, TaskError};
use crate::domain::change::Changed;
use crate::domain::moment::SECOND;
use crate::store::nodes::sync_state;

/// Age of the last full sync, microseconds. Sessions sync fully every 15 minutes ± 10 %, and a large node takes a while.
const OVERDUE: i64 = 20 * 60 * SECOND;
/// Maximum number of nodes per run.
const NODES_PER_RUN: i64 = 20;

pub(super) async fn run(context: &Context) -> Result<i64, TaskError> {
    let requested = context
        .fence
        .transaction("request overdue syncs", async |tx| -> Result<_, TaskError> {
            Ok(sync_state::request_overdue(tx, context.now.plus(-OVERDUE), NODES_PER_RUN).await?)
        })
        .await?;
    if requested > 0 {
        tracing::warn!(nodes = requested, "nodes had no full sync for 20 minutes; requested one");
        context.deps.changes.publish(Changed::Nodes);
    }
    Ok(i64::try_from(requested).unwrap_or(i64::MAX))
}
