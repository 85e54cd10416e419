//! Notifications of changes of users, entered in the transaction that makes the change.

use std::sync::Arc;

use uuid::Uuid;

use super::Panel;
use super::notification_targets::CurrentTargets;
use crate::domain::admin::Admin;
use crate::domain::change::Changed;
use crate::domain::moment::Moment;
use crate::domain::notification::{By, Event, Notification, NotificationTargets};
use crate::domain::user::User;
use crate::store::notify::outbox;
use crate::store::notify::outbox::OutboxEntry;
use crate::store::{StoreError, Tx};

/// Notifies of what an admin does to users.
pub(super) struct ByAdmin<'a> {
    pub(super) admin: &'a Admin,
    pub(super) targets: Arc<CurrentTargets>,
    pub(super) now: Moment,
}

impl ByAdmin<'_> {
    /// Enters a notification of each event, with the user as given. Each call is an occasion of its own.
    pub(super) async fn enter(&self, tx: &mut Tx, events: &[Event], user: &User) -> Result<(), StoreError> {
        let targets = &self.targets.targets;
        if targets.destinations.is_empty() {
            return Ok(());
        }
        let occasion = Uuid::new_v4().simple().to_string();
        let by = By::Admin(self.admin);
        let notifications: Vec<Notification> =
            events.iter().map(|event| notification(targets, *event, user.clone(), &occasion, by, self.now)).collect();
        outbox::enter(tx, &targets.destinations, &notifications, self.now).await.map(drop)
    }
}

/// Retries a notification now with a fresh attempt count. Returns its entry in the outbox.
pub async fn try_again(panel: &Panel, id: i64) -> Result<OutboxEntry, NotificationError> {
    let now = panel.clock.now();
    let retry = panel.transaction("retry notification", async |tx| -> Result<_, StoreError> {
        let found = outbox::try_again(tx, id, now).await?;
        Ok((found, found.then_some(Changed::Notifications.any())))
    });
    let found = retry.await?;
    let entry = outbox::by_id(&panel.db, id).await?.ok_or(NotificationError::NotFound)?;
    if found { Ok(entry) } else { Err(NotificationError::Delivered) }
}

/// Why a notification is not retried.
#[derive(Debug, thiserror::Error)]
pub enum NotificationError {
    /// No notification has this id.
    #[error("there is no such notification")]
    NotFound,
    /// It was delivered.
    #[error("the notification was delivered")]
    Delivered,
    /// The database failed.
    #[error("the database failed")]
    Store(#[from] StoreError),
}

/// Builds the notification of an event. `cause` tells occasions of the same event and user apart.
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
