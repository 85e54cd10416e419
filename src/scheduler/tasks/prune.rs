//! Deletes what is kept for a while only: the ledger for 7 days, payloads for an hour after folding, batch ids for
//! 90 days.

use std::time::Duration;

use super::{Context, TaskError};
use crate::domain::moment::{DAY, HOUR};
use crate::store::{retry, runs, usage_batches};

/// Between two transactions, so that no other writer waits long.
const PAUSE: Duration = Duration::from_millis(50);

/// What goes, and how many rows of it in one transaction: well within the time-out of a statement.
#[derive(Clone, Copy)]
enum Kept {
    /// Large, so few of them.
    Payloads,
    BatchIds,
    Runs,
}

pub(super) async fn run(context: &Context) -> Result<i64, TaskError> {
    let mut all = 0;
    for kept in [Kept::Payloads, Kept::BatchIds, Kept::Runs] {
        while !context.stop.is_cancelled() {
            let gone = retry(TaskError::is_retry, || kept.drop_some(context)).await?;
            if gone == 0 {
                break;
            }
            all += gone;
            tokio::time::sleep(PAUSE).await;
        }
    }
    Ok(i64::try_from(all).unwrap_or(i64::MAX))
}

impl Kept {
    async fn drop_some(self, context: &Context) -> Result<u64, TaskError> {
        let mut tx = context.fence.begin().await?;
        let gone = match self {
            Self::Payloads => usage_batches::drop_payloads(&mut tx, context.now.plus(-HOUR), 200).await?,
            Self::BatchIds => usage_batches::forget(&mut tx, context.now.plus(-90 * DAY), 2_000).await?,
            Self::Runs => runs::prune(&mut tx, context.now.plus(-7 * DAY), 2_000).await?,
        };
        tx.commit().await?;
        Ok(gone)
    }
}
