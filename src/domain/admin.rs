//! An admin and the admin's permissions.

use std::sync::Arc;

use super::ids::{AdminId, ServiceId};
use super::moment::Moment;
use super::rights::{Extent, Rights};
use super::role::{BuiltIn, Role};
use super::scope::{Action, Resource, Scope};
use crate::foundation::is_steering;

/// An admin, without the password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admin {
    /// The row.
    pub id: AdminId,
    /// Unique, case-sensitive. An imported name may be any text, a new one has no [`username_fault`].
    pub username: String,
    /// A sudo admin has all permissions.
    pub is_sudo: bool,
    /// A disabled admin can't use the API, except sudo admins.
    pub enabled: bool,
    /// May assign any service to users.
    pub all_services_access: bool,
    /// May edit users, not only create them.
    pub modify_users_access: bool,
    /// The services that this admin may assign, by id.
    pub service_ids: Vec<ServiceId>,
    /// The prefix of the subscription links of this admin's users; empty: the global prefix.
    pub subscription_url_prefix: String,
    /// When the password was last changed; none: never since the admin was created.
    pub password_reset_at: Option<Moment>,
    /// When the admin was created; unix time 0 if an imported admin has no such date.
    pub created_at: Moment,
    /// The role; none for the role that `is_sudo` means. Only an admin that is no sudo admin has one.
    pub role: Option<Arc<Role>>,
    /// The role requires a second factor.
    pub requires_second_factor: bool,
}

/// Returns why a new admin can't have this name.
pub fn username_fault(name: &str) -> Option<&'static str> {
    if name.trim().is_empty() {
        Some("must not be empty")
    } else if name.contains(is_steering) {
        Some("must not contain line breaks, control characters or marks of text direction")
    } else {
        None
    }
}

/// Returns why an admin can't have this password.
pub const fn password_fault(password: &str) -> Option<&'static str> {
    if password.is_empty() { Some("must not be empty") } else { None }
}

impl Admin {
    /// Name of the role.
    pub fn role_name(&self) -> &str {
        match &self.role {
            Some(role) => &role.name,
            None => BuiltIn::by_flag(self.is_sudo).name(),
        }
    }

    /// The rights of the role, of which `modify_users_access` and the services may leave less.
    pub fn rights(&self) -> Rights {
        match &self.role {
            Some(role) => role.rights,
            None => BuiltIn::by_flag(self.is_sudo).rights(),
        }
    }

    /// True if the right reaches that far.
    pub fn may(&self, resource: Resource, action: Action, extent: Extent) -> bool {
        self.rights().extent(Scope(resource, action)) >= extent
    }

    /// The owner whose users, services and the like a right reaches: this admin, or none for everybody's.
    pub fn only_own(&self, resource: Resource, action: Action) -> Option<AdminId> {
        (!self.may(resource, action, Extent::All)).then_some(self.id)
    }

    /// True for the user's owner, and for admins who may read all users.
    pub fn may_see_user_of(&self, owner: Option<AdminId>) -> bool {
        self.reaches_user_of(owner, Action::Read)
    }

    /// True when this admin may change, or only reset, users of that owner.
    pub fn may_change_user_of(&self, owner: Option<AdminId>, action: Action) -> bool {
        self.may_modify_users() && self.reaches_user_of(owner, action)
    }

    fn reaches_user_of(&self, owner: Option<AdminId>, action: Action) -> bool {
        match self.rights().extent(Scope(Resource::Users, action)) {
            Extent::None => false,
            Extent::Own => owner == Some(self.id),
            Extent::All => true,
        }
    }

    /// Returns the first right that this admin has and another one lacks.
    pub fn right_beyond(&self, other: &Self) -> Option<String> {
        if other.is_sudo {
            return None;
        }
        if self.is_sudo {
            return Some("is_sudo".to_owned());
        }
        if let Some(scope) = self.rights().beyond(other.rights()) {
            return Some(scope.to_string());
        }
        if self.may_modify_users() && !other.may_modify_users() {
            return Some("modify_users_access".to_owned());
        }
        if other.may_give_all_services() {
            return None;
        }
        if self.may_give_all_services() {
            return Some("all_services_access".to_owned());
        }
        let service = self.service_ids.iter().find(|service| !other.service_ids.contains(service));
        service.map(|service| format!("service {service}"))
    }

    /// True when this admin may edit the users that its role reaches.
    pub const fn may_modify_users(&self) -> bool {
        self.is_sudo || self.modify_users_access
    }

