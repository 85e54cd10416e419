//! Deactivates users who expired, used up their data or were disabled, and starts on-hold users who came online.

use std::time::Duration;

use super::{Context, TaskError};
use crate::store::{changes, retry, review};

/// Between two chunks, so that no other writer waits long.
const PAUSE: Duration = Duration::from_millis(50);

pub(super) async fn run(context: &Context) -> Result<i64, TaskError> {
    let mut items = 0;
    while !context.stop.is_cancelled() {
        let deactivated = retry(TaskError::is_retry, || deactivate(context)).await?;
        items += deactivated;
        if deactivated == 0 {
            break;
        }
        tokio::time::sleep(PAUSE).await;
    }
    while !context.stop.is_cancelled() {
        let started = retry(TaskError::is_retry, || start_on_hold(context)).await?;
        items += started;
        if started == 0 {
            break;
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(items)
}

async fn deactivate(context: &Context) -> Result<i64, TaskError> {
    let mut tx = context.fence.begin().await?;
    let users = review::deactivate(&mut tx, context.now).await?;
    let count = users.as_slice().len();
    if count > 0 {
        changes::mark(&mut tx, users, context.now).await?;
    }
    tx.commit().await?;
    if count > 0 {
        context.deps.bell.ring();
    }
    Ok(i64::try_from(count).unwrap_or(i64::MAX))
}

async fn start_on_hold(context: &Context) -> Result<i64, TaskError> {
    let mut tx = context.fence.begin().await?;
    let started = review::start_on_hold(&mut tx, context.now).await?;
    tx.commit().await?;
    Ok(i64::try_from(started).unwrap_or(i64::MAX))
}
