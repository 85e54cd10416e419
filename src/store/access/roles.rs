//! The table `admin_role`: roles of admins.

use sqlx::{query_as, query_scalar};

use crate::domain::ids::RoleId;
use crate::domain::role::Role;
use crate::store::engine::statement::{db_execute, db_read, db_run, row, statements};
use crate::store::engine::{Db, StoreError, Tx};

statements! {
    // Admins without a role have the first or the second one, by is_sudo.
    ALL =
        "SELECT r.id, r.name, r.rights, r.requires_second_factor, COALESCE(u.admins, 0) AS admins
         FROM admin_role r
         LEFT JOIN (SELECT COALESCE(role_id, CASE WHEN is_sudo THEN 1 ELSE 2 END) AS role, COUNT(*) AS admins
                    FROM admins GROUP BY 1) AS u ON u.role = r.id
         ORDER BY r.id";
    BY_NAME =
        "SELECT r.id, r.name, r.rights, r.requires_second_factor, CAST(0 AS BIGINT) AS admins
         FROM admin_role r WHERE r.name = $1";
    LOCK => pg "SELECT id FROM admin_role WHERE name = $1 FOR UPDATE", lite "SELECT id FROM admin_role WHERE name = $1";
    // SQLite has one writer, so its transactions need no lock.
    LOCK_ALL => pg "LOCK TABLE admin_role IN SHARE ROW EXCLUSIVE MODE", lite "SELECT 1";
    COUNT = "SELECT COUNT(*) FROM admin_role WHERE id > 4";
    ADMINS = "SELECT COUNT(*) FROM admins WHERE role_id = $1";
    INSERT = "INSERT INTO admin_role (name, rights, requires_second_factor) VALUES ($1, $2, $3)";
    UPDATE = "UPDATE admin_role SET name = $2, rights = $3, requires_second_factor = $4 WHERE id = $1";
    DELETE = "DELETE FROM admin_role WHERE id = $1";
}

row! {
    struct RoleRow {
        id: i64,
        name: String,
        rights: String,
        requires_second_factor: bool,
        admins: i64,
    }
}

/// A role with the number of its admins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsedRole {
    /// The role.
    pub role: Role,
    /// Number of admins with it.
    pub admins: i64,
}

impl From<RoleRow> for UsedRole {
    fn from(row: RoleRow) -> Self {
        let role = Role::stored(RoleId(row.id), row.name, &row.rights, row.requires_second_factor);
        Self { role, admins: row.admins }
    }
}

/// Returns all roles, the built-in ones first.
pub async fn all(db: &Db) -> Result<Vec<UsedRole>, StoreError> {
    let rows = db_read!(db, ALL, |sql, c| query_as::<_, RoleRow>(sql).fetch_all(c).await)?;
    Ok(rows.into_iter().map(UsedRole::from).collect())
}

/// Returns the role of this exact name, as this transaction sees it.
pub async fn by_name(tx: &mut Tx, name: &str) -> Result<Option<Role>, StoreError> {
    let row = db_run!(tx, BY_NAME, |sql, c| query_as::<_, RoleRow>(sql).bind(name).fetch_optional(c).await)?;
    Ok(row.map(|row| UsedRole::from(row).role))
}

/// Returns the role of this exact name and locks it until the end of the transaction: no admin is given it meanwhile.
pub async fn lock(tx: &mut Tx, name: &str) -> Result<Option<Role>, StoreError> {
    db_run!(tx, LOCK, |sql, c| query_scalar::<_, i64>(sql).bind(name).fetch_optional(c).await)?;
    by_name(tx, name).await
}

/// Returns the number of roles that are not built-in, and keeps it until the end of the transaction.
pub async fn lock_count(tx: &mut Tx) -> Result<i64, StoreError> {
    db_execute!(tx, LOCK_ALL)?;
    db_run!(tx, COUNT, |sql, c| query_scalar::<_, i64>(sql).fetch_one(c).await)
}

/// Returns the number of admins with a role that is stored with them.
pub async fn admins(tx: &mut Tx, id: RoleId) -> Result<i64, StoreError> {
    db_run!(tx, ADMINS, |sql, c| query_scalar::<_, i64>(sql).bind(id.0).fetch_one(c).await)
}

/// Inserts a role; its id is ignored.
pub async fn insert(tx: &mut Tx, role: &Role) -> Result<(), StoreError> {
    db_execute!(tx, INSERT, &role.name, role.rights.texts().join(" "), role.requires_second_factor)
}

/// Updates a role.
pub async fn update(tx: &mut Tx, role: &Role) -> Result<(), StoreError> {
    db_execute!(tx, UPDATE, role.id.0, &role.name, role.rights.texts().join(" "), role.requires_second_factor)
}

/// Deletes a role that no admin has.
pub async fn delete(tx: &mut Tx, id: RoleId) -> Result<(), StoreError> {
    db_execute!(tx, DELETE, id.0)
}
