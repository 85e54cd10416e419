//! Deactivates users who expired, used up their data or were disabled, and starts on-hold users who came online.

use super::context::{Context, TaskError};
use super::notifications;
use crate::domain::audit::{Entry, first_ids};
use crate::domain::change::Changed;
use crate::domain::notification::Event;
use crate::domain::schedule::Task;
use crate::store::users::changes;
use crate::store::users::review;
use crate::store::users::review::{CHUNK, Search};
use crate::store::{IdList, Tx, users};

pub(super) async fn run(context: &Context) -> Result<i64, TaskError> {
    let (mut items, mut throttle) = (0, context.throttle());
    for first in Search::ALL {
        let mut search = first;
        while !context.stop.is_cancelled() {
            let found = review::find(&context.deps.db, search, context.now).await?;
            if found.is_empty() {
                break;
            }
            let done =
                context.fence.transaction("review users", async |tx| settle(context, tx, search, &found).await).await?;
            context.deps.changes.publish(Changed::Users);
            items += done;
            throttle.pause().await;
            let next = search.behind(&found);
            if (found.as_slice().len() as i64) < CHUNK || (done == 0 && next == search) {
                break;
            }
            search = next;
        }
    }
    Ok(items)
}

/// Returns the number of users changed.
async fn settle(context: &Context, tx: &mut Tx, search: Search, found: &IdList) -> Result<i64, TaskError> {
    let changed = match search {
        // Not marked for the nodes: they have on-hold users already.
        Search::Started(_) => review::start_on_hold(tx, found, context.now).await?,
        Search::Expired | Search::Disabled | Search::Limited(_) => {
            let users = review::deactivate(tx, found, context.now).await?;
            changes::mark(tx, users.clone(), context.now).await?;
            if notifications::are_wanted(context) {
                let shown = users::of_ids(tx, &users).await?;
                notifications::enter(context, tx, Event::Deactivated, shown, |_| context.now.micros().to_string())
                    .await?;
            }
            users
        }
    };
    let count = i64::try_from(changed.as_slice().len()).unwrap_or(i64::MAX);
    let (action, reason) = match search {
        Search::Started(_) => ("user.start", "on hold, came online"),
        Search::Expired => ("user.deactivate", "expired"),
        Search::Disabled => ("user.deactivate", "disabled"),
        Search::Limited(_) => ("user.deactivate", "data limit reached"),
    };
    let entry = Entry::of_many(action, reason, count).with(first_ids(changed.as_slice()));
    context.record(tx, Task::ReviewUsers, &entry).await?;
    Ok(count)
}
