//! An admin, and what an admin may do.

use super::ids::{AdminId, ServiceId};
use super::moment::Moment;

/// An admin as the panel knows it, without the password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admin {
    /// The row.
    pub id: AdminId,
    /// Any text; unique, case kept.
    pub username: String,
    /// May do everything.
    pub is_sudo: bool,
    /// A disabled admin is refused everywhere; a disabled sudo is not.
    pub enabled: bool,
    /// May give any service to users.
    pub all_services_access: bool,
    /// May change users, not only create them.
    pub modify_users_access: bool,
    /// The services that this admin may give, by id.
    pub service_ids: Vec<ServiceId>,
    /// The prefix of this admin's users' links; empty: the global one.
    pub subscription_url_prefix: String,
    /// Tokens issued before are refused.
    pub password_reset_at: Option<Moment>,
}

impl Admin {
    /// Owns the user, or is sudo.
    pub fn may_see_user_of(&self, owner: Option<AdminId>) -> bool {
        self.is_sudo || owner == Some(self.id)
    }

    /// May change users that it may see.
    pub const fn may_modify_users(&self) -> bool {
        self.is_sudo || self.modify_users_access
    }

    /// May give every service.
    pub const fn may_give_all_services(&self) -> bool {
        self.is_sudo || self.all_services_access
    }

    /// May sign in: a disabled sudo still may.
    pub const fn may_sign_in(&self) -> bool {
        self.is_sudo || self.enabled
    }
}
