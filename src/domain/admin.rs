//! An admin and the admin's permissions.

use super::ids::{AdminId, ServiceId};
use super::moment::Moment;

/// An admin, without the password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admin {
    /// The row.
    pub id: AdminId,
    /// Any text; unique, case-sensitive.
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
