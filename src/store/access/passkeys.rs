//! The tables `passkey` and `used_challenge`.

use sqlx::{query_as, query_scalar};
use uuid::Uuid;

use crate::domain::ids::AdminId;
use crate::domain::moment::Moment;
use crate::domain::second_factor::passkey::Passkey;
use crate::store::engine::statement::{db_affected, db_read, row, statements};
use crate::store::engine::{Db, StoreError, Tx};

statements! {
    LIST = "SELECT id, name, rp_id, created_at, last_used_at FROM passkey WHERE admin_id = $1 ORDER BY created_at, id";
    CREDENTIALS = "SELECT credential_id FROM passkey WHERE admin_id = $1 AND rp_id = $2";
    USER_HANDLE = "SELECT user_handle FROM passkey WHERE admin_id = $1 LIMIT 1";
    BY_CREDENTIAL =
        "SELECT p.id, p.admin_id, p.user_handle, p.rp_id, p.static_state, p.dynamic_state, a.username
         FROM passkey p JOIN admins a ON a.id = p.admin_id WHERE p.credential_id = $1";
    INSERT =
        "INSERT INTO passkey (id, admin_id, credential_id, user_handle, rp_id, name, static_state, dynamic_state, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING";
    RENAME = "UPDATE passkey SET name = $3 WHERE id = $1 AND admin_id = $2";
    DELETE = "DELETE FROM passkey WHERE id = $1 AND admin_id = $2";
    // Its counter may have been seen by another host meanwhile.
    TOUCH = "UPDATE passkey SET dynamic_state = $3, last_used_at = $4 WHERE id = $1 AND dynamic_state = $2";
    USE_CHALLENGE = "INSERT INTO used_challenge (id, expires_at) VALUES ($1, $2) ON CONFLICT DO NOTHING";
    PRUNE = "DELETE FROM used_challenge WHERE id IN
                (SELECT id FROM used_challenge WHERE expires_at < $1 ORDER BY expires_at LIMIT $2)";
}

row! {
    struct PasskeyRow {
        id: Uuid,
        name: String,
        rp_id: String,
        created_at: i64,
        last_used_at: Option<i64>,
    }
}

row! {
    struct CredentialRow {
        id: Uuid,
        admin_id: i64,
        user_handle: Uuid,
        rp_id: String,
        static_state: Vec<u8>,
        dynamic_state: Vec<u8>,
        username: String,
    }
}

/// A passkey with its public key.
#[derive(Clone, Debug)]
pub struct Credential {
    /// The row.
    pub id: Uuid,
    /// The admin.
    pub admin_id: AdminId,
    /// The same for all passkeys of the admin.
    pub user_handle: Uuid,
    /// The domain that it is for.
    pub rp_id: String,
    /// The public key, encoded.
    pub static_state: Vec<u8>,
    /// The state that uses change, encoded.
    pub dynamic_state: Vec<u8>,
    /// Username of the admin.
    pub username: String,
}

/// A passkey to insert.
#[derive(Clone, Debug)]
pub struct NewPasskey {
    /// The row.
    pub id: Uuid,
    /// As its authenticator names it, in base64url.
    pub credential_id: String,
    /// The same for all passkeys of the admin.
    pub user_handle: Uuid,
    /// The domain that it is for.
    pub rp_id: String,
    /// A name for people.
    pub name: String,
    /// The public key, encoded.
    pub static_state: Vec<u8>,
    /// The state that uses change, encoded.
    pub dynamic_state: Vec<u8>,
}

impl From<PasskeyRow> for Passkey {
    fn from(row: PasskeyRow) -> Self {
        Self {
            id: row.id,
            name: row.name,
            rp_id: row.rp_id,
            created_at: Moment::from_micros(row.created_at),
            last_used_at: row.last_used_at.map(Moment::from_micros),
        }
    }
}

/// Returns the passkeys of an admin, the oldest first.
pub async fn list(db: &Db, admin: AdminId) -> Result<Vec<Passkey>, StoreError> {
    let rows = db_read!(db, LIST, |sql, c| query_as::<_, PasskeyRow>(sql).bind(admin.0).fetch_all(c).await)?;
    Ok(rows.into_iter().map(Passkey::from).collect())
}

/// Returns the ids of an admin's credentials for a domain.
pub async fn credentials(db: &Db, admin: AdminId, rp_id: &str) -> Result<Vec<String>, StoreError> {
    db_read!(db, CREDENTIALS, |sql, c| query_scalar::<_, String>(sql).bind(admin.0).bind(rp_id).fetch_all(c).await)
}

/// Returns the user handle of an admin's passkeys; none if it has no passkey.
pub async fn user_handle(db: &Db, admin: AdminId) -> Result<Option<Uuid>, StoreError> {
    db_read!(db, USER_HANDLE, |sql, c| query_scalar::<_, Uuid>(sql).bind(admin.0).fetch_optional(c).await)
}

/// Returns the passkey of a credential.
pub async fn by_credential(db: &Db, credential_id: &str) -> Result<Option<Credential>, StoreError> {
    let row = db_read!(db, BY_CREDENTIAL, |sql, c| {
        query_as::<_, CredentialRow>(sql).bind(credential_id).fetch_optional(c).await
    })?;
    Ok(row.map(|row| Credential {
        id: row.id,
        admin_id: AdminId(row.admin_id),
        user_handle: row.user_handle,
        rp_id: row.rp_id,
        static_state: row.static_state,
        dynamic_state: row.dynamic_state,
        username: row.username,
    }))
}

/// Inserts a passkey. Returns false if there is one with this credential.
pub async fn insert(tx: &mut Tx, admin: AdminId, new: &NewPasskey, now: Moment) -> Result<bool, StoreError> {
    let inserted = db_affected!(
        tx,
        INSERT,
        new.id,
        admin.0,
        &new.credential_id,
        new.user_handle,
        &new.rp_id,
        &new.name,
        new.static_state.as_slice(),
        new.dynamic_state.as_slice(),
        now.micros()
    )?;
    Ok(inserted > 0)
}

/// Renames a passkey of an admin. Returns false if there is none.
pub async fn rename(tx: &mut Tx, admin: AdminId, id: Uuid, name: &str) -> Result<bool, StoreError> {
    Ok(db_affected!(tx, RENAME, id, admin.0, name)? > 0)
}

/// Deletes a passkey of an admin. Returns false if there is none.
pub async fn delete(tx: &mut Tx, admin: AdminId, id: Uuid) -> Result<bool, StoreError> {
    Ok(db_affected!(tx, DELETE, id, admin.0)? > 0)
}

/// Stores the state of a passkey after a use. Returns false if another use has changed it since it was read.
pub async fn touch(tx: &mut Tx, id: Uuid, before: &[u8], after: &[u8], now: Moment) -> Result<bool, StoreError> {
    Ok(db_affected!(tx, TOUCH, id, before, after, now.micros())? > 0)
}

/// Uses up a challenge. Returns false if it was used before.
pub async fn use_challenge(tx: &mut Tx, id: Uuid, expires_at: Moment) -> Result<bool, StoreError> {
    Ok(db_affected!(tx, USE_CHALLENGE, id, expires_at.micros())? > 0)
}

/// Deletes at most `limit` used challenges that expired before `before`. Returns their number.
pub async fn prune(tx: &mut Tx, before: Moment, limit: i64) -> Result<u64, StoreError> {
    db_affected!(tx, PRUNE, before.micros(), limit)
}
