//! Admins: who they are, and what they may do to each other.

use super::passwords::{self, PasswordError};
use super::users::bulk;
use super::{PAUSE, Panel};
use crate::config::secret::Secret;
use crate::domain::admin::Admin;
use crate::domain::ids::{AdminId, ServiceId};
use crate::domain::moment::Moment;
use crate::store::access::admins;
use crate::store::access::admins::AdminUsage;
use crate::store::{Fault, IdList, StoreError, Transient, Tx};

/// So many users lose their owner in one transaction: well below a quarter of a second on SQLite.
const ORPHANS_AT_ONCE: i64 = 10_000;

/// Who wants something done.
#[derive(Clone, Copy, Debug)]
pub enum Actor<'a> {
    /// An admin, through the API.
    Admin(&'a Admin),
    /// Whoever runs commands on the panel's host: may do everything.
    Operator,
}

/// An admin to be.
#[derive(Clone, Debug)]
pub struct NewAdmin {
    /// Any text; unique, case kept.
    pub username: String,
    /// Any text.
    pub password: Secret,
    /// May do everything.
    pub is_sudo: bool,
    /// May sign in.
    pub enabled: bool,
    /// May give any service to users.
    pub all_services_access: bool,
    /// May change users, not only create them.
    pub modify_users_access: bool,
    /// The services that may be given; unknown ones are left out.
    pub service_ids: Vec<ServiceId>,
    /// The prefix of the users' links; empty: the global one.
    pub subscription_url_prefix: String,
}

/// What should become of an admin; `None`: as it is.
#[derive(Clone, Debug, Default)]
pub struct AdminChange {
    /// A new password; tokens from before are refused from then on.
    pub password: Option<Secret>,
    /// See [`NewAdmin`].
    pub is_sudo: Option<bool>,
    /// See [`NewAdmin`].
    pub enabled: Option<bool>,
    /// See [`NewAdmin`].
    pub all_services_access: Option<bool>,
    /// See [`NewAdmin`].
    pub modify_users_access: Option<bool>,
    /// See [`NewAdmin`].
    pub service_ids: Option<Vec<ServiceId>>,
    /// See [`NewAdmin`].
    pub subscription_url_prefix: Option<String>,
}

/// Why something was not done to an admin.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// Nobody has that name.
    #[error("there is no such admin")]
    NotFound,
    /// Somebody has that name already.
    #[error("an admin of that name exists already")]
    NameTaken,
    /// Sudos are not changed by each other, and deleted by no admin.
    #[error("a sudo can't be changed by another admin, nor be deleted by any")]
    IsSudo,
    /// The password could not be hashed.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// The database could not be asked.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Transient for AdminError {
    fn is_transient(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_transient())
    }
}

impl NewAdmin {
    /// An admin with what is usual: enabled, with the right to change users, and without services.
    pub fn usual(username: impl Into<String>, password: Secret, is_sudo: bool) -> Self {
        Self {
            username: username.into(),
            password,
            is_sudo,
            enabled: true,
            all_services_access: false,
            modify_users_access: true,
            service_ids: Vec::new(),
            subscription_url_prefix: String::new(),
        }
    }
}

/// One page of admins with the traffic of their users, and how many there are on all. `contains` is a part of the
/// name, `%` and `_` being wildcards; empty: all.
pub async fn list(
    panel: &Panel,
    contains: &str,
    limit: i64,
    offset: i64,
) -> Result<(Vec<AdminUsage>, i64), AdminError> {
    Ok(admins::page(&panel.db, contains, limit, offset).await?)
}

/// The admin of that name, with the traffic of all users it ever had.
pub async fn by_name(panel: &Panel, username: &str) -> Result<AdminUsage, AdminError> {
    admins::usage_by_username(&panel.db, username).await?.ok_or(AdminError::NotFound)
}

/// Makes an admin.
pub async fn create(panel: &Panel, new: NewAdmin) -> Result<Admin, AdminError> {
    let hashed_password = passwords::hash(new.password.clone()).await?;
    let now = panel.clock.now();
    panel
        .db
        .transaction("create admin", async |tx| {
            let inserted = admins::insert(tx, &new.username, &hashed_password, new.is_sudo, now).await;
            inserted.map_err(|error| match error.fault() {
                Fault::Unique(_) => AdminError::NameTaken,
                _ => AdminError::Store(error),
            })?;
            let plain = admins::lock_by_username(tx, &new.username).await?.ok_or(AdminError::NotFound)?;
            let admin = Admin {
                enabled: new.enabled,
                all_services_access: new.all_services_access,
                modify_users_access: new.modify_users_access,
                subscription_url_prefix: new.subscription_url_prefix.clone(),
                ..plain
            };
            admins::update(tx, &admin, None).await?;
            set_services(tx, admin.id, &new.service_ids).await?;
            admins::lock_by_username(tx, &new.username).await?.ok_or(AdminError::NotFound)
        })
        .await
}

