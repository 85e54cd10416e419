//! Brings home what the nodes counted and applies it: each byte once.
//!
//! Fetching is not fenced (the node's reply is the only copy, whoever leads by then); applying is. What an earlier
//! run or an earlier leader staged is applied all the same: the work is whatever is staged, not what was fetched.

use std::time::Duration;

use super::{Context, TaskError};
use crate::domain::moment::SECOND;
use crate::store::usage_batches::{self, Batch};
use crate::store::{Engine, StoreError, retry};

/// Between two transactions on SQLite, so that another process's lease gets its turn.
const SQLITE_PAUSE: Duration = Duration::from_millis(50);
/// A large batch is one large statement; the fence comes after it.
const STATEMENT_LIMIT: Duration = Duration::from_secs(60);
/// Hours per user are folded a little later than totals, so that limits are in force first.
const FOLD_AFTER: i64 = 30 * SECOND;

pub(super) async fn run(context: &Context) -> Result<i64, TaskError> {
    context.deps.collector.collect(&context.fence).await?;
    let mut items = 0;
    while !context.stop.is_cancelled() {
        let Some(batch) = usage_batches::oldest_staged(&context.deps.db).await? else { break };
        items += retry(TaskError::is_retry, || apply(context, &batch)).await?;
        pause(context).await;
    }
    while !context.stop.is_cancelled() {
        let Some(batch) = oldest_to_fold(context).await? else { break };
        retry(TaskError::is_retry, || fold(context, &batch)).await?;
        pause(context).await;
    }
    Ok(items)
}

async fn apply(context: &Context, batch: &Batch) -> Result<i64, TaskError> {
    let mut tx = context.fence.begin().await?;
    tx.allow(STATEMENT_LIMIT).await?;
    let applied = usage_batches::apply(&mut tx, batch, context.deps.node_hours, context.now).await?;
    tx.commit().await?;
    let Some(applied) = applied else { return Ok(0) };
    metrics::counter!("usage_bytes_total", "node" => batch.node.to_string()).increment(applied.bytes.unsigned_abs());
    if applied.unknown > 0 {
        tracing::warn!(
            node = batch.node.0,
            bytes = applied.unknown,
            "a node reported traffic of users that do not exist"
        );
    }
    Ok(i64::try_from(applied.users).unwrap_or(i64::MAX))
}

async fn fold(context: &Context, batch: &Batch) -> Result<bool, TaskError> {
    let mut tx = context.fence.begin().await?;
    tx.allow(STATEMENT_LIMIT).await?;
    let folded = usage_batches::fold(&mut tx, batch, context.deps.node_hours, context.now).await?;
    tx.commit().await?;
    Ok(folded)
}

async fn oldest_to_fold(context: &Context) -> Result<Option<Batch>, StoreError> {
    usage_batches::oldest_applied(&context.deps.db, context.now.plus(-FOLD_AFTER)).await
}

async fn pause(context: &Context) {
    if context.deps.db.engine() == Engine::Sqlite {
        tokio::time::sleep(SQLITE_PAUSE).await;
    }
}
