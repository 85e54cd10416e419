//! Brings home what the nodes counted and applies it: each byte once.
//!
//! Fetching is not fenced (the node's reply is the only copy, whoever leads by then); applying is. What an earlier
//! run or an earlier leader staged is applied all the same: the work is whatever is staged, not what was fetched.

use std::time::Duration;

use tokio::time::Instant;

use super::{Context, TaskError, notifications};
use crate::config::crash_point::UsageStep;
use crate::domain::moment::SECOND;
use crate::domain::notification::Event;
use crate::domain::user::User;
use crate::foundation::chain;
use crate::store::usage::batches;
use crate::store::usage::batches::{Batch, BatchKey, Waiting};
use crate::store::usage::totals::{Applied, ApplyOptions};
use crate::store::usage::{hours, totals};
use crate::store::{Engine, FencedTx, StoreError};

/// Many users are one large statement; the fence comes after it.
const STATEMENT_LIMIT: Duration = Duration::from_secs(60);
/// What has come by then is applied at once: a node that does not answer must not hold up the limits of all users.
const SHORTLY: Duration = Duration::from_secs(1);
/// How long a run waits for slow nodes.
const PATIENCE: Duration = Duration::from_secs(10);
/// Hours per user wait for several replies of their node, which are then written together. At the end of the hour they
/// need not wait.
const FOLD_AFTER: i64 = 150 * SECOND;
/// Folding must not hold up the next collection; what is left is folded by the next run.
const FOLD_BUDGET: Duration = Duration::from_secs(10);

/// What is done to batches that wait.
#[derive(Clone, Copy)]
enum Step {
    Apply,
    Fold,
}

pub(super) async fn run(context: &Context) -> Result<i64, TaskError> {
    let (began, mut replies) = (Instant::now(), context.deps.collector.collect(&context.fence).await?);
    let all = replies.until(began + SHORTLY).await;
    let mut charged = work_off(context, Step::Apply, None).await?;
    if !all {
        replies.until(began + PATIENCE).await;
        charged += work_off(context, Step::Apply, None).await?;
    }
    work_off(context, Step::Fold, Some(Instant::now() + FOLD_BUDGET)).await?;
    context.deps.collector.report_pending().await?;
    Ok(charged)
}

/// Does a step to everything that waits for it; returns how many users were charged.
async fn work_off(context: &Context, step: Step, end: Option<Instant>) -> Result<i64, TaskError> {
    let (mut charged, mut pace) = (0, context.pace());
    while !context.stop.is_cancelled() && end.is_none_or(|end| Instant::now() < end) {
        let waiting = step.waiting(context).await?;
        if waiting.is_empty() {
            break;
        }
        for key in &waiting.damaged {
            set_aside(context, *key, "its payload can't be read").await?;
        }
        charged += together_or_alone(context, step, &waiting.batches).await?;
        // PostgreSQL's pauses would come out of the time that folding has.
        if matches!(step, Step::Apply) || context.deps.db.engine() == Engine::Sqlite {
            pace.breathe().await;
        }
    }
    Ok(charged)
}

/// Batches that the database refuses for what is in them must not hold up the others: each is tried alone then, and
/// set aside if that is what it is.
async fn together_or_alone(context: &Context, step: Step, batches: &[Batch]) -> Result<i64, TaskError> {
    match step.take(context, batches).await {
        Err(error) if error.is_data() => tracing::debug!(error = chain(&error), "trying usage batches one by one"),
        settled => return settled,
    }
    let mut charged = 0;
    for batch in batches {
        match step.take(context, std::slice::from_ref(batch)).await {
            Err(error) if error.is_data() => set_aside(context, batch.key, &chain(&error)).await?,
            settled => charged += settled?,
        }
    }
    Ok(charged)
}

async fn set_aside(context: &Context, key: BatchKey, trouble: &str) -> Result<(), TaskError> {
    let set_aside =
        async |tx: &mut FencedTx| -> Result<_, TaskError> { Ok(batches::set_aside(tx, key, trouble).await?) };
    if context.fence.transaction("quarantine usage batch", set_aside).await? {
        tracing::error!(batch = %key, trouble, "usage can't be counted; it is set aside in usage_batch and not lost");
    }
    Ok(())
}

impl Step {
    async fn waiting(self, context: &Context) -> Result<Waiting, StoreError> {
        let db = &context.deps.db;
        match self {
            Self::Apply => batches::oldest_staged(db).await,
            Self::Fold => {
                let overdue = context.now.plus(-FOLD_AFTER).max(context.now.hour().plus(-1));
                batches::oldest_applied(db, overdue).await
            }
        }
    }

    /// One transaction; returns how many users were charged.
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
