//! Deactivates users who expired, used up their data or were disabled, and starts on-hold users who came online.

use super::{Context, TaskError, notifications};
use crate::domain::notification::Event;
use crate::store::users::changes;
use crate::store::users::review;
use crate::store::users::review::{CHUNK, Search};
use crate::store::{IdList, retry, users};

pub(super) async fn run(context: &Context) -> Result<i64, TaskError> {
    let (mut items, mut pace) = (0, context.pace());
    for first in Search::ALL {
        let mut search = first;
        while !context.stop.is_cancelled() {
            let found = review::find(&context.deps.db, search, context.now).await?;
            if found.is_empty() {
                break;
            }
            let done = retry(TaskError::is_retry, || settle(context, search, &found)).await?;
            items += done;
            pace.breathe().await;
            let next = search.behind(&found);
            if (found.as_slice().len() as i64) < CHUNK || (done == 0 && next == search) {
                break;
            }
            search = next;
        }
    }
    Ok(items)
}

/// One transaction; returns how many users were changed.
async fn settle(context: &Context, search: Search, found: &IdList) -> Result<i64, TaskError> {
    let mut tx = context.fence.begin().await?;
    let changed = match search {
        // The nodes are not told: they have an on-hold user already.
        Search::Started(_) => review::start_on_hold(&mut tx, found, context.now).await?,
        Search::Expired | Search::Disabled | Search::Limited(_) => {
            let users = review::deactivate(&mut tx, found, context.now).await?;
            changes::mark(&mut tx, users.clone(), context.now).await?;
            if notifications::are_wanted(context) {
                let shown = users::of_ids(&mut tx, &users).await?;
                notifications::enter(context, &mut tx, Event::Deactivated, shown, |_| context.now.micros().to_string())
                    .await?;
            }
            users
        }
    };
    tx.commit().await?;
    context.deps.wakeup.notify();
    Ok(i64::try_from(changed.as_slice().len()).unwrap_or(i64::MAX))
}
