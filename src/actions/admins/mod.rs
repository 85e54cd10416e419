//! Reads and changes admins, and checks what they may do to each other.

mod author;
mod found;
pub mod given_users;
mod owned_users;
mod rights;

pub use owned_users::{adopt_users, delete, set_users_enabled};
pub use rights::{Actor, RightsError};

pub(in crate::actions) use author::{PresentAuthor, present_author};
pub(in crate::actions) use found::{lock, read_again};

use self::rights::{is_other_role, may_give, with_role};
use super::Panel;
use super::passwords::{self, PasswordError};
use crate::actions::quotas::guard::QuotaError;
use crate::config::secret::Secret;
use crate::domain::admin::{Admin, password_fault, username_fault};
use crate::domain::audit::Entry;
use crate::domain::change::Changed;
use crate::domain::ids::{AdminId, ServiceId};
use crate::domain::moment::Moment;
use crate::domain::rights::Extent;
use crate::domain::role::Role;
use crate::domain::scope::{Action, Resource, Scope};
use crate::store::access::admins::AdminUsage;
use crate::store::access::{admins, roles, sessions};
use crate::store::{Fault, IdList, StoreError, Transient, Tx};

/// The rights of authors, as `api::operations` has them for each operation.
const CHANGE_ADMINS: (Scope, Extent) = (Scope(Resource::Admins, Action::Write), Extent::All);
const CHANGE_USERS: (Scope, Extent) = (Scope(Resource::Users, Action::Write), Extent::All);

