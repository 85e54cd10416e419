//! An admin and the admin's permissions.

use super::ids::{AdminId, ServiceId};
use super::moment::Moment;
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
    /// True for the user's owner and for sudo admins.
    pub fn may_see_user_of(&self, owner: Option<AdminId>) -> bool {
        self.is_sudo || owner == Some(self.id)
    }

    /// True when this admin may edit the users that it sees.
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
