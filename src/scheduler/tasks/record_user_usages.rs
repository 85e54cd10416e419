//! Fetches traffic from the nodes and applies it to users and nodes, each byte once.
//!
//! Fetching and staging are not fenced, because a node's reply is the only copy; applying is fenced. A run applies all
//! staged batches, including those of earlier runs and earlier leaders.

use std::time::Duration;

use tokio::time::Instant;

use super::context::{Context, TaskError};
use super::notifications;
use crate::config::crash_point::UsageStep;
use crate::domain::change::Changed;
use crate::domain::moment::SECOND;
use crate::domain::notification::Event;
use crate::domain::user::User;
use crate::foundation::chain;
use crate::store::usage::batches;
use crate::store::usage::batches::{Batch, BatchKey, DueBatches};
use crate::store::usage::totals::{Applied, ApplyOptions};
use crate::store::usage::{hours, totals};
use crate::store::{Engine, FencedTx, StoreError};

/// Time limit of the statement that applies the traffic of many users.
const STATEMENT_LIMIT: Duration = Duration::from_secs(60);
/// Replies within this time are applied at once: a node that does not answer must not delay the limits of all users.
const FAST_REPLIES: Duration = Duration::from_secs(1);
/// Time that a run waits for slow nodes.
const SLOW_REPLIES: Duration = Duration::from_secs(10);
/// Age (microseconds) at which applied batches are folded into hours per user, so that several batches of a node are
/// written together. At the end of the hour, batches are folded earlier.
const FOLD_AFTER: i64 = 150 * SECOND;
/// Time for folding in one run, so that it does not delay the next collection. The next run folds the rest.
const FOLD_BUDGET: Duration = Duration::from_secs(10);

/// Processing step of a usage batch.
#[derive(Clone, Copy)]
enum Step {
    Apply,
    Fold,
}

pub(super) async fn run(context: &Context) -> Result<i64, TaskError> {
    let (began, mut replies) = (Instant::now(), context.deps.collector.collect(&context.fence).await?);
    let all = replies.until(began + FAST_REPLIES).await;
    let mut charged = process_waiting(context, Step::Apply, None).await?;
    if !all {
        replies.until(began + SLOW_REPLIES).await;
        charged += process_waiting(context, Step::Apply, None).await?;
    }
    if charged > 0 {
        context.deps.changes.publish(Changed::Usage);
    }
    process_waiting(context, Step::Fold, Some(Instant::now() + FOLD_BUDGET)).await?;
    context.deps.collector.report_pending().await?;
    Ok(charged)
}

/// Processes all batches that wait for a step, until `end`. Returns the number of users charged.
async fn process_waiting(context: &Context, step: Step, end: Option<Instant>) -> Result<i64, TaskError> {
    let (mut charged, mut throttle) = (0, context.throttle());
    while !context.stop.is_cancelled() && end.is_none_or(|end| Instant::now() < end) {
        let waiting = step.waiting(context).await?;
        if waiting.is_empty() {
            break;
        }
        for key in &waiting.damaged {
            quarantine(context, *key, "its payload can't be read").await?;
        }
        charged += process_batches(context, step, &waiting.batches).await?;
        // On PostgreSQL, pauses would use up the time for folding.
        if matches!(step, Step::Apply) || context.deps.db.engine() == Engine::Sqlite {
            throttle.pause().await;
        }
    }
    Ok(charged)
}

/// Processes batches in one transaction. If the database refuses their data, processes each alone and quarantines those that
/// fail, so that they do not hold up the others.
async fn process_batches(context: &Context, step: Step, batches: &[Batch]) -> Result<i64, TaskError> {
    match step.take(context, batches).await {
        Err(error) if error.is_data() => {
            tracing::debug!(error = chain(&error), "usage batches were refused together; trying each alone");
        }
        settled => return settled,
    }
    let mut charged = 0;
    for batch in batches {
        match step.take(context, std::slice::from_ref(batch)).await {
            Err(error) if error.is_data() => quarantine(context, batch.key, &chain(&error)).await?,
            settled => charged += settled?,
        }
    }
    Ok(charged)
}

async fn quarantine(context: &Context, key: BatchKey, reason: &str) -> Result<(), TaskError> {
    let quarantine =
        async |tx: &mut FencedTx| -> Result<_, TaskError> { Ok(batches::quarantine(tx, key, reason).await?) };
    if context.fence.transaction("quarantine usage batch", quarantine).await? {
        tracing::error!(batch = %key, reason, "could not apply a usage batch; it is quarantined in table usage_batch");
    }
    Ok(())
}

impl Step {
    async fn waiting(self, context: &Context) -> Result<DueBatches, StoreError> {
        let db = &context.deps.db;
        match self {
            Self::Apply => batches::oldest_staged(db).await,
            Self::Fold => {
                let overdue = context.now.plus(-FOLD_AFTER).max(context.now.hour().plus(-1));
                batches::oldest_applied(db, overdue).await
            }
        }
    }

    /// Processes batches in one transaction. Returns the number of users charged.
    async fn take(self, context: &Context, batches: &[Batch]) -> Result<i64, TaskError> {
        if batches.is_empty() {
            return Ok(0);
        }
        let work = async |tx: &mut FencedTx| self.write(context, tx, batches).await;
        let applied = context.fence.transaction("record usage", work).await?;
        if !applied.is_empty() {
            context.deps.crash.pass(UsageStep::AfterCommit);
        }
        for done in &applied {
            let node = done.node.to_string();
            metrics::counter!("usage_bytes_total", "node" => node.clone()).increment(done.bytes.unsigned_abs());
            if done.unknown > 0 {
                metrics::counter!("usage_unknown_bytes_total", "node" => node).increment(done.unknown.unsigned_abs());
                tracing::warn!(node = %done.node, bytes = done.unknown, "a node reported traffic of users that do not exist");
            }
        }
        Ok(i64::try_from(applied.iter().map(|done| done.users).sum::<usize>()).unwrap_or(i64::MAX))
    }

    async fn write(self, context: &Context, tx: &mut FencedTx, batches: &[Batch]) -> Result<Vec<Applied>, TaskError> {
        tx.allow(STATEMENT_LIMIT).await?;
        let node_hours = context.deps.node_hours;
        let notify_percent = notifications::are_wanted(context).then_some(context.deps.usage_percent);
        let applied = match self {
            Self::Apply => {
                let options = ApplyOptions { node_hours, notify_percent };
                let outcome = totals::apply(tx, batches, options, context.now).await?;
                let cause =
                    |_: &User| batches.first().map_or(context.now, |batch| batch.fetched_at).micros().to_string();
                notifications::enter(context, tx, Event::ReachedUsagePercent, outcome.passed, cause).await?;
                outcome.applied
            }
            Self::Fold => {
                hours::fold(tx, batches, node_hours, context.now).await?;
                Vec::new()
            }
        };
        if !applied.is_empty() {
            context.deps.crash.pass(UsageStep::InsideApply);
        }
        Ok(applied)
    }
}