/// Changes an admin.
pub async fn update(
    panel: &Panel,
    by: Actor<'_>,
    username: &str,
    change: AdminChange,
) -> Result<AdminUsage, AdminError> {
    // Whether it may be done is known before the password is hashed, which takes a while, and certain after.
    may_change(by, &by_name(panel, username).await?.admin)?;
    let hashed_password = match &change.password {
        Some(password) => Some(passwords::hash(password.clone()).await?),
        None => None,
    };
    let now = panel.clock.now();
    panel
        .db
        .transaction("update admin", async |tx| -> Result<_, AdminError> {
            let admin = admins::lock_by_username(tx, username).await?.ok_or(AdminError::NotFound)?;
            may_change(by, &admin)?;
            let changed = changed(admin, &change, now);
            admins::update(tx, &changed, hashed_password.as_deref()).await?;
            if let Some(service_ids) = &change.service_ids {
                set_services(tx, changed.id, service_ids).await?;
            }
            Ok(())
        })
        .await?;
    by_name(panel, username).await
}

/// Deletes an admin. The users stay, without an owner.
pub async fn delete(panel: &Panel, by: Actor<'_>, username: &str) -> Result<(), AdminError> {
    may_delete(by, &by_name(panel, username).await?.admin)?;
    // An admin may have a hundred thousand users: most of them lose their owner before, in transactions of their own.
    // Whatever breaks off here is finished by deleting once more.
    while admins::orphan_users(&panel.db, username, ORPHANS_AT_ONCE).await? == ORPHANS_AT_ONCE {
        tokio::time::sleep(PAUSE).await;
    }
    panel
        .db
        .transaction("delete admin", async |tx| {
            let admin = admins::lock_by_username(tx, username).await?.ok_or(AdminError::NotFound)?;
            may_delete(by, &admin)?;
            Ok(admins::delete(tx, admin.id).await?)
        })
        .await
}

/// Switches all users of an admin on or off, a transaction per chunk.
pub async fn set_users_enabled(
    panel: &Panel,
    by: Actor<'_>,
    username: &str,
    enabled: bool,
) -> Result<AdminUsage, AdminError> {
    let usage = by_name(panel, username).await?;
    may_change(by, &usage.admin)?;
    bulk::set_enabled(panel, usage.admin.id, enabled).await?;
    Ok(usage)
}

/// Gives every user without an owner to that admin. Returns how many these were.
pub async fn adopt_users(panel: &Panel, admin: &Admin) -> Result<i64, AdminError> {
    let mut adopted = 0;
    loop {
        let some = admins::adopt_users(&panel.db, admin.id, ORPHANS_AT_ONCE).await?;
        adopted += some;
        if some < ORPHANS_AT_ONCE {
            return Ok(adopted);
        }
    }
}

/// A sudo is changed by itself only.
pub fn may_change(by: Actor<'_>, admin: &Admin) -> Result<(), AdminError> {
    match by {
        Actor::Admin(by) if admin.is_sudo && admin.id != by.id => Err(AdminError::IsSudo),
        _ => Ok(()),
    }
}

fn may_delete(by: Actor<'_>, admin: &Admin) -> Result<(), AdminError> {
    match by {
        Actor::Admin(_) if admin.is_sudo => Err(AdminError::IsSudo),
        _ => Ok(()),
    }
}

fn changed(admin: Admin, change: &AdminChange, now: Moment) -> Admin {
    Admin {
        is_sudo: change.is_sudo.unwrap_or(admin.is_sudo),
        enabled: change.enabled.unwrap_or(admin.enabled),
        all_services_access: change.all_services_access.unwrap_or(admin.all_services_access),
        modify_users_access: change.modify_users_access.unwrap_or(admin.modify_users_access),
        subscription_url_prefix: change.subscription_url_prefix.clone().unwrap_or(admin.subscription_url_prefix),
        password_reset_at: if change.password.is_some() { Some(now) } else { admin.password_reset_at },
        ..admin
    }
}

async fn set_services(tx: &mut Tx, id: AdminId, service_ids: &[ServiceId]) -> Result<(), StoreError> {
    admins::set_services(tx, id, IdList::new(service_ids.iter().map(|id| id.0))).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admin(id: i64, is_sudo: bool) -> Admin {
        Admin {
            id: AdminId(id),
            username: format!("admin{id}"),
            is_sudo,
            enabled: true,
            all_services_access: false,
            modify_users_access: true,
            service_ids: Vec::new(),
            subscription_url_prefix: String::new(),
            password_reset_at: None,
        }
    }

    #[test]
    fn sudos_leave_each_other_alone() {
        let (root, dave, bob) = (admin(1, true), admin(2, true), admin(3, false));
        let by = Actor::Admin(&root);
        assert!(may_change(by, &root).is_ok() && may_change(by, &bob).is_ok());
        assert!(matches!(may_change(by, &dave), Err(AdminError::IsSudo)));
        assert!(may_delete(by, &bob).is_ok());
        assert!(matches!(may_delete(by, &root), Err(AdminError::IsSudo)));
        assert!(may_change(Actor::Operator, &dave).is_ok() && may_delete(Actor::Operator, &root).is_ok());
    }

    #[test]
    fn only_a_new_password_refuses_old_tokens() {
        let now = Moment::from_micros(7);
        let password = AdminChange { password: Some(Secret::new("x")), ..AdminChange::default() };
        assert_eq!(changed(admin(1, false), &password, now).password_reset_at, Some(now));
        let other = AdminChange { enabled: Some(false), ..AdminChange::default() };
        let after = changed(admin(1, false), &other, now);
        assert_eq!((after.password_reset_at, after.enabled, after.modify_users_access), (None, false, true));
    }
}
