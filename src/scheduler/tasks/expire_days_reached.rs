//! Tells whose account ends in as many days as are worth telling: once for each date.

use super::{Context, TaskError, notifications};
use crate::domain::notification::Event;
use crate::domain::user::{Expiry, User};
use crate::store::users::expiring::{CHUNK, expiring};
use crate::store::users::review;
use crate::store::{IdList, retry, users};

pub(super) async fn run(context: &Context) -> Result<i64, TaskError> {
    let (mut items, mut pace) = (0, context.pace());
    while notifications::are_wanted(context) && !context.stop.is_cancelled() {
        let found = expiring(&context.deps.db, context.deps.days_left, context.now).await?;
        if found.is_empty() {
            break;
        }
        items += retry(TaskError::is_retry, || tell(context, &found)).await?;
        pace.breathe().await;
        if (found.as_slice().len() as i64) < CHUNK {
            break;
        }
    }
    Ok(items)
}

/// One transaction; returns how many users were told of.
async fn tell(context: &Context, found: &IdList) -> Result<i64, TaskError> {
    let mut tx = context.fence.begin().await?;
    // The news of a user is in order: whoever writes some holds the user's row.
    review::lock(&mut tx, found).await?;
    let users = users::of_ids(&mut tx, found).await?;
    let count = i64::try_from(users.len()).unwrap_or(i64::MAX);
    notifications::enter(context, &mut tx, Event::ReachedDaysLeft, users, date).await?;
    tx.commit().await?;
    context.deps.wakeup.notify();
    Ok(count)
}

fn date(user: &User) -> String {
    match user.expiry {
        Expiry::FixedDate(date) => date.micros().to_string(),
        // Somebody came between: it is news of another kind, and of this moment only.
        Expiry::Never | Expiry::StartOnFirstUse { .. } => String::new(),
    }
}
