//! The rights that admins have over each other, and the roles that they may have.

use std::sync::Arc;

use crate::domain::admin::Admin;
use crate::domain::role::Role;

/// The author of a change.
#[derive(Clone, Copy, Debug)]
pub enum Actor<'a> {
    /// An admin, through the API.
    Admin(&'a Admin),
    /// The operator, through the command line: may do everything.
    Operator,
}

/// The reason why an admin's rights are not changed, or an admin by another.
#[derive(Debug, thiserror::Error)]
pub enum RightsError {
    /// A sudo admin is changed by no other admin, and deleted by none.
    #[error("a sudo admin can be changed only by itself and can't be deleted")]
    IsSudo,
    /// The role and `is_sudo` say different things.
    #[error("the role and is_sudo contradict each other: only the role owner is that of sudo admins")]
    OtherRole,
    /// The admin in question has, or would have, a right that the author lacks.
    #[error("an admin can't give or change rights that it lacks itself: {0}")]
    Beyond(String),
    /// The author's rights were changed since the request began.
    #[error("the author's rights have changed meanwhile")]
    Lost,
}

pub(super) fn may_change(by: Actor<'_>, admin: &Admin) -> Result<(), RightsError> {
    match by {
        Actor::Admin(by) if admin.id == by.id => Ok(()),
        Actor::Admin(_) if admin.is_sudo => Err(RightsError::IsSudo),
        _ => may_give(by, admin),
    }
}

pub(super) fn may_delete(by: Actor<'_>, admin: &Admin) -> Result<(), RightsError> {
    match by {
        Actor::Admin(_) if admin.is_sudo => Err(RightsError::IsSudo),
        _ => may_give(by, admin),
    }
}

/// Refuses rights that the author lacks.
pub(super) fn may_give(by: Actor<'_>, admin: &Admin) -> Result<(), RightsError> {
    match by {
        Actor::Admin(by) => admin.right_beyond(by).map_or(Ok(()), |right| Err(RightsError::Beyond(right))),
        Actor::Operator => Ok(()),
    }
}

/// The admin with that flag and that role. Without a role, the flag alone decides: true makes a sudo admin, and false leaves a role
/// as it is, so that clients that know no roles change none.
pub(super) fn with_role(admin: Admin, is_sudo: Option<bool>, role: Option<Role>) -> Result<Admin, RightsError> {
    let Some(role) = role else {
        let is_sudo = is_sudo.unwrap_or(admin.is_sudo);
        let role = admin.role.clone().filter(|_| !is_sudo);
        return Ok(Admin { is_sudo, role, ..admin });
    };
    let flag = role.built_in().and_then(|built_in| built_in.flag());
    if is_sudo.is_some_and(|is_sudo| is_sudo != flag.unwrap_or(false)) {
        return Err(RightsError::OtherRole);
    }
    let stored = flag.is_none().then(|| Arc::new(role));
    Ok(Admin { is_sudo: flag.unwrap_or(false), role: stored, ..admin })
}

/// Returns true if a change gives the admin another role. `is_sudo` by itself is a flag of Marzneshin, where it ends no session.
pub(super) fn is_other_role(before: &Admin, after: &Admin, is_role_given: bool) -> bool {
    let id = |admin: &Admin| admin.role.as_ref().map(|role| role.id);
    id(before) != id(after) || (is_role_given && before.is_sudo != after.is_sudo)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actions::admins::tests::admin;
    use crate::domain::ids::RoleId;
    use crate::domain::role::BuiltIn;

    fn role(name: &str, rights: &str) -> Role {
        let built_in = BuiltIn::ALL.into_iter().find(|role| role.name() == name);
        Role::stored(built_in.map_or(RoleId(9), BuiltIn::id), name.to_owned(), rights, false)
    }

    #[test]
    fn sudo_admin_is_not_changed_or_deleted_by_another() {
        let (root, dave, bob) = (admin(1, true), admin(2, true), admin(3, false));
        let by = Actor::Admin(&root);
        assert!(may_change(by, &root).is_ok() && may_change(by, &bob).is_ok());
        assert!(matches!(may_change(by, &dave), Err(RightsError::IsSudo)));
        assert!(may_delete(by, &bob).is_ok());
        assert!(matches!(may_delete(by, &root), Err(RightsError::IsSudo)));
        assert!(may_change(Actor::Operator, &dave).is_ok() && may_delete(Actor::Operator, &root).is_ok());
    }

    #[test]
    fn admin_with_more_rights_is_not_changed() {
        let recruiter = Admin { role: Some(Arc::new(role("recruiter", "admins:write=all"))), ..admin(1, false) };
        let by = Actor::Admin(&recruiter);
        let bob = admin(2, false);
        assert!(may_change(by, &recruiter).is_ok());
        assert!(matches!(may_change(by, &bob), Err(RightsError::Beyond(right)) if right == "users:read"));
        assert!(matches!(may_delete(by, &bob), Err(RightsError::Beyond(_))));
        assert!(matches!(may_change(by, &admin(3, true)), Err(RightsError::IsSudo)));
        let none = Admin { role: Some(Arc::new(role("none", ""))), ..admin(4, false) };
        assert!(may_change(by, &none).is_ok() && may_delete(by, &none).is_ok());
    }

    #[test]
    fn role_and_flag_go_together() {
        let given = |is_sudo: bool, flag, name: Option<&str>| {
            let after = with_role(admin(1, is_sudo), flag, name.map(|name| role(name, ""))).ok()?;
            Some((after.is_sudo, after.role_name().to_owned()))
        };
        let some = |is_sudo, name: &str| Some((is_sudo, name.to_owned()));
        assert_eq!(given(false, None, None), some(false, "reseller"));
        assert_eq!(given(false, Some(true), None), some(true, "owner"));
        assert_eq!(given(true, None, Some("reseller")), some(false, "reseller"));
        assert_eq!(given(true, None, Some("support")), some(false, "support"));
        assert_eq!(given(false, Some(true), Some("owner")), some(true, "owner"));
        assert_eq!(given(false, Some(true), Some("support")), None);
        assert_eq!(given(false, Some(false), Some("owner")), None);
        let custom = Admin { role: Some(Arc::new(role("custom", ""))), ..admin(1, false) };
        let after = |flag| with_role(custom.clone(), Some(flag), None).expect("no contradiction");
        assert_eq!(after(false).role_name(), "custom", "old clients send all flags");
        assert_eq!(after(true).role_name(), "owner");
        assert!(is_other_role(&custom, &after(true), false) && !is_other_role(&custom, &after(false), false));
        assert!(!is_other_role(&admin(1, true), &admin(1, false), false));
        assert!(is_other_role(&admin(1, true), &admin(1, false), true));
    }
}
