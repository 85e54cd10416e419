//! Behind the sessions' own timers: a healthy node that had no full sync for too long is asked for one, a few at a time;
//! if that comes to nothing, the next run has it connected anew.

use super::{Context, TaskError};
use crate::domain::moment::SECOND;
use crate::store::nodes::sync_state;

/// Sessions sync fully every 15 minutes, give or take a tenth; a large node takes its time.
const OVERDUE: i64 = 20 * 60 * SECOND;
/// Nodes in one run.
const AT_ONCE: i64 = 20;

pub(super) async fn run(context: &Context) -> Result<i64, TaskError> {
    let asked = context
        .fence
        .transaction("request overdue syncs", async |tx| -> Result<_, TaskError> {
            Ok(sync_state::request_overdue(tx, context.now.plus(-OVERDUE), AT_ONCE).await?)
        })
        .await?;
    if asked > 0 {
        tracing::warn!(nodes = asked, "nodes had no full sync for 20 minutes; they are given one");
        context.deps.wakeup.notify();
    }
    Ok(i64::try_from(asked).unwrap_or(i64::MAX))
}
