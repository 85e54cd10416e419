//! Reads and changes admins, and checks what they may do to each other.

use super::passwords::{self, PasswordError};
use super::users::bulk;
use super::{PAUSE, Panel};
use crate::config::secret::Secret;
use crate::domain::admin::{Admin, password_fault, username_fault};
use crate::domain::change::Changed;
use crate::domain::ids::{AdminId, ServiceId};
use crate::domain::moment::Moment;
use crate::store::access::admins;
use crate::store::access::admins::AdminUsage;
use crate::store::{Fault, IdList, StoreError, Transient, Tx};

/// Users that change their owner in one transaction: well below 250 ms on SQLite.
const USERS_AT_ONCE: i64 = 10_000;

/// The author of a change.
#[derive(Clone, Copy, Debug)]
pub enum Actor<'a> {
    /// An admin, through the API.
    Admin(&'a Admin),
    /// The operator, through the command line: may do everything.
    Operator,
}

/// An admin to create.
#[derive(Clone, Debug)]
pub struct NewAdmin {
    /// Unique and case-sensitive; see [`username_fault`].
    pub username: String,
    /// Any text that is not empty.
    pub password: Secret,
    /// May do everything.
    pub is_sudo: bool,
    /// May sign in.
    pub enabled: bool,
    /// May assign users to any service.
    pub all_services_access: bool,
    /// May change users, not only create them.
    pub modify_users_access: bool,
    /// The services that this admin may assign users to; unknown services are left out.
    pub service_ids: Vec<ServiceId>,
    /// The prefix of the users' subscription links; empty for the global prefix.
    pub subscription_url_prefix: String,
}

