//! What tasks tell people: entered in the transaction that causes it.

use super::Context;
use crate::actions::notices::notice;
use crate::domain::notice::{By, Event};
use crate::domain::user::User;
use crate::store::{StoreError, Tx, outbox};

/// Somebody is told of what happens to users.
pub(super) fn are_wanted(context: &Context) -> bool {
    !context.deps.audience.now().audience.destinations.is_empty()
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
    let (told, now) = (context.deps.audience.now(), context.now);
    let audience = &told.audience;
    let news = |user: User| {
        let cause = cause(&user);
        notice(audience, event, user, &cause, by, now)
    };
    let notices: Vec<_> = users.into_iter().map(news).collect();
    outbox::enter(tx, &audience.destinations, &notices, now).await.map(drop)
}
