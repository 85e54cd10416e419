//! Rolls hours of usage up to days after so many days, and deletes what is kept for a while only: the ledger for 7 days,
//! payloads for an hour after folding, batch ids for 90 days, letters of the outbox for as long as each says. And it
//! folds what is only added to.

use std::time::Duration;

use super::{Context, TaskError};
use crate::domain::moment::{DAY, HOUR, Moment};
use crate::store::cluster::runs;
use crate::store::notify::outbox;
use crate::store::usage::{batches, days};
use crate::store::users::owner_totals;
use crate::store::{Engine, Tx};

/// Between two transactions, so that no other writer waits long.
const PAUSE: Duration = Duration::from_millis(50);

/// What goes, some of it in each transaction: so much that a statement stays well within its time-out.
#[derive(Clone, Copy)]
enum Kept {
    /// Large, so few of them.
    Payloads,
    BatchIds,
    Runs,
    Letters,
    /// Hours of users and nodes before this day.
    UserHours(Moment),
    NodeHours(Moment),
}

pub(super) async fn run(context: &Context) -> Result<i64, TaskError> {
    let mut kept = vec![Kept::Payloads, Kept::BatchIds, Kept::Runs, Kept::Letters];
    if let Some(days) = context.deps.hourly_retention {
        let before = context.now.plus(-i64::from(days) * DAY).day();
        kept.extend([Kept::NodeHours(before), Kept::UserHours(before)]);
    }
    let mut all = 0;
    for kept in kept {
        while !context.stop.is_cancelled() {
            let gone = context.fence.transaction("prune", async |tx| kept.drop_some(context, tx).await).await?;
            if gone == 0 {
                break;
            }
            all += gone;
            tokio::time::sleep(PAUSE).await;
        }
    }
    context
        .fence
        .transaction("fold owner totals", async |tx| -> Result<_, TaskError> { Ok(owner_totals::fold(tx).await?) })
        .await?;
    Ok(i64::try_from(all).unwrap_or(i64::MAX))
}

impl Kept {
    async fn drop_some(self, context: &Context, tx: &mut Tx) -> Result<u64, TaskError> {
        let hours = match tx.engine() {
            Engine::Postgres => 20_000,
            Engine::Sqlite => 5_000,
        };
        Ok(match self {
            Self::Payloads => batches::drop_payloads(tx, context.now.plus(-HOUR), 200).await?,
            Self::BatchIds => batches::forget(tx, context.now.plus(-90 * DAY), 2_000).await?,
            Self::Runs => runs::prune(tx, context.now.plus(-7 * DAY), 2_000).await?,
            Self::Letters => outbox::prune(tx, context.now, 2_000).await?,
            Self::UserHours(before) => days::roll_up_users(tx, before, hours).await?,
            Self::NodeHours(before) => days::roll_up_nodes(tx, before, hours).await?,
        })
    }
}
