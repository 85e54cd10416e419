//! Roles of admins: made, changed and deleted. Nobody gives rights that it lacks itself.

use super::Panel;
use super::admins::{Actor, PresentAuthor, present_author};
use crate::domain::audit::Entry;
use crate::domain::change::Changed;
use crate::domain::ids::RoleId;
use crate::domain::rights::{Extent, Rights, WrongRight};
use crate::domain::role::{MOST, Role, name_fault};
use crate::domain::scope::{Action, Resource, Scope};
use crate::store::access::roles as store;
use crate::store::access::roles::UsedRole;
use crate::store::{Fault, StoreError, Transient, Tx};

/// A new role, or a change of one; `None` leaves a field as it is.
#[derive(Clone, Debug, Default)]
pub struct RoleChange {
    /// See [`name_fault`].
    pub name: Option<String>,
    /// How far each of these rights reaches from now on; the others stay as they are.
    pub rights: Vec<(Scope, Extent)>,
    /// The admins must sign in with a second factor.
    pub requires_second_factor: Option<bool>,
}

/// Errors of changing roles.
#[derive(Debug, thiserror::Error)]
pub enum RoleError {
    /// There is no role of this name.
    #[error("there is no such role")]
    NotFound,
    /// Another role has this name.
    #[error("a role of that name exists already")]
    NameTaken,
    /// No role can have this name.
    #[error("the name {0}")]
    Name(&'static str),
    /// No role can have this right.
    #[error(transparent)]
    Right(#[from] WrongRight),
    /// There are as many roles as there can be.
    #[error("there are {MOST} roles already; delete one first")]
    Most,
    /// A built-in role stays as it is.
    #[error("a built-in role can't be renamed, deleted or given other rights; it can require a second factor")]
    BuiltIn,
    /// Admins have the role.
    #[error("{0} admins have this role; give them another one first")]
    InUse(i64),
    /// The role has, or would have, a right that the author lacks.
    #[error("an admin can't give or change rights that it lacks itself: {0}")]
    Beyond(Scope),
    /// The author's rights were changed since the request began.
    #[error("the author's rights have changed meanwhile")]
    Lost,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Transient for RoleError {
    fn is_transient(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_transient())
    }
}

impl RoleChange {
    /// Applies the change to a role.
    fn apply(&self, role: Role) -> Result<Role, RoleError> {
        let mut rights = role.rights;
        for (scope, extent) in &self.rights {
            rights = rights.with(*scope, *extent)?;
        }
        let name = self.name.clone().unwrap_or(role.name);
        let requires_second_factor = self.requires_second_factor.unwrap_or(role.requires_second_factor);
        Ok(Role { name, rights, requires_second_factor, ..role })
    }
}

/// Returns all roles with the numbers of their admins, the built-in ones first.
pub async fn list(panel: &Panel) -> Result<Vec<UsedRole>, StoreError> {
    store::all(&panel.db).await
}

/// Makes a role. Rights that `new` does not name are none.
pub async fn create(panel: &Panel, by: Actor<'_>, new: RoleChange) -> Result<Role, RoleError> {
    let none = Role { id: RoleId(0), name: String::new(), rights: Rights::default(), requires_second_factor: false };
    let role = new.apply(none)?;
    name_fault(&role.name).map_or(Ok(()), |fault| Err(RoleError::Name(fault)))?;
    panel
        .transaction("create role", async |tx| -> Result<_, RoleError> {
            if store::lock_count(tx).await? >= MOST {
                return Err(RoleError::Most);
            }
            may_give(present(tx, panel, by).await?.actor(), role.rights)?;
            store::insert(tx, &role).await.map_err(of_write)?;
            let role = store::by_name(tx, &role.name).await?.ok_or(RoleError::NotFound)?;
            let entry = entry("role.create", &role).created(&role);
            let recorded = panel.record(tx, Changed::Roles.row(role.id.0), &entry).await?;
            Ok((role, recorded))
        })
        .await
}

/// Changes a role. Its admins have the new rights from now on here, and within a second on other hosts.
pub async fn update(panel: &Panel, by: Actor<'_>, name: &str, change: RoleChange) -> Result<UsedRole, RoleError> {
    if let Some(fault) = change.name.as_deref().and_then(name_fault) {
        return Err(RoleError::Name(fault));
    }
    let changed = panel
        .transaction("update role", async |tx| -> Result<_, RoleError> {
            let before = store::lock(tx, name).await?.ok_or(RoleError::NotFound)?;
            let after = change.apply(before.clone())?;
            let by = present(tx, panel, by).await?;
            may_give(by.actor(), before.rights)?;
            may_give(by.actor(), after.rights)?;
            let is_same = after.name == before.name && after.rights.texts() == before.rights.texts();
            if before.built_in().is_some() && !is_same {
                return Err(RoleError::BuiltIn);
            }
            store::update(tx, &after).await.map_err(of_write)?;
            let entry = entry("role.update", &before).changed(&before, &after);
            let recorded = panel.record(tx, Changed::Roles.row(after.id.0), &entry).await?;
            Ok((after, recorded))
        })
        .await?;
    let all = store::all(&panel.db).await?;
    all.into_iter().find(|used| used.role.id == changed.id).ok_or(RoleError::NotFound)
}

/// Deletes a role that no admin has.
pub async fn delete(panel: &Panel, by: Actor<'_>, name: &str) -> Result<(), RoleError> {
    panel
        .transaction("delete role", async |tx| -> Result<_, RoleError> {
            let role = store::lock(tx, name).await?.ok_or(RoleError::NotFound)?;
            let by = present(tx, panel, by).await?;
            if role.built_in().is_some() {
                return Err(RoleError::BuiltIn);
            }
            may_give(by.actor(), role.rights)?;
            let admins = store::admins(tx, role.id).await?;
            if admins > 0 {
                return Err(RoleError::InUse(admins));
            }
            store::delete(tx, role.id).await?;
            let entry = entry("role.delete", &role).deleted(&role);
            Ok(((), panel.record(tx, Changed::Roles.row(role.id.0), &entry).await?))
        })
        .await
}

/// The author of a change of roles, as it is now.
async fn present(tx: &mut Tx, panel: &Panel, by: Actor<'_>) -> Result<PresentAuthor, RoleError> {
    let right = (Scope(Resource::Roles, Action::Write), Extent::All);
    present_author(tx, panel, by, &[right]).await?.ok_or(RoleError::Lost)
}

fn may_give(by: Actor<'_>, rights: Rights) -> Result<(), RoleError> {
    match by {
        Actor::Admin(by) => rights.beyond(by.rights()).map_or(Ok(()), |scope| Err(RoleError::Beyond(scope))),
        Actor::Operator => Ok(()),
    }
}

fn of_write(error: StoreError) -> RoleError {
    match error.fault() {
        Fault::Unique(_) => RoleError::NameTaken,
        _ => RoleError::Store(error),
    }
}

fn entry(action: &'static str, role: &Role) -> Entry {
    Entry::of(action, role.id.0, role.name.clone())
}
