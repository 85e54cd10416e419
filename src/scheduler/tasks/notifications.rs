//! What tasks tell people: entered in the transaction that causes it.

use super::Context;
use crate::actions::notifications::notification;
use crate::domain::notification::{By, Event};
use crate::domain::user::User;
use crate::store::notify::outbox;
use crate::store::{StoreError, Tx};

/// Somebody is told of what happens to users.
pub(super) fn are_wanted(context: &Context) -> bool {
    !context.deps.targets.now().targets.destinations.is_empty()
}

/// Enters the news that `event` happened to each of the users, who are shown as they are given. `cause` is another text
/// for another occasion of the same event and user.
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
    let (told, now) = (context.deps.targets.now(), context.now);
    let targets = &told.targets;
    let news = |user: User| {
        let cause = cause(&user);
        notification(targets, event, user, &cause, by, now)
    };
    let notifications: Vec<_> = users.into_iter().map(news).collect();
    outbox::enter(tx, &targets.destinations, &notifications, now).await.map(drop)
}
