//! Deletes old rows (runs after 7 days, payloads of usage batches an hour after folding, batch ids after 90 days,
//! notifications when their time is over, answers to changes of many users after a day, the log of changes for copies after two, edges after one without a report, sessions when their tokens have expired) and what a deleted node left behind, sums hourly traffic up into daily traffic, and folds the owners' totals.

use std::time::Duration;

use super::context::{Context, TaskError};
use crate::actions::audit::{PRUNE_ACTION, start_text};
use crate::domain::audit::Entry;
use crate::domain::copy::LOG_RETENTION;
use crate::domain::moment::{DAY, HOUR, Moment};
use crate::domain::schedule::Task;
use crate::store::access::{api_tokens, passkeys, quotas, sessions};
use crate::store::audit::seals;
use crate::store::cluster::runs;
use crate::store::copy::source;
use crate::store::edges;
use crate::store::nodes;
use crate::store::notify::outbox;
use crate::store::usage::{batches, days};
use crate::store::users::{bulk_requests, owner_totals};
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
    /// Sessions whose tokens have expired.
    Sessions,
    /// API tokens that expired a month ago; until then their admins see why a program has stopped.
    ApiTokens,
    /// Challenges that passkeys have signed.
    Challenges,
    /// Inbounds and hosts of nodes whose deletion was interrupted.
    DeletedNodes,
    /// Answers to changes of many users.
    BulkRequests,
    /// The log of changes that copies follow.
    CopyChanges,
    /// Edges that are gone.
    Edges,
    /// Batches of edges' fetches.
    EdgeBatches,
    /// Hourly traffic before this day.
    UserHours(Moment),
    NodeHours(Moment),
    /// Sealed entries of the audit log from before this moment.
    Audit(Moment),
}

pub(super) async fn run(context: &Context) -> Result<i64, TaskError> {
    let mut retentions = vec![
        Retention::Payloads,
        Retention::BatchIds,
        Retention::Runs,
        Retention::OutboxEntries,
        Retention::Sessions,
        Retention::ApiTokens,
        Retention::Challenges,
        Retention::DeletedNodes,
        Retention::BulkRequests,
        Retention::CopyChanges,
        Retention::Edges,
        Retention::EdgeBatches,
    ];
    if let Some(days) = context.deps.hourly_retention {
        let before = context.now.plus(-i64::from(days) * DAY).day();
        retentions.extend([Retention::NodeHours(before), Retention::UserHours(before)]);
    }
    if let Some(days) = context.deps.audit_retention {
        retentions.push(Retention::Audit(context.now.plus(-i64::from(days) * DAY)));
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
    for sums in [Sums::Totals, Sums::MovedTraffic] {
        while !context.stop.is_cancelled() {
            let merged = context.fence.transaction("fold owner totals", async |tx| sums.merge_some(tx).await).await?;
            if merged < MERGED_AT_ONCE {
                break;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
    Ok(i64::try_from(total).unwrap_or(i64::MAX))
}

/// Rows that one transaction merges: a tenth of a second. Giving away a million users leaves a million or two.
const MERGED_AT_ONCE: i64 = 50_000;

/// Sums per owner, to which each change adds a row.
#[derive(Clone, Copy)]
enum Sums {
    Totals,
    MovedTraffic,
}

impl Sums {
    async fn merge_some(self, tx: &mut Tx) -> Result<i64, TaskError> {
        Ok(match self {
            Self::Totals => owner_totals::fold(tx, MERGED_AT_ONCE).await?,
            Self::MovedTraffic => quotas::fold_moved(tx, MERGED_AT_ONCE).await?,
        })
    }
}

/// Seals that one transaction deletes with their entries: some thousand, as an admin's hour rarely has more than one entry a second.
const SEALS_AT_ONCE: i64 = 20;

/// Deletes the oldest part of the audit log, and says in it from where the chain goes on.
async fn remove_entries(context: &Context, tx: &mut Tx, before: Moment) -> Result<u64, TaskError> {
    let Some(removed) = seals::prune(tx, before, SEALS_AT_ONCE).await? else { return Ok(0) };
    let entry = Entry::of_one(PRUNE_ACTION).with(start_text(&removed.last));
    context.record(tx, Task::Prune, &entry).await?;
    // At least one: the seals themselves.
    Ok(removed.entries.max(1))
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
            // An hour later, because the clocks of hosts differ.
            Self::Sessions => sessions::prune(tx, context.now.plus(-HOUR), 2_000).await?,
            Self::ApiTokens => api_tokens::prune(tx, context.now.plus(-30 * DAY), 2_000).await?,
            // An hour later, because the clocks of hosts differ.
            Self::Challenges => passkeys::prune(tx, context.now.plus(-HOUR), 2_000).await?,
            Self::DeletedNodes => match nodes::hidden(tx).await? {
                Some(node) => nodes::delete_part(tx, node).await.map(|_| 1)?,
                None => 0,
            },
            Self::BulkRequests => bulk_requests::prune(tx, context.now.plus(-DAY), 2_000).await?,
            Self::CopyChanges => source::prune(tx, context.now.plus(-LOG_RETENTION), 2_000).await?,
            Self::Edges => edges::prune(tx, context.now.plus(-DAY)).await?,
            // A batch that is sent again even later stores the same fetches once more, which changes nothing.
            Self::EdgeBatches => edges::prune_batches(tx, context.now.plus(-30 * DAY), 2_000).await?,
            Self::UserHours(before) => days::roll_up_users(tx, before, hours).await?,
            Self::NodeHours(before) => days::roll_up_nodes(tx, before, hours).await?,
            Self::Audit(before) => remove_entries(context, tx, before).await?,
        })
    }
}
