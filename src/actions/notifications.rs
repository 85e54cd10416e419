//! News of users, entered in the transaction that makes it.

use uuid::Uuid;

use super::Panel;
use crate::domain::admin::Admin;
use crate::domain::moment::Moment;
use crate::domain::notification::{By, Event, Notification, NotificationTargets};
use crate::domain::user::User;
use crate::store::notify::outbox;
use crate::store::notify::outbox::OutboxEntry;
use crate::store::{StoreError, Tx};

/// What an admin did to a user: each call is an occasion of its own. The user is shown as given.
pub(super) async fn enter(
    tx: &mut Tx,
    targets: &NotificationTargets,
    admin: &Admin,
    events: &[Event],
    user: &User,
    now: Moment,
) -> Result<(), StoreError> {
    if targets.destinations.is_empty() {
        return Ok(());
    }
    let occasion = Uuid::new_v4().simple().to_string();
    let notifications: Vec<Notification> = events
        .iter()
        .map(|event| notification(targets, *event, user.clone(), &occasion, By::Admin(admin), now))
        .collect();
    outbox::enter(tx, &targets.destinations, &notifications, now).await.map(drop)
}

/// Has a entry tried again from the beginning, at once. What it is now, or why not.
pub async fn try_again(panel: &Panel, id: i64) -> Result<OutboxEntry, NoticeError> {
    let now = panel.clock.now();
    let found = panel.db.transaction("retry notification", async |tx| outbox::try_again(tx, id, now).await).await?;
    let entry = outbox::by_id(&panel.db, id).await?.ok_or(NoticeError::NotFound)?;
    if !found {
        return Err(NoticeError::Delivered);
    }
    panel.wakeup.notify();
    Ok(entry)
}

/// Why a entry is not tried again.
#[derive(Debug, thiserror::Error)]
pub enum NoticeError {
    /// There is none of that number.
    #[error("there is no such notification")]
    NotFound,
    /// It has arrived.
    #[error("the notification was delivered")]
    Delivered,
    /// The database would not.
    #[error("the database failed")]
    Store(#[from] StoreError),
}

/// One piece of news as this targets gets it. `cause` is another text for another occasion of the same event and user.
pub fn notification(
    targets: &NotificationTargets,
    event: Event,
    user: User,
    cause: &str,
    by: By<'_>,
    now: Moment,
) -> Notification {
    Notification::of(event, user, cause, by, &targets.url_prefix, now, || Uuid::new_v4().as_u64_pair().0)
}
