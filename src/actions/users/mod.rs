//! What admins do to one user. Each change is one transaction: lock, decide in `domain`, write, mark for the nodes.

pub mod bulk;
mod create;
mod error;
mod list;
pub mod totals;

pub use create::create;
pub use error::UserError;
pub use list::{list, page};

use std::borrow::Borrow;

use crate::actions::{Panel, notifications};
use crate::domain::admin::Admin;
use crate::domain::ids::ServiceId;
use crate::domain::moment::Moment;
use crate::domain::notification::Event;
use crate::domain::user::User;
use crate::domain::user::edit::UserEdit;
use crate::store::users::changes;
use crate::store::{IdList, StoreError, Tx, users};

/// The user, if the admin may see it.
pub async fn get(panel: &Panel, admin: &Admin, username: &str) -> Result<User, UserError> {
    visible(admin, users::by_username(&panel.db, username).await?)
}

/// Changes what `edit` names. Services that do not exist or that the admin may not give are left out.
pub async fn modify(panel: &Panel, admin: &Admin, username: &str, edit: UserEdit) -> Result<User, UserError> {
    let wanted = edit.service_ids.as_ref().map(|wanted| grantable(admin, wanted));
    let changed = panel
        .db
        .transaction("modify user", async |tx| -> Result<_, UserError> {
            let service_ids = match &wanted {
                Some(wanted) => Some(users::lock_services(tx, wanted).await?),
                None => None,
            };
            let edit = UserEdit { service_ids, ..edit.clone() };
            change(panel, tx, admin, username, Some(Event::Updated), |user, now| {
                user.edit(edit, now);
                Ok(())
            })
            .await
        })
        .await?;
    panel.wakeup.notify();
    Ok(changed)
}

/// Switches the user on.
pub async fn enable(panel: &Panel, admin: &Admin, username: &str) -> Result<User, UserError> {
    change_alone(panel, admin, username, Event::Enabled, |user, now| {
        if user.enable(now) { Ok(()) } else { Err(UserError::AlreadyEnabled) }
    })
    .await
}

/// Switches the user off.
pub async fn disable(panel: &Panel, admin: &Admin, username: &str) -> Result<User, UserError> {
    change_alone(panel, admin, username, Event::Disabled, |user, _| {
        if user.disable() { Ok(()) } else { Err(UserError::AlreadyDisabled) }
    })
    .await
}

/// Sets the user's used traffic back to zero.
pub async fn reset_traffic(panel: &Panel, admin: &Admin, username: &str) -> Result<User, UserError> {
    change_alone(panel, admin, username, Event::UsageReset, |user, now| {
        user.reset_traffic(now);
        Ok(())
    })
    .await
}

/// Gives the user a new key: all links and credentials change.
pub async fn revoke_subscription(panel: &Panel, admin: &Admin, username: &str) -> Result<User, UserError> {
    change_alone(panel, admin, username, Event::SubscriptionRevoked, |user, now| {
        user.revoke(random_key(), now);
        Ok(())
    })
    .await
}

/// Deletes the user; the name is free again.
pub async fn remove(panel: &Panel, admin: &Admin, username: &str) -> Result<User, UserError> {
    change_alone(panel, admin, username, Event::Deleted, |user, _| {
        user.remove();
        Ok(())
    })
    .await
}

/// Gives the user to another admin. Only for a sudo, which the caller has checked.
pub async fn set_owner(panel: &Panel, admin: &Admin, username: &str, owner: &str) -> Result<User, UserError> {
    let changed = panel
        .db
        .transaction("set owner of user", async |tx| -> Result<_, UserError> {
            let owner = users::lock_owner(tx, owner).await?.ok_or(UserError::NoSuchAdmin)?;
            change(panel, tx, admin, username, None, |user, _| {
                user.owner = Some(owner);
                Ok(())
            })
            .await
        })
        .await?;
    panel.wakeup.notify();
    Ok(changed)
}

/// A change that needs nothing but the user.
async fn change_alone(
    panel: &Panel,
    admin: &Admin,
    username: &str,
    event: Event,
    decide: impl Fn(&mut User, Moment) -> Result<(), UserError> + Send + Sync,
) -> Result<User, UserError> {
    let changed = panel
        .db
        .transaction("change user", async |tx| change(panel, tx, admin, username, Some(event), &decide).await)
        .await?;
    panel.wakeup.notify();
    Ok(changed)
}

/// Locks the user, lets `decide` change it, writes what differs, marks it if the nodes should know, and enters the
/// news of `event`.
async fn change(
    panel: &Panel,
    tx: &mut Tx,
    admin: &Admin,
    username: &str,
    event: Option<Event>,
    decide: impl FnOnce(&mut User, Moment) -> Result<(), UserError>,
) -> Result<User, UserError> {
    let now = panel.clock.now();
    let before = visible(admin, users::lock_by_username(tx, username).await?)?;
    if !admin.may_modify_users() {
        return Err(UserError::Forbidden);
    }
    let mut after = before.clone();
    decide(&mut after, now)?;
    users::update(tx, &before, &after).await.map_err(UserError::of_write)?;
    if before.key != after.key {
        users::record_key_change(tx, after.id).await?;
    }
    if before.told() != after.told() {
        changes::mark(tx, IdList::new([after.id.0]), now).await?;
    }
    if let Some(event) = event {
        // News of a deleted user has the name that everybody knows.
        let shown = User { username: before.username.clone(), ..after.clone() };
        notifications::enter(tx, &panel.targets.now().targets, admin, &news(event, &before, &after, now), &shown, now)
            .await?;
    }
    Ok(after)
}

/// An edit that makes the account work, or stops it, is two pieces of news.
fn news(event: Event, before: &User, after: &User, now: Moment) -> Vec<Event> {
    match (event, before.is_active(now), after.is_active(now)) {
        (Event::Updated, false, true) => vec![event, Event::Activated],
        (Event::Updated, true, false) => vec![event, Event::Deactivated],
        _ => vec![event],
    }
}

/// To others than a sudo a user that is not theirs looks like one that is not there.
pub fn visible<U: Borrow<User>>(admin: &Admin, user: Option<U>) -> Result<U, UserError> {
    match user {
        Some(user) if admin.may_see_user_of(user.borrow().owner.as_ref().map(|owner| owner.id)) => Ok(user),
        None if admin.is_sudo => Err(UserError::NotFound),
        _ => Err(UserError::Forbidden),
    }
}

/// Those of the services that the admin may give.
fn grantable(admin: &Admin, wanted: &[ServiceId]) -> Vec<ServiceId> {
    let may_give = |id: &ServiceId| admin.may_give_all_services() || admin.service_ids.contains(id);
    wanted.iter().copied().filter(may_give).collect()
}

/// 32 hex digits that nobody can guess.
fn random_key() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}

impl From<StoreError> for UserError {
    fn from(source: StoreError) -> Self {
        Self::Store(source)
    }
}
