//! `admins` and the services that each may give.

use sqlx::query_as;

use super::{Db, IdList, StoreError, read, row, statements};
use crate::domain::admin::Admin;
use crate::domain::ids::{AdminId, ServiceId};
use crate::domain::moment::Moment;

/// The columns of an [`AdminRow`], with `admins` called `a`.
macro_rules! select {
    (pg $rest:literal) => {
        concat!(
            "SELECT a.id, a.username, a.is_sudo, a.enabled, a.all_services_access, a.modify_users_access,
                    a.subscription_url_prefix, a.password_reset_at,
                    ARRAY(SELECT s.service_id FROM admins_services s WHERE s.admin_id = a.id) AS service_ids
             FROM admins a ",
            $rest
        )
    };
    (lite $rest:literal) => {
        concat!(
            "SELECT a.id, a.username, a.is_sudo, a.enabled, a.all_services_access, a.modify_users_access,
                    a.subscription_url_prefix, a.password_reset_at,
                    (SELECT json_group_array(s.service_id) FROM admins_services s WHERE s.admin_id = a.id) AS service_ids
             FROM admins a ",
            $rest
        )
    };
}

statements! {
    BY_USERNAME => pg select!(pg "WHERE a.username = $1"), lite select!(lite "WHERE a.username = $1");
}

row! {
    struct AdminRow {
        id: i64,
        username: String,
        is_sudo: bool,
        enabled: bool,
        all_services_access: bool,
        modify_users_access: bool,
        subscription_url_prefix: String,
        password_reset_at: Option<i64>,
        service_ids: IdList,
    }
}

impl From<AdminRow> for Admin {
    fn from(row: AdminRow) -> Self {
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
        }
    }
}

/// The admin of that name, to the letter.
pub async fn by_username(db: &Db, username: &str) -> Result<Option<Admin>, StoreError> {
    let row = read!(db, BY_USERNAME, |sql, c| query_as::<_, AdminRow>(sql).bind(username).fetch_optional(c).await)?;
    Ok(row.map(Admin::from))
}
