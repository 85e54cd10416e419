//! Changes of one user. Each is one transaction: lock, decide in `domain`, write, mark for the nodes.

pub mod bulk;
pub mod bulk_change;
mod create;
pub mod diagnosis;
mod error;
mod list;
pub mod totals;

pub use create::create;
pub use error::UserError;
pub use list::{list, owner_filter, page};

use std::borrow::Borrow;

use crate::actions::Panel;
use crate::actions::audit::Recorded;
use crate::actions::notifications::ByAdmin;
use crate::actions::quotas::guard::Guard;
use crate::domain::admin::Admin;
use crate::domain::audit::Entry;
use crate::domain::change::Changed;
use crate::domain::ids::{AdminId, ServiceId};
use crate::domain::moment::Moment;
use crate::domain::notification::Event;
use crate::domain::rights::Extent;
use crate::domain::scope::{Action, Resource};
use crate::domain::user::User;
use crate::domain::user::edit::UserEdit;
use crate::store::access::quotas::disabled;
use crate::store::users::changes;
use crate::store::{IdList, StoreError, Tx, users};

/// Returns the user, if the admin may see it.
pub async fn get(panel: &Panel, admin: &Admin, username: &str) -> Result<User, UserError> {
    visible(admin, users::by_username(&panel.db, username).await?)
}

/// Changes the fields that `edit` has. Unknown services, and services that the admin may not assign, are left out.
pub async fn modify(panel: &Panel, admin: &Admin, username: &str, edit: UserEdit) -> Result<User, UserError> {
    let wanted = edit.service_ids.as_ref().map(|wanted| grantable(admin, wanted));
    let right = Action::Write;
    let change = Change { panel, admin, username, right, action: "user.update", event: Some(Event::Updated) };
    panel
        .transaction("modify user", async |tx| -> Result<_, UserError> {
            let guard = Guard::of_user(tx, username).await?;
            let service_ids = match &wanted {
                Some(wanted) => Some(users::lock_services(tx, wanted).await?),
                None => None,
            };
            let edit = UserEdit { service_ids, ..edit.clone() };
            let decide = |user: &mut User, now| {
                user.edit(edit, now);
                Ok(())
            };
            change.apply(tx, Some(&guard), decide).await
        })
        .await
}

/// Enables the user.
pub async fn enable(panel: &Panel, admin: &Admin, username: &str) -> Result<User, UserError> {
    change_guarded(panel, admin, username, ("user.enable", Event::Enabled), Action::Write, |user, now| {
        if user.enable(now) { Ok(()) } else { Err(UserError::AlreadyEnabled) }
    })
    .await
}

/// Disables the user.
pub async fn disable(panel: &Panel, admin: &Admin, username: &str) -> Result<User, UserError> {
    change_alone(panel, admin, username, ("user.disable", Event::Disabled), Action::Write, |user, _| {
        if user.disable() { Ok(()) } else { Err(UserError::AlreadyDisabled) }
    })
    .await
}

/// Resets the user's used traffic to zero.
pub async fn reset_traffic(panel: &Panel, admin: &Admin, username: &str) -> Result<User, UserError> {
    change_guarded(panel, admin, username, ("user.reset", Event::UsageReset), Action::Reset, |user, now| {
        user.reset_traffic(now);
        Ok(())
    })
    .await
}

/// Gives the user a new key: all links and credentials change.
pub async fn revoke_subscription(panel: &Panel, admin: &Admin, username: &str) -> Result<User, UserError> {
    change_alone(panel, admin, username, ("user.revoke", Event::SubscriptionRevoked), Action::Write, |user, now| {
        user.revoke(random_key(), now);
        Ok(())
    })
    .await
}

/// Deletes the user; the name is free again.
pub async fn remove(panel: &Panel, admin: &Admin, username: &str) -> Result<User, UserError> {
    change_alone(panel, admin, username, ("user.delete", Event::Deleted), Action::Write, |user, _| {
        user.remove();
        Ok(())
    })
    .await
}

/// Gives the user to another admin. Only for admins who may change all users, which the caller has checked.
pub async fn set_owner(panel: &Panel, admin: &Admin, username: &str, owner: &str) -> Result<User, UserError> {
    let right = Action::Write;
    let change = Change { panel, admin, username, right, action: "user.set_owner", event: None };
    panel
        .transaction("set owner of user", async |tx| -> Result<_, UserError> {
            let owner = users::lock_owner(tx, owner).await?.ok_or(UserError::NoSuchAdmin)?;
            let guard = Guard::of_owner(tx, owner.id).await?;
            let decide = |user: &mut User, _| {
                user.owner = Some(owner);
                Ok(())
            };
            change.apply(tx, Some(&guard), decide).await
        })
        .await
}

