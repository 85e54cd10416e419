//! Notifications of the tasks, added to the outbox in the transaction that causes them.

use super::context::Context;
use crate::actions::notifications::notification;
use crate::domain::notification::{By, Event};
use crate::domain::user::User;
use crate::store::notify::outbox;
use crate::store::{StoreError, Tx};

/// True if notifications have a receiver.
pub(super) fn are_wanted(context: &Context) -> bool {
    !context.deps.targets.now().targets.destinations.is_empty()
}

/// Adds a notification of `event` for each user, with the user's state as given. `cause` tells occasions of the same event
/// and user apart: a second notification with the same cause is not added.
pub(super) async fn enter(
    context: &Context,
    tx: &mut Tx,
    event: Event,
    users: Vec<User>,
    cause: impl Fn(&User) -> String,
) -> Result<(), StoreError> {
    let by = match event {
        Event::ReachedUsagePercent | Event::ReachedDaysLeft => By::Nobody,
        _ => By::Task,
    };
    let (current, now) = (context.deps.targets.now(), context.now);
    let targets = &current.targets;
    let notify = |user: User| {
        let cause = cause(&user);
        notification(targets, event, user, &cause, by, now)
    };
    let notifications: Vec<_> = users.into_iter().map(notify).collect();
    outbox::enter(tx, &targets.destinations, &notifications, now).await.map(drop)
}
