//! Sets used traffic back to zero where a day, a week, 30 days or 365 days have passed since the last reset.

use super::{Context, TaskError};
use crate::store::users::changes;
use crate::store::users::resets;
use crate::store::users::resets::CHUNK;
use crate::store::{FencedTx, IdList};

pub(super) async fn run(context: &Context) -> Result<i64, TaskError> {
    let (mut items, mut pace) = (0, context.pace());
    while !context.stop.is_cancelled() {
        let due = resets::due(&context.deps.db, context.now).await?;
        if due.is_empty() {
            break;
        }
        let done = context.fence.transaction("reset users", async |tx| reset(context, tx, &due).await).await?;
        context.deps.wakeup.notify();
        items += done;
        pace.breathe().await;
        if (due.as_slice().len() as i64) < CHUNK || done == 0 {
            break;
        }
    }
    Ok(items)
}

/// Returns how many users were reset.
async fn reset(context: &Context, tx: &mut FencedTx, due: &IdList) -> Result<i64, TaskError> {
    // The totals of many users may be being written just now.
    tx.allow(super::TURN_LIMIT).await?;
    let (reset, back) = resets::reset(tx, due, context.now).await?;
    changes::mark(tx, back, context.now).await?;
    Ok(i64::try_from(reset.as_slice().len()).unwrap_or(i64::MAX))
}