/// A change that depends on the user only.
async fn change_alone(
    panel: &Panel,
    admin: &Admin,
    username: &str,
    (action, event): (&'static str, Event),
    right: Action,
    decide: impl Fn(&mut User, Moment) -> Result<(), UserError> + Send + Sync,
) -> Result<User, UserError> {
    let change = Change { panel, admin, username, right, action, event: Some(event) };
    panel.transaction("change user", async |tx| change.apply(tx, None, &decide).await).await
}

/// The same for a change that may make the user active, for which the owner's quota needs room.
async fn change_guarded(
    panel: &Panel,
    admin: &Admin,
    username: &str,
    (action, event): (&'static str, Event),
    right: Action,
    decide: impl Fn(&mut User, Moment) -> Result<(), UserError> + Send + Sync,
) -> Result<User, UserError> {
    let change = Change { panel, admin, username, right, action, event: Some(event) };
    panel
        .transaction("change user", async |tx| {
            let guard = Guard::of_user(tx, username).await?;
            change.apply(tx, Some(&guard), &decide).await
        })
        .await
}

/// A change of one user by an admin; `event` is what it is notified as.
struct Change<'a> {
    panel: &'a Panel,
    admin: &'a Admin,
    username: &'a str,
    /// The action that the admin must have the right to.
    right: Action,
    /// Action in the audit log.
    action: &'static str,
    event: Option<Event>,
}

impl Change<'_> {
    /// True if an admin enables or disables the user, whatever a quota did.
    fn is_by_hand(&self) -> bool {
        matches!(self.event, Some(Event::Enabled | Event::Disabled))
    }

    /// Locks the user, lets `decide` change it, writes the difference if the guard has room, marks the user if nodes need the change, and
    /// enters the notifications.
    async fn apply(
        &self,
        tx: &mut Tx,
        guard: Option<&Guard>,
        decide: impl FnOnce(&mut User, Moment) -> Result<(), UserError>,
    ) -> Result<(User, Recorded), UserError> {
        let Self { panel, admin, username, right, action, event } = *self;
        let now = panel.clock.now();
        let before = visible(admin, users::lock_by_username(tx, username).await?)?;
        if !admin.may_change_user_of(owner_id(&before), right) {
            return Err(UserError::Forbidden);
        }
        let mut after = before.clone();
        let by_quota = self.is_by_hand() && disabled::forget(tx, &IdList::new([before.id.0])).await? > 0;
        match decide(&mut after, now) {
            // From now on an admin wants it, and no quota enables the user again.
            Err(UserError::AlreadyDisabled) if by_quota => {}
            decided => decided?,
        }
        users::update(tx, &before, &after).await.map_err(UserError::of_write)?;
        if let Some(guard) = guard {
            guard.check(tx, [(Some(&before), &after)], now).await?;
        }
        if before.key != after.key {
            users::record_key_change(tx, after.id).await?;
        }
        if before.on_nodes() != after.on_nodes() {
            changes::mark(tx, IdList::new([after.id.0]), now).await?;
        }
        if let Some(event) = event {
            // A deleted user has no name any more, but the notification shows it.
            let shown = User { username: before.username.clone(), ..after.clone() };
            let notify = ByAdmin { admin, targets: panel.targets.now(), now };
            notify.enter(tx, &events(event, &before, &after, now), &shown).await?;
        }
        // If the owner changes, two admins are concerned.
        let owner = owner_id(&after).filter(|owner| owner_id(&before) == Some(*owner));
        let change = Changed::Users.row(after.id.0).of(owner);
        let entry = Entry::of(action, after.id.0, before.username.clone()).changed(&before, &after);
        let recorded = panel.record(tx, change, &entry).await?;
        Ok((after, recorded))
    }
}

fn owner_id(user: &User) -> Option<AdminId> {
    user.owner.as_ref().map(|owner| owner.id)
}

/// An edit that activates or deactivates the account is two events.
fn events(event: Event, before: &User, after: &User, now: Moment) -> Vec<Event> {
    match (event, before.is_active(now), after.is_active(now)) {
        (Event::Updated, false, true) => vec![event, Event::Activated],
        (Event::Updated, true, false) => vec![event, Event::Deactivated],
        _ => vec![event],
    }
}

/// Returns the user, if the admin may see it. To an admin who may not see all users, another admin's looks like a missing one.
pub fn visible<U: Borrow<User>>(admin: &Admin, user: Option<U>) -> Result<U, UserError> {
    match user {
        Some(user) if admin.may_see_user_of(user.borrow().owner.as_ref().map(|owner| owner.id)) => Ok(user),
        None if admin.may(Resource::Users, Action::Read, Extent::All) => Err(UserError::NotFound),
        _ => Err(UserError::Forbidden),
    }
}

/// Filters the services that the admin may assign.
fn grantable(admin: &Admin, wanted: &[ServiceId]) -> Vec<ServiceId> {
    let may_give = |id: &ServiceId| admin.may_give_all_services() || admin.service_ids.contains(id);
    wanted.iter().copied().filter(may_give).collect()
}

/// A new subscription key: 32 hex digits with 122 random bits.
fn random_key() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}

impl From<StoreError> for UserError {
    fn from(source: StoreError) -> Self {
        Self::Store(source)
    }
}
