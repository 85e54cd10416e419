//! Resets the used traffic of users whose period (a day, a week, 30 or 365 days) has passed since the last reset.

use super::context::{Context, LOCK_WAIT_LIMIT, TaskError};
use crate::domain::audit::{Entry, first_ids};
use crate::domain::change::Changed;
use crate::domain::schedule::Task;
use crate::store::users::changes;
use crate::store::users::resets;
use crate::store::users::resets::CHUNK;
use crate::store::{FencedTx, IdList};

pub(super) async fn run(context: &Context) -> Result<i64, TaskError> {
    let (mut items, mut throttle) = (0, context.throttle());
    while !context.stop.is_cancelled() {
        let due = resets::due(&context.deps.db, context.now).await?;
        if due.is_empty() {
            break;
        }
        let done = context.fence.transaction("reset users", async |tx| reset(context, tx, &due).await).await?;
        context.deps.changes.publish(Changed::Users);
        items += done;
        throttle.pause().await;
        if (due.as_slice().len() as i64) < CHUNK || done == 0 {
            break;
        }
    }
    Ok(items)
}

/// Returns the number of users reset.
async fn reset(context: &Context, tx: &mut FencedTx, due: &IdList) -> Result<i64, TaskError> {
    // Another transaction may be writing the totals of many users.
    tx.allow(LOCK_WAIT_LIMIT).await?;
    let (reset, back) = resets::reset(tx, due, context.now).await?;
    changes::mark(tx, back, context.now).await?;
    let count = i64::try_from(reset.as_slice().len()).unwrap_or(i64::MAX);
    let entry = Entry::of_many("user.reset", "period over", count).with(first_ids(reset.as_slice()));
    context.record(tx, Task::ResetUserDataUsage, &entry).await?;
    Ok(count)
}