    /// True when this admin may assign every service.
    pub const fn may_give_all_services(&self) -> bool {
        self.is_sudo || self.all_services_access
    }

    /// True for enabled admins and for all sudo admins.
    pub const fn may_sign_in(&self) -> bool {
        self.is_sudo || self.enabled
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::RoleId;

    fn admin(is_sudo: bool, rights: Option<&str>) -> Admin {
        let role = |rights| Role::stored(RoleId(9), "custom".to_owned(), rights, false);
        Admin {
            id: AdminId(7),
            username: "a".to_owned(),
            is_sudo,
            enabled: true,
            all_services_access: false,
            modify_users_access: true,
            service_ids: vec![ServiceId(1)],
            subscription_url_prefix: String::new(),
            password_reset_at: None,
            created_at: Moment::from_micros(0),
            role: rights.map(|rights| Arc::new(role(rights))),
            requires_second_factor: false,
        }
    }

    #[test]
    fn admins_without_a_role_have_that_of_their_flag() {
        let (sudo, other) = (admin(true, None), admin(false, None));
        assert_eq!((sudo.role_name(), other.role_name()), ("owner", "reseller"));
        assert!(sudo.may(Resource::Settings, Action::Write, Extent::All));
        assert!(sudo.may_see_user_of(None) && sudo.may_change_user_of(Some(AdminId(8)), Action::Write));
        for (owner, is_own) in [(Some(AdminId(7)), true), (Some(AdminId(8)), false), (None, false)] {
            assert_eq!(other.may_see_user_of(owner), is_own);
            assert_eq!(other.may_change_user_of(owner, Action::Reset), is_own);
        }
        let creator = Admin { modify_users_access: false, ..other };
        assert!(!creator.may_change_user_of(Some(AdminId(7)), Action::Write));
    }

    #[test]
    fn role_decides_how_far_each_right_reaches() {
        let helper = admin(false, Some("users:read=all users:reset=own"));
        let (own, others) = (Some(AdminId(7)), Some(AdminId(8)));
        assert!(helper.may_see_user_of(others) && helper.may_see_user_of(None));
        assert!(helper.may_change_user_of(own, Action::Reset) && !helper.may_change_user_of(others, Action::Reset));
        assert!(!helper.may_change_user_of(own, Action::Write));
        assert_eq!(helper.only_own(Resource::Users, Action::Read), None);
        assert_eq!(helper.only_own(Resource::Users, Action::Reset), own);
        assert!(!admin(false, Some("")).may_see_user_of(own), "without the right not even its own");
    }

    #[test]
    fn right_that_another_lacks_is_named() {
        let (sudo, other) = (admin(true, None), admin(false, None));
        let recruiter = admin(false, Some("admins:write=all users:read=own"));
        let beyond = |one: &Admin, other: &Admin| one.right_beyond(other);
        assert_eq!(beyond(&other, &sudo), None);
        assert_eq!(beyond(&sudo, &recruiter).as_deref(), Some("is_sudo"));
        assert_eq!(beyond(&recruiter, &other).as_deref(), Some("admins:write"));
        assert_eq!(beyond(&other, &recruiter).as_deref(), Some("users:write"));
        assert_eq!(beyond(&recruiter, &recruiter), None);
        let with = |change: fn(&mut Admin)| {
            let mut more = other.clone();
            change(&mut more);
            beyond(&more, &other)
        };
        assert_eq!(with(|admin| admin.all_services_access = true).as_deref(), Some("all_services_access"));
        assert_eq!(with(|admin| admin.service_ids.push(ServiceId(2))).as_deref(), Some("service 2"));
        let creator = Admin { modify_users_access: false, ..other.clone() };
        assert_eq!(beyond(&other, &creator).as_deref(), Some("modify_users_access"));
    }

    #[test]
    fn names_and_passwords_of_new_admins_are_checked() {
        for name in ["", " ", "a\nb", "a\rb", "a\0b", "a\u{1b}[2J", "a\u{85}", "a\u{2028}b", "a\u{202e}b"] {
            assert!(username_fault(name).is_some(), "{name:?}");
        }
        for name in ["a", "UPPER", "a/b c%", "مدیر\u{200c}ها", "🚀"] {
            assert_eq!(username_fault(name), None, "{name:?}");
        }
        assert!(password_fault("").is_some());
        assert_eq!(password_fault(" "), None);
    }
}
