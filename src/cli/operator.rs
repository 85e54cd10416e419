//! The rights of commands for users, and their errors with the next step.

use crate::actions::users::UserError;
use crate::domain::admin::Admin;
use crate::domain::ids::AdminId;
use crate::domain::moment::Moment;

/// Adds the name and the next step to the error.
pub(super) fn explained(error: UserError, username: &str, owner: &str) -> anyhow::Error {
    match error {
        UserError::NotFound => anyhow::anyhow!("user {username:?} not found; `sarban user list` shows all users"),
        UserError::NoSuchAdmin => anyhow::anyhow!("admin {owner:?} not found; `sarban admin list` shows all admins"),
        other => other.into(),
    }
}

/// The rights of a command, which are those of a sudo admin.
pub(super) const fn operator() -> Admin {
    Admin {
        id: AdminId(0),
        username: String::new(),
        is_sudo: true,
        enabled: true,
        all_services_access: true,
        modify_users_access: true,
        service_ids: Vec::new(),
        subscription_url_prefix: String::new(),
        password_reset_at: None,
        created_at: Moment::from_micros(0),
        role: None,
        requires_second_factor: false,
    }
}