/// A change of an admin; `None` leaves a field as it is.
#[derive(Clone, Debug, Default)]
pub struct AdminChange {
    /// A new password; older tokens are refused from then on.
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

/// Why an admin was not changed.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// No admin has this name.
    #[error("there is no such admin")]
    NotFound,
    /// Another admin has this name.
    #[error("an admin of that name exists already")]
    NameTaken,
    /// No new admin can have such a name.
    #[error("the username {0}")]
    Username(&'static str),
    /// No admin can have such a new password.
    #[error("the password {0}")]
    NewPassword(&'static str),
    /// A sudo admin is changed by no other admin, and deleted by none.
    #[error("a sudo admin can be changed only by itself and can't be deleted")]
    IsSudo,
    /// The password could not be hashed.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Transient for AdminError {
    fn is_transient(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_transient())
    }
}

impl NewAdmin {
    /// An enabled admin who may change users and has no services.
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

/// Returns a page of admins with the traffic of their users, and the total number of admins. `contains` is a part of the
/// name with `%` and `_` as wildcards; empty matches all.
pub async fn list(
    panel: &Panel,
    contains: &str,
    limit: i64,
    offset: i64,
) -> Result<(Vec<AdminUsage>, i64), AdminError> {
    Ok(admins::page(&panel.db, contains, limit, offset).await?)
}

/// Returns the admin of that name, with the traffic of all users that the admin ever had.
pub async fn by_name(panel: &Panel, username: &str) -> Result<AdminUsage, AdminError> {
    admins::usage_by_username(&panel.db, username).await?.ok_or(AdminError::NotFound)
}

/// Creates an admin.
pub async fn create(panel: &Panel, new: NewAdmin) -> Result<Admin, AdminError> {
    if let Some(fault) = username_fault(&new.username) {
        return Err(AdminError::Username(fault));
    }
    let hashed_password = hashed(&new.password).await?;
    let now = panel.clock.now();
    panel
        .transaction("create admin", async |tx| -> Result<_, AdminError> {
            let created = insert(tx, &new, &hashed_password, now).await?;
            let change = Changed::Admins.row(created.id.0);
            Ok((created, change))
        })
        .await
}

/// Inserts a new admin with its rights.
pub(super) async fn insert(tx: &mut Tx, new: &NewAdmin, hashed: &str, now: Moment) -> Result<Admin, AdminError> {
    let inserted = admins::insert(tx, &new.username, hashed, new.is_sudo, now).await;
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
}

/// Changes an admin.
pub async fn update(
    panel: &Panel,
    by: Actor<'_>,
    username: &str,
    change: AdminChange,
) -> Result<AdminUsage, AdminError> {
    // Checked before the password is hashed, which takes a while, and again in the transaction.
    let found = by_name(panel, username).await?.admin;
    may_change(by, &found)?;
    let hashed_password = match &change.password {
        Some(password) => Some(hashed(password).await?),
        None => None,
    };
    let now = panel.clock.now();
    panel
        .transaction("update admin", async |tx| -> Result<_, AdminError> {
            let admin = lock(tx, &found).await?;
            may_change(by, &admin)?;
            let changed = changed(admin, &change, now);
            admins::update(tx, &changed, hashed_password.as_deref()).await?;
            if let Some(service_ids) = &change.service_ids {
                set_services(tx, changed.id, service_ids).await?;
            }
            Ok(((), Changed::Admins.row(changed.id.0)))
        })
        .await?;
    by_name(panel, username).await
}

/// Deletes an admin. The users stay, without an owner.
pub async fn delete(panel: &Panel, by: Actor<'_>, username: &str) -> Result<(), AdminError> {
    let found = by_name(panel, username).await?.admin;
    may_delete(by, &found)?;
    // An admin may have a hundred thousand users: most of them lose their owner first, in transactions of their own.
    // After an error, deleting again finishes the work.
    while orphan_users(panel, found.id).await? == USERS_AT_ONCE {
        tokio::time::sleep(PAUSE).await;
    }
    panel
        .transaction("delete admin", async |tx| {
            let admin = lock(tx, &found).await?;
            may_delete(by, &admin)?;
            admins::delete(tx, admin.id).await?;
            Ok(((), Changed::Admins.row(admin.id.0)))
        })
        .await
}

pub(super) async fn hashed(password: &Secret) -> Result<String, AdminError> {
    match password_fault(password.expose()) {
        None => Ok(passwords::hash(password.clone()).await?),
        Some(fault) => Err(AdminError::NewPassword(fault)),
    }
}

/// Locks an admin that was found by name before. A later admin of the same name is another one.
async fn lock(tx: &mut Tx, found: &Admin) -> Result<Admin, AdminError> {
    let admin = admins::lock_by_username(tx, &found.username).await?;
    admin.filter(|admin| admin.id == found.id).ok_or(AdminError::NotFound)
}

async fn orphan_users(panel: &Panel, id: AdminId) -> Result<i64, StoreError> {
    let orphan = panel.transaction("orphan users of admin", async |tx| -> Result<_, StoreError> {
        let users = admins::orphan_users(tx, id, USERS_AT_ONCE).await?;
        Ok((users, (users > 0).then_some(Changed::Users.any())))
    });
    orphan.await
}

/// Enables or disables all users of an admin, in several transactions.
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

/// Gives all users without an owner to that admin. Returns their number.
pub async fn adopt_users(panel: &Panel, admin: &Admin) -> Result<i64, AdminError> {
    let mut adopted = 0;
    loop {
        let adopt = panel.transaction("adopt users", async |tx| -> Result<_, StoreError> {
            let users = admins::adopt_users(tx, admin.id, USERS_AT_ONCE).await?;
            Ok((users, (users > 0).then_some(Changed::Users.any())))
        });
        let some = adopt.await?;
        adopted += some;
        if some < USERS_AT_ONCE {
            return Ok(adopted);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// A sudo admin may be changed by itself and by the operator only.
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
    // Each change of the password has a moment of its own, because tokens name it.
    let reset_at = admin.password_reset_at.map_or(now, |earlier| now.max(earlier.plus(1)));
    Admin {
        is_sudo: change.is_sudo.unwrap_or(admin.is_sudo),
        enabled: change.enabled.unwrap_or(admin.enabled),
        all_services_access: change.all_services_access.unwrap_or(admin.all_services_access),
        modify_users_access: change.modify_users_access.unwrap_or(admin.modify_users_access),
        subscription_url_prefix: change.subscription_url_prefix.clone().unwrap_or(admin.subscription_url_prefix),
        password_reset_at: if change.password.is_some() { Some(reset_at) } else { admin.password_reset_at },
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
            created_at: Moment::from_micros(0),
        }
    }

    #[test]
    fn sudo_admin_is_not_changed_or_deleted_by_another() {
        let (root, dave, bob) = (admin(1, true), admin(2, true), admin(3, false));
        let by = Actor::Admin(&root);
        assert!(may_change(by, &root).is_ok() && may_change(by, &bob).is_ok());
        assert!(matches!(may_change(by, &dave), Err(AdminError::IsSudo)));
        assert!(may_delete(by, &bob).is_ok());
        assert!(matches!(may_delete(by, &root), Err(AdminError::IsSudo)));
        assert!(may_change(Actor::Operator, &dave).is_ok() && may_delete(Actor::Operator, &root).is_ok());
    }

    #[test]
    fn only_new_password_revokes_tokens() {
        let now = Moment::from_micros(7);
        let password = AdminChange { password: Some(Secret::new("x")), ..AdminChange::default() };
        let once = changed(admin(1, false), &password, now);
        assert_eq!(once.password_reset_at, Some(now));
        let twice = changed(once, &password, now);
        assert_eq!(twice.password_reset_at, Some(Moment::from_micros(8)), "a change of its own");
        let other = AdminChange { enabled: Some(false), ..AdminChange::default() };
        let after = changed(admin(1, false), &other, now);
        assert_eq!((after.password_reset_at, after.enabled, after.modify_users_access), (None, false, true));
    }
}
