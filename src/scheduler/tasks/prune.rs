//! Deletes old rows (runs after 7 days, payloads of usage batches an hour after folding, batch ids after 90 days,
//! notifications when their time is over) and what a deleted node left behind, sums hourly traffic up into daily traffic, and folds the owners' totals.

use std::time::Duration;

use super::context::{Context, TaskError};
use crate::domain::moment::{DAY, HOUR, Moment};
use crate::store::cluster::runs;
use crate::store::nodes;
use crate::store::notify::outbox;
use crate::store::usage::{batches, days};
use crate::store::users::owner_totals;
use crate::store::{Engine, Tx};

/// Pause between two transactions, so that no other writer waits long.
const PAUSE: Duration = Duration::from_millis(50);

/// Rows with a limited lifetime. Each transaction removes a number of them that fits its time limit.
#[derive(Clone, Copy)]
enum Retention {
    Payloads,
    BatchIds,
    Runs,
    OutboxEntries,
    /// Inbounds and hosts of nodes whose deletion was interrupted.
    DeletedNodes,
    /// Hourly traffic before this day.
    UserHours(Moment),
    NodeHours(Moment),
}

pub(super) async fn run(context: &Context) -> Result<i64, TaskError> {
    let mut retentions = vec![
        Retention::Payloads,
        Retention::BatchIds,
        Retention::Runs,
        Retention::OutboxEntries,
        Retention::DeletedNodes,
    ];
    if let Some(days) = context.deps.hourly_retention {
        let before = context.now.plus(-i64::from(days) * DAY).day();
        retentions.extend([Retention::NodeHours(before), Retention::UserHours(before)]);
    }
    let mut total = 0;
    for retention in retentions {
        while !context.stop.is_cancelled() {
            let removed =
                context.fence.transaction("prune", async |tx| retention.remove_some(context, tx).await).await?;
            if removed == 0 {
                break;
            }
            total += removed;
            tokio::time::sleep(PAUSE).await;
        }
    }
    context
        .fence
        .transaction("fold owner totals", async |tx| -> Result<_, TaskError> { Ok(owner_totals::fold(tx).await?) })
        .await?;
    Ok(i64::try_from(total).unwrap_or(i64::MAX))
}

impl Retention {
    /// Removes some rows whose time is over; returns how many.
    async fn remove_some(self, context: &Context, tx: &mut Tx) -> Result<u64, TaskError> {
        let hours = match tx.engine() {
            Engine::Postgres => 20_000,
            Engine::Sqlite => 5_000,
        };
        Ok(match self {
            Self::Payloads => batches::drop_payloads(tx, context.now.plus(-HOUR), 200).await?,
            Self::BatchIds => batches::forget(tx, context.now.plus(-90 * DAY), 2_000).await?,
            Self::Runs => runs::prune(tx, context.now.plus(-7 * DAY), 2_000).await?,
            Self::OutboxEntries => outbox::prune(tx, context.now, 2_000).await?,
            Self::DeletedNodes => match nodes::hidden(tx).await? {
                Some(node) => nodes::delete_part(tx, node).await.map(|_| 1)?,
                None => 0,
            },
            Self::UserHours(before) => days::roll_up_users(tx, before, hours).await?,
            Self::NodeHours(before) => days::roll_up_nodes(tx, before, hours).await?,
        })
    }
}
