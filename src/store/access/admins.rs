//! The tables `admins` and `admins_services`.

use serde::Deserialize;
use sqlx::{query_as, query_scalar};

use super::admin_row::{AdminRow, admin_columns, admin_fields, join_role};
use crate::domain::admin::Admin;
use crate::domain::ids::AdminId;
use crate::domain::moment::Moment;
use crate::store::engine::like::containing;
use crate::store::engine::statement::{db_affected, db_execute, db_read, db_run, row, row_in_order, statements};
use crate::store::engine::{Db, IdList, StoreError, Tx};
use crate::store::users::row::{flag, rows_in_text};

/// An admin with the traffic of all users it ever owned, removed ones included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminUsage {
    /// The admin.
    pub admin: Admin,
    /// Traffic of the users, in bytes.
    pub users_data_usage: i64,
}

statements! {
    BY_USERNAME =>
        pg concat!("SELECT ", admin_columns!(pg), " FROM admins a", join_role!(), "WHERE a.username = $1"),
        lite concat!("SELECT ", admin_columns!(lite), " FROM admins a", join_role!(), "WHERE a.username = $1");
    LOCK =>
        pg "SELECT id FROM admins WHERE username = $1 FOR UPDATE",
        lite "SELECT id FROM admins WHERE username = $1";
    // Sums are capped at the largest number of the API.
    USAGE_BY_USERNAME =>
        pg concat!("SELECT ", admin_columns!(pg), ",
                   CAST(LEAST(COALESCE((SELECT SUM(o.traffic) FROM owner_totals o WHERE o.owner_id = a.id), 0), 9223372036854775807)
                        AS BIGINT) AS users_data_usage,
                   CAST(1 AS BIGINT) AS total
            FROM admins a", join_role!(), "WHERE a.username = $1"),
        lite concat!("SELECT ", admin_columns!(lite), ",
                     CAST(MIN(COALESCE((SELECT SUM(o.traffic) FROM owner_totals o WHERE o.owner_id = a.id), 0), 9223372036854775807)
                          AS BIGINT) AS users_data_usage,
                     1 AS total
              FROM admins a", join_role!(), "WHERE a.username = $1");
    // PostgreSQL sums up the traffic of all admins once. SQLite is faster with a sum per admin, and with all rows as
    // one text (`users::row`).
    PAGE =>
        pg concat!(r"WITH sums AS (SELECT owner_id, SUM(traffic) AS traffic FROM owner_totals GROUP BY owner_id),
                  given AS (SELECT admin_id, ARRAY_AGG(service_id) AS ids FROM admins_services GROUP BY admin_id),
                  named AS (SELECT *, COUNT(*) OVER () AS total FROM admins
                            WHERE LOWER(username) LIKE LOWER($1) ESCAPE '\' ORDER BY id LIMIT $2 OFFSET $3)
             SELECT ", admin_fields!(), r", COALESCE(g.ids, '{}') AS service_ids,
                    CAST(LEAST(COALESCE(s.traffic, 0), 9223372036854775807) AS BIGINT) AS users_data_usage, a.total
             FROM named a", join_role!(), "LEFT JOIN sums s ON s.owner_id = a.id LEFT JOIN given g ON g.admin_id = a.id
             ORDER BY a.id"),
        lite concat!(r"SELECT json_group_array(json_array(id, username, is_sudo, enabled, all_services_access, modify_users_access,
                          subscription_url_prefix, password_reset_at, created_at, role_id, role_name, role_rights,
                          requires_second_factor, json(service_ids), users_data_usage, total))
               FROM (SELECT ", admin_columns!(lite), r",
                            CAST(MIN(COALESCE((SELECT SUM(o.traffic) FROM owner_totals o WHERE o.owner_id = a.id), 0), 9223372036854775807)
                                 AS BIGINT) AS users_data_usage,
                            a.total
                     FROM (SELECT *, COUNT(*) OVER () AS total FROM admins
                           WHERE LOWER(username) LIKE LOWER($1) ESCAPE '\' ORDER BY id LIMIT $2 OFFSET $3) AS a",
                     join_role!(), "ORDER BY a.id)");
    COUNT = r"SELECT COUNT(*) FROM admins WHERE LOWER(username) LIKE LOWER($1) ESCAPE '\'";
    PASSWORD = "SELECT id, hashed_password, password_reset_at FROM admins WHERE username = $1";
    INSERT = "INSERT INTO admins (username, hashed_password, is_sudo, created_at) VALUES ($1, $2, $3, $4)";
    UPDATE =
        "UPDATE admins SET is_sudo = $2, enabled = $3, all_services_access = $4, modify_users_access = $5,
                           subscription_url_prefix = $6, password_reset_at = $7,
                           hashed_password = COALESCE($8, hashed_password), role_id = $9, enabled_in_role = $10
         WHERE id = $1";
    DELETE = "DELETE FROM admins WHERE id = $1";
    CLEAR_SERVICES = "DELETE FROM admins_services WHERE admin_id = $1";
    ADD_SERVICES =>
        pg "INSERT INTO admins_services (admin_id, service_id)
            SELECT $1, id FROM (SELECT id FROM services WHERE id = ANY($2) ORDER BY id FOR KEY SHARE) AS known",
        lite "INSERT INTO admins_services (admin_id, service_id)
            SELECT $1, id FROM services WHERE id IN (SELECT value FROM json_each($2))";
    ORPHAN_USERS =>
        pg "UPDATE users SET owner_id = NULL WHERE id IN
                (SELECT id FROM users WHERE owner_id = $1 ORDER BY id LIMIT $2 FOR UPDATE)",
        lite "UPDATE users SET owner_id = NULL WHERE id IN
                (SELECT id FROM users WHERE owner_id = $1 ORDER BY id LIMIT $2)";
    GIVE_USERS =>
        pg "UPDATE users SET owner_id = $2 WHERE id IN
                (SELECT id FROM users WHERE owner_id = $1 AND removed = FALSE ORDER BY id LIMIT $3 FOR UPDATE)",
        lite "UPDATE users SET owner_id = $2 WHERE id IN
                (SELECT id FROM users WHERE owner_id = $1 AND removed = FALSE ORDER BY id LIMIT $3)";
    ADOPT_USERS =>
        pg "UPDATE users SET owner_id = $1 WHERE id IN
                (SELECT id FROM users WHERE owner_id IS NULL AND removed = FALSE ORDER BY id LIMIT $2 FOR UPDATE)",
        lite "UPDATE users SET owner_id = $1 WHERE id IN
                (SELECT id FROM users WHERE owner_id IS NULL AND removed = FALSE ORDER BY id LIMIT $2)";
}

row_in_order! {
    /// The columns of an admin, the traffic, and the number of rows on all pages.
    #[derive(Deserialize)]
    struct ListedRow {
        id: i64,
        username: String,
        #[serde(deserialize_with = "flag")]
        is_sudo: bool,
        #[serde(deserialize_with = "flag")]
        enabled: bool,
        #[serde(deserialize_with = "flag")]
        all_services_access: bool,
        #[serde(deserialize_with = "flag")]
        modify_users_access: bool,
        subscription_url_prefix: String,
        password_reset_at: Option<i64>,
        created_at: i64,
        role_id: Option<i64>,
        role_name: Option<String>,
        role_rights: Option<String>,
        #[serde(deserialize_with = "flag")]
        requires_second_factor: bool,
        service_ids: IdList,
        users_data_usage: i64,
        total: i64,
    }
}

impl From<ListedRow> for AdminUsage {
    fn from(row: ListedRow) -> Self {
        let admin = AdminRow {
            id: row.id,
            username: row.username,
            is_sudo: row.is_sudo,
            enabled: row.enabled,
            all_services_access: row.all_services_access,
            modify_users_access: row.modify_users_access,
            subscription_url_prefix: row.subscription_url_prefix,
            password_reset_at: row.password_reset_at,
            created_at: row.created_at,
            role_id: row.role_id,
            role_name: row.role_name,
            role_rights: row.role_rights,
            requires_second_factor: row.requires_second_factor,
            service_ids: row.service_ids,
        };
        Self { admin: admin.into(), users_data_usage: row.users_data_usage }
    }
}

/// Returns the admin of this exact name.
pub async fn by_username(db: &Db, username: &str) -> Result<Option<Admin>, StoreError> {
    let row = db_read!(db, BY_USERNAME, |sql, c| query_as::<_, AdminRow>(sql).bind(username).fetch_optional(c).await)?;
    Ok(row.map(Admin::from))
}

/// Returns the admin of this exact name and locks it until the end of the transaction.
pub async fn lock_by_username(tx: &mut Tx, username: &str) -> Result<Option<Admin>, StoreError> {
    // Two statements: on PostgreSQL the second one sees what others committed while the first one waited for the lock.
    db_run!(tx, LOCK, |sql, c| query_scalar::<_, i64>(sql).bind(username).fetch_optional(c).await)?;
    in_transaction(tx, username).await
}

/// Returns the admin of this exact name as a transaction sees it, without a lock.
pub async fn in_transaction(tx: &mut Tx, username: &str) -> Result<Option<Admin>, StoreError> {
    let row = db_run!(tx, BY_USERNAME, |sql, c| query_as::<_, AdminRow>(sql).bind(username).fetch_optional(c).await)?;
    Ok(row.map(Admin::from))
}

/// Returns the admin of this exact name with its users' traffic.
pub async fn usage_by_username(db: &Db, username: &str) -> Result<Option<AdminUsage>, StoreError> {
    let row =
        db_read!(db, USAGE_BY_USERNAME, |sql, c| query_as::<_, ListedRow>(sql).bind(username).fetch_optional(c).await)?;
    Ok(row.map(AdminUsage::from))
}

/// Returns a page of admins by id with their users' traffic, and the number of admins on all pages. `contains` is part
/// of the name in any case, with `%` and `_` as wildcards; empty: all admins.
pub async fn page(db: &Db, contains: &str, limit: i64, offset: i64) -> Result<(Vec<AdminUsage>, i64), StoreError> {
    let pattern = containing(contains);
    let rows: sqlx::Result<Vec<ListedRow>> = match db {
        Db::Pg(pool) => {
            let page = query_as(PAGE.pg).bind(pattern).bind(limit).bind(offset);
            page.fetch_all(pool.for_statement(PAGE.name)).await
        }
        Db::Lite(lite) => {
            let text = query_scalar::<_, String>(PAGE.lite).bind(pattern).bind(limit).bind(offset);
            let text = text.fetch_one(&lite.read).await;
            text.and_then(|text| rows_in_text(&text))
        }
    };
    let rows = rows.map_err(|source| db.failed(PAGE.name, source))?;
    let total = match rows.first() {
        Some(row) => row.total,
        // Beyond the last page there is no row with the total.
        None => count(db, contains).await?,
    };
    Ok((rows.into_iter().map(AdminUsage::from).collect(), total))
}

/// Returns the number of admins on all pages.
pub async fn count(db: &Db, contains: &str) -> Result<i64, StoreError> {
    db_read!(db, COUNT, |sql, c| query_scalar::<_, i64>(sql).bind(containing(contains)).fetch_one(c).await)
}

row! {
    struct PasswordRow {
        id: i64,
        hashed_password: String,
        password_reset_at: Option<i64>,
    }
}

/// The hash of a password, and the admin and the change that it belongs to.
#[derive(Clone, Debug)]
pub struct StoredPassword {
    /// The hash.
    pub hash: String,
    admin: AdminId,
    reset_at: Option<Moment>,
}

impl StoredPassword {
    /// True if it is still the password of this admin.
    pub fn is_of(&self, admin: &Admin) -> bool {
        self.admin == admin.id && self.reset_at == admin.password_reset_at
    }
}

/// Returns the password of the admin of this name.
pub async fn password(db: &Db, username: &str) -> Result<Option<StoredPassword>, StoreError> {
    let row = db_read!(db, PASSWORD, |sql, c| query_as::<_, PasswordRow>(sql).bind(username).fetch_optional(c).await)?;
    Ok(row.map(|row| StoredPassword {
        hash: row.hashed_password,
        admin: AdminId(row.id),
        reset_at: row.password_reset_at.map(Moment::from_micros),
    }))
}

/// Inserts an admin with default rights and no services.
pub async fn insert(
    tx: &mut Tx,
    username: &str,
    hashed_password: &str,
    is_sudo: bool,
    now: Moment,
) -> Result<(), StoreError> {
    db_execute!(tx, INSERT, username, hashed_password, is_sudo, now.micros())
}

/// Updates everything but the name and the services; the password only if there is a new hash.
pub async fn update(tx: &mut Tx, admin: &Admin, hashed_password: Option<&str>) -> Result<(), StoreError> {
    // Earlier versions know no roles: to them, an admin with one is disabled.
    let role = admin.role.as_ref().map(|role| role.id.0);
    db_execute!(
        tx,
        UPDATE,
        admin.id.0,
        admin.is_sudo && role.is_none(),
        admin.enabled && role.is_none(),
        admin.all_services_access,
        admin.modify_users_access,
        &admin.subscription_url_prefix,
        admin.password_reset_at.map(Moment::micros),
        hashed_password,
        role,
        admin.enabled && role.is_some()
    )
}

/// Sets the services that an admin may assign; unknown ones are left out.
pub async fn set_services(tx: &mut Tx, id: AdminId, service_ids: IdList) -> Result<(), StoreError> {
    db_execute!(tx, CLEAR_SERVICES, id.0)?;
    db_execute!(tx, ADD_SERVICES, id.0, service_ids)
}

/// Clears the owner of at most `limit` users of an admin. Returns their number.
pub async fn orphan_users(tx: &mut Tx, id: AdminId, limit: i64) -> Result<i64, StoreError> {
    let done = db_affected!(tx, ORPHAN_USERS, id.0, limit)?;
    Ok(i64::try_from(done).unwrap_or(i64::MAX))
}

/// Gives at most `limit` users of an admin, without removed ones, to another. Returns their number.
pub async fn give_users(tx: &mut Tx, from: AdminId, to: AdminId, limit: i64) -> Result<i64, StoreError> {
    let done = db_affected!(tx, GIVE_USERS, from.0, to.0, limit)?;
    Ok(i64::try_from(done).unwrap_or(i64::MAX))
}

/// Sets the owner of at most `limit` users without one. Returns their number.
pub async fn adopt_users(tx: &mut Tx, id: AdminId, limit: i64) -> Result<i64, StoreError> {
    let done = db_affected!(tx, ADOPT_USERS, id.0, limit)?;
    Ok(i64::try_from(done).unwrap_or(i64::MAX))
}

/// Deletes an admin. Users it still owns remain, without an owner.
pub async fn delete(tx: &mut Tx, id: AdminId) -> Result<(), StoreError> {
    db_execute!(tx, DELETE, id.0)
}
