//! The columns of an admin, and how a row becomes one.

use std::sync::Arc;

use crate::domain::admin::Admin;
use crate::domain::ids::{AdminId, RoleId, ServiceId};
use crate::domain::moment::Moment;
use crate::domain::role::Role;
use crate::store::engine::IdList;
use crate::store::engine::statement::row;

/// The columns of an admin `a` and its role `r`, all but the services. The row of a role is also that of admins without one.
macro_rules! admin_fields {
    () => {
        "a.id, a.username, a.is_sudo, (a.enabled OR a.enabled_in_role) AS enabled, a.all_services_access,
         a.modify_users_access, a.subscription_url_prefix, a.password_reset_at, a.created_at, a.role_id,
         r.name AS role_name, r.rights AS role_rights,
         COALESCE(r.requires_second_factor, FALSE) AS requires_second_factor"
    };
}

/// The columns that an [`AdminRow`] is read from.
macro_rules! admin_columns {
    (pg) => {
        concat!(
            $crate::store::access::admin_row::admin_fields!(),
            ", ARRAY(SELECT s.service_id FROM admins_services s WHERE s.admin_id = a.id) AS service_ids"
        )
    };
    (lite) => {
        concat!(
            $crate::store::access::admin_row::admin_fields!(),
            ", (SELECT json_group_array(s.service_id) FROM admins_services s WHERE s.admin_id = a.id) AS service_ids"
        )
    };
}

/// The join of a role `r` to an admin `a`.
macro_rules! join_role {
    () => {
        " LEFT JOIN admin_role r ON r.id = COALESCE(a.role_id, CASE WHEN a.is_sudo THEN 1 ELSE 2 END) "
    };
}

pub(super) use {admin_columns, admin_fields, join_role};

row! {
    pub(super) struct AdminRow {
        pub(super) id: i64,
        pub(super) username: String,
        pub(super) is_sudo: bool,
        pub(super) enabled: bool,
        pub(super) all_services_access: bool,
        pub(super) modify_users_access: bool,
        pub(super) subscription_url_prefix: String,
        pub(super) password_reset_at: Option<i64>,
        pub(super) created_at: i64,
        pub(super) role_id: Option<i64>,
        pub(super) role_name: Option<String>,
        pub(super) role_rights: Option<String>,
        pub(super) requires_second_factor: bool,
        pub(super) service_ids: IdList,
    }
}

impl From<AdminRow> for Admin {
    fn from(row: AdminRow) -> Self {
        let role = row.role_id.map(|id| {
            let (name, rights) = (row.role_name.unwrap_or_default(), row.role_rights.unwrap_or_default());
            Arc::new(Role::stored(RoleId(id), name, &rights, row.requires_second_factor))
        });
        Self {
            id: AdminId(row.id),
            username: row.username,
            is_sudo: row.is_sudo,
            enabled: row.enabled,
            all_services_access: row.all_services_access,
            modify_users_access: row.modify_users_access,
            service_ids: row.service_ids.as_slice().iter().copied().map(ServiceId).collect(),
            subscription_url_prefix: row.subscription_url_prefix,
            password_reset_at: row.password_reset_at.map(Moment::from_micros),
            created_at: Moment::from_micros(row.created_at),
            role,
            requires_second_factor: row.requires_second_factor,
        }
    }
}
