//! Deletes what is kept for a while only: the ledger for 7 days, payloads for an hour after folding, batch ids for
//! 90 days. And it folds what is only added to.

use super::{Context, TaskError};
use crate::domain::moment::{DAY, HOUR};
use crate::store::{owner_totals, runs, usage_batches};

pub(super) async fn run(context: &Context) -> Result<i64, TaskError> {
    let mut tx = context.fence.begin().await?;
    let batches = usage_batches::prune(&mut tx, context.now.plus(-HOUR), context.now.plus(-90 * DAY)).await?;
    owner_totals::fold(&mut tx).await?;
    let runs = runs::prune(&mut tx, context.now.plus(-7 * DAY)).await?;
    tx.commit().await?;
    Ok(i64::try_from(batches + runs).unwrap_or(i64::MAX))
}
