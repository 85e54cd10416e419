//! Notifies of users whose accounts expire within `NOTIFY_DAYS_LEFT` days, once per expiry date.

use super::context::{Context, TaskError};
use super::notifications;
use crate::domain::change::Changed;
use crate::domain::notification::Event;
use crate::domain::user::{Expiry, User};
use crate::store::users::expiring::{CHUNK, expiring};
use crate::store::users::review;
use crate::store::{IdList, Tx, users};

pub(super) async fn run(context: &Context) -> Result<i64, TaskError> {
    let (mut items, mut throttle) = (0, context.throttle());
    while notifications::are_wanted(context) && !context.stop.is_cancelled() {
        let found = expiring(&context.deps.db, context.deps.days_left, context.now).await?;
        if found.is_empty() {
            break;
        }
        items += context.fence.transaction("notify of days left", async |tx| notify(context, tx, &found).await).await?;
        context.deps.changes.publish(Changed::Notifications);
        throttle.pause().await;
        if (found.as_slice().len() as i64) < CHUNK {
            break;
        }
    }
    Ok(items)
}

/// Returns the number of users notified of.
async fn notify(context: &Context, tx: &mut Tx, found: &IdList) -> Result<i64, TaskError> {
    // A user's notifications are in order: a transaction that adds some holds the lock of the user's row.
    review::lock(tx, found).await?;
    let users = users::of_ids(tx, found).await?;
    let count = i64::try_from(users.len()).unwrap_or(i64::MAX);
    notifications::enter(context, tx, Event::ReachedDaysLeft, users, date).await?;
    Ok(count)
}

fn date(user: &User) -> String {
    match user.expiry {
        Expiry::FixedDate(date) => date.micros().to_string(),
        // The expiry was changed meanwhile.
        Expiry::Never | Expiry::StartOnFirstUse { .. } => String::new(),
    }
}