/// An admin to create.
#[derive(Clone, Debug)]
pub struct NewAdmin {
    /// Unique and case-sensitive; see [`username_fault`].
    pub username: String,
    /// Any text that is not empty.
    pub password: Secret,
    /// May do everything.
    pub is_sudo: bool,
    /// Name of the role; none for the one that `is_sudo` means.
    pub role: Option<String>,
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
    /// See [`NewAdmin`]. True replaces another role.
    pub is_sudo: Option<bool>,
    /// See [`NewAdmin`]. Another role ends all sessions.
    pub role: Option<String>,
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
    /// No admin has the name of the new owner.
    #[error("there is no admin of the new owner's name")]
    NoSuchOwner,
    /// Another admin has this name.
    #[error("an admin of that name exists already")]
    NameTaken,
    /// No new admin can have such a name.
    #[error("the username {0}")]
    Username(&'static str),
    /// No admin can have such a new password.
    #[error("the password {0}")]
    NewPassword(&'static str),
    /// There is no role of this name.
    #[error("there is no role {0:?}")]
    NoSuchRole(String),
    /// The rights of the admin or of the author stand against it.
    #[error(transparent)]
    Rights(#[from] RightsError),
    /// The password could not be hashed.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// The quota of the admin has no room for the users.
    #[error(transparent)]
    Quota(QuotaError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Transient for AdminError {
    fn is_transient(&self) -> bool {
        match self {
            Self::Quota(error) => error.is_transient(),
            Self::Store(error) => error.is_transient(),
            _ => false,
        }
    }
}

impl From<QuotaError> for AdminError {
    fn from(error: QuotaError) -> Self {
        match error {
            QuotaError::Store(error) => Self::Store(error),
            error => Self::Quota(error),
        }
    }
}

impl NewAdmin {
    /// An enabled admin who may change users and has no services.
    pub fn usual(username: impl Into<String>, password: Secret, is_sudo: bool) -> Self {
        Self {
            username: username.into(),
            password,
            is_sudo,
            role: None,
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
) -> Result<(Vec<AdminUsage>, i64), StoreError> {
    admins::page(&panel.db, contains, limit, offset).await
}

/// Returns the admin of that name, with the traffic of all users that the admin ever had.
pub async fn by_name(panel: &Panel, username: &str) -> Result<AdminUsage, AdminError> {
    admins::usage_by_username(&panel.db, username).await?.ok_or(AdminError::NotFound)
}

/// Creates an admin, who can't have more rights than the author.
pub async fn create(panel: &Panel, by: Actor<'_>, new: NewAdmin) -> Result<Admin, AdminError> {
    if let Some(fault) = username_fault(&new.username) {
        return Err(AdminError::Username(fault));
    }
    let hashed_password = hashed(&new.password).await?;
    let now = panel.clock.now();
    panel
        .transaction("create admin", async |tx| -> Result<_, AdminError> {
            let created = insert(tx, &new, &hashed_password, now).await?;
            may_give(present(tx, panel, by).await?.actor(), &created)?;
            let entry = entry("admin.create", &created).created(&created);
            let recorded = panel.record(tx, Changed::Admins.row(created.id.0), &entry).await?;
            Ok((created, recorded))
        })
        .await
}

/// Returns the role of that name, if there is a name.
async fn find_role(tx: &mut Tx, name: Option<&str>) -> Result<Option<Role>, AdminError> {
    let Some(name) = name else { return Ok(None) };
    let found = roles::by_name(tx, name).await?;
    found.map(Some).ok_or_else(|| AdminError::NoSuchRole(name.to_owned()))
}

/// Inserts a new admin with its rights.
pub(super) async fn insert(tx: &mut Tx, new: &NewAdmin, hashed: &str, now: Moment) -> Result<Admin, AdminError> {
    let inserted = admins::insert(tx, &new.username, hashed, new.is_sudo, now).await;
    inserted.map_err(|error| match error.fault() {
        Fault::Unique(_) => AdminError::NameTaken,
        _ => AdminError::Store(error),
    })?;
    let plain = admins::lock_by_username(tx, &new.username).await?.ok_or(AdminError::NotFound)?;
    let plain = with_role(plain, Some(new.is_sudo), find_role(tx, new.role.as_deref()).await?)?;
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

/// Changes an admin, who can't have more rights than the author, neither before nor after.
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
            let by = present(tx, panel, by).await?;
            may_change(by.actor(), &admin)?;
            let with_role = with_role(admin.clone(), change.is_sudo, find_role(tx, change.role.as_deref()).await?)?;
            let has_other_role = is_other_role(&admin, &with_role, change.role.is_some());
            let changed = changed(with_role, &change, has_other_role, now);
            admins::update(tx, &changed, hashed_password.as_deref()).await?;
            if hashed_password.is_some() || has_other_role {
                sessions::end_others(tx, &changed, None, None, now).await?;
            }
            if let Some(service_ids) = &change.service_ids {
                set_services(tx, changed.id, service_ids).await?;
            }
            let after = lock(tx, &found).await?;
            may_give(by.actor(), &after)?;
            let entry = entry("admin.update", &admin).changed(&admin, &after);
            Ok(((), panel.record(tx, Changed::Admins.row(changed.id.0), &entry).await?))
        })
        .await?;
    by_name(panel, username).await
}

/// The author of a change of admins, as it is now.
pub(in crate::actions) async fn present(
    tx: &mut Tx,
    panel: &Panel,
    by: Actor<'_>,
) -> Result<PresentAuthor, AdminError> {
    Ok(present_author(tx, panel, by, &[CHANGE_ADMINS]).await?.ok_or(RightsError::Lost)?)
}

/// The author of a change of all users of an admin, as it is now.
pub(in crate::actions) async fn present_with_users(
    tx: &mut Tx,
    panel: &Panel,
    by: Actor<'_>,
) -> Result<PresentAuthor, AdminError> {
    Ok(present_author(tx, panel, by, &[CHANGE_ADMINS, CHANGE_USERS]).await?.ok_or(RightsError::Lost)?)
}

/// An admin may change itself, and others who may do no more. A sudo admin may be changed by itself and by the operator only.
pub fn may_change(by: Actor<'_>, admin: &Admin) -> Result<(), AdminError> {
    Ok(rights::may_change(by, admin)?)
}

pub(super) async fn hashed(password: &Secret) -> Result<String, AdminError> {
    match password_fault(password.expose()) {
        None => Ok(passwords::hash(password.clone()).await?),
        Some(fault) => Err(AdminError::NewPassword(fault)),
    }
}

/// The start of an entry in the audit log about an admin.
pub(super) fn entry(action: &'static str, admin: &Admin) -> Entry {
    Entry::of(action, admin.id.0, admin.username.clone())
}

fn changed(admin: Admin, change: &AdminChange, has_other_role: bool, now: Moment) -> Admin {
    let ends_sessions = change.password.is_some() || has_other_role;
    let admin = if ends_sessions { without_tokens(admin, now) } else { admin };
    Admin {
        enabled: change.enabled.unwrap_or(admin.enabled),
        all_services_access: change.all_services_access.unwrap_or(admin.all_services_access),
        modify_users_access: change.modify_users_access.unwrap_or(admin.modify_users_access),
        subscription_url_prefix: change.subscription_url_prefix.clone().unwrap_or(admin.subscription_url_prefix),
        ..admin
    }
}

/// The admin whose tokens so far are refused.
pub(super) fn without_tokens(admin: Admin, now: Moment) -> Admin {
    // Each change has a moment of its own, because tokens name it.
    let reset_at = admin.password_reset_at.map_or(now, |earlier| now.max(earlier.plus(1)));
    Admin { password_reset_at: Some(reset_at), ..admin }
}

async fn set_services(tx: &mut Tx, id: AdminId, service_ids: &[ServiceId]) -> Result<(), StoreError> {
    admins::set_services(tx, id, IdList::new(service_ids.iter().map(|id| id.0))).await
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn admin(id: i64, is_sudo: bool) -> Admin {
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
            role: None,
            requires_second_factor: false,
        }
    }

    #[test]
    fn only_new_password_or_role_revokes_tokens() {
        let now = Moment::from_micros(7);
        let password = AdminChange { password: Some(Secret::new("x")), ..AdminChange::default() };
        let once = changed(admin(1, false), &password, false, now);
        assert_eq!(once.password_reset_at, Some(now));
        let twice = changed(once, &password, false, now);
        assert_eq!(twice.password_reset_at, Some(Moment::from_micros(8)), "a change of its own");
        let other = AdminChange { enabled: Some(false), ..AdminChange::default() };
        let after = changed(admin(1, false), &other, false, now);
        assert_eq!((after.password_reset_at, after.enabled, after.modify_users_access), (None, false, true));
        assert_eq!(changed(admin(1, false), &other, true, now).password_reset_at, Some(now), "another role");
    }
}
