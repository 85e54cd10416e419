//! Notifications of changes of users, entered in the transaction that makes the change.

use std::sync::Arc;

use uuid::Uuid;

use super::notification_targets::CurrentTargets;
use super::{PAUSE, Panel};
use crate::domain::admin::Admin;
use crate::domain::audit::Entry;
use crate::domain::change::Changed;
use crate::domain::moment::Moment;
use crate::domain::notification::{By, Channel, Event, Notification, NotificationTargets};
use crate::domain::user::User;
use crate::store::notify::outbox;
use crate::store::notify::outbox::OutboxEntry;
use crate::store::{StoreError, Tx};

/// Dead entries that one transaction changes: well below 250 ms on SQLite.
const DEAD_AT_ONCE: i64 = 2_000;

/// Notifies of what an admin does to users.
pub(super) struct ByAdmin<'a> {
    pub(super) admin: &'a Admin,
    pub(super) targets: Arc<CurrentTargets>,
    pub(super) now: Moment,
}

impl ByAdmin<'_> {
    /// Enters a notification of each event, with the user as given. Each call is an occasion of its own.
    pub(super) async fn enter(&self, tx: &mut Tx, events: &[Event], user: &User) -> Result<(), StoreError> {
        let of_user: Vec<(Event, User)> = events.iter().map(|event| (*event, user.clone())).collect();
        self.enter_all(tx, &of_user).await
    }

    /// Enters notifications of many users on one occasion.
    pub(super) async fn enter_all(&self, tx: &mut Tx, events: &[(Event, User)]) -> Result<(), StoreError> {
        let targets = &self.targets.targets;
        if targets.destinations.is_empty() {
            return Ok(());
        }
        let occasion = Uuid::new_v4().simple().to_string();
        let by = By::Admin(self.admin);
        let notifications: Vec<Notification> = events
            .iter()
            .map(|(event, user)| notification(targets, *event, user.clone(), &occasion, by, self.now))
            .collect();
        outbox::enter(tx, &targets.destinations, &notifications, self.now).await.map(drop)
    }
}

/// Retries a notification now with a fresh attempt count. Returns its entry in the outbox.
pub async fn try_again(panel: &Panel, id: i64) -> Result<OutboxEntry, NotificationError> {
    let now = panel.clock.now();
    let retry = panel.transaction("retry notification", async |tx| -> Result<_, StoreError> {
        if !outbox::try_again(tx, id, now).await? {
            return Ok((false, None));
        }
        let entry = Entry::of("notification.retry", id, None);
        Ok((true, Some(panel.record(tx, Changed::Notifications, &entry).await?)))
    });
    let found = retry.await?;
    let entry = outbox::by_id(&panel.db, id).await?.ok_or(NotificationError::NotFound)?;
    if found { Ok(entry) } else { Err(NotificationError::Delivered) }
}

/// An act on all dead notifications.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WithDead {
    /// They are delivered again, with a fresh count of attempts.
    Retry,
    /// They are deleted.
    Delete,
}

/// Retries or deletes all notifications that are dead now, on one channel or on all, a part at a time. Returns their number.
pub async fn all_dead(panel: &Panel, what: WithDead, channel: Option<Channel>) -> Result<u64, StoreError> {
    let until = panel.clock.now();
    let mut all = 0;
    loop {
        let part = panel.transaction("change dead notifications", async |tx| -> Result<_, StoreError> {
            let (count, action) = match what {
                WithDead::Retry => {
                    let now = panel.clock.now();
                    (outbox::try_dead_again(tx, channel, until, now, DEAD_AT_ONCE).await?, "notification.retry")
                }
                WithDead::Delete => {
                    (outbox::delete_dead(tx, channel, until, DEAD_AT_ONCE).await?, "notification.delete")
                }
            };
            if count == 0 {
                return Ok((0, None));
            }
            let filter = channel.map_or("dead".to_owned(), |channel| format!("dead, {}", channel.word()));
            let entry = Entry::of_many(action, filter, i64::try_from(count).unwrap_or(i64::MAX));
            Ok((count, Some(panel.record(tx, Changed::Notifications, &entry).await?)))
        });
        let count = part.await?;
        all += count;
        if count < DEAD_AT_ONCE.unsigned_abs() {
            return Ok(all);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Deletes a notification, which is not delivered then; one that is being sent may still arrive.
pub async fn delete(panel: &Panel, id: i64) -> Result<(), NotificationError> {
    let delete = panel.transaction("delete notification", async |tx| -> Result<_, StoreError> {
        if !outbox::delete(tx, id).await? {
            return Ok((false, None));
        }
        let entry = Entry::of("notification.delete", id, None);
        Ok((true, Some(panel.record(tx, Changed::Notifications, &entry).await?)))
    });
    if delete.await? { Ok(()) } else { Err(NotificationError::NotFound) }
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
