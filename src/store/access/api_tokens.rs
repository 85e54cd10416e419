//! The table `api_token`: API tokens of admins.

use sqlx::{FromRow, query, query_as, query_scalar};
use uuid::Uuid;

use super::admin_row::{AdminRow, admin_columns, join_role};
use super::sessions::Use;
use crate::domain::admin::Admin;
use crate::domain::api_token::{ApiToken, ApiTokenDocument, StoredSecret, stored_addresses};
use crate::domain::ids::AdminId;
use crate::domain::moment::Moment;
use crate::domain::scope::Scopes;
use crate::store::engine::statement::{db_affected, db_execute, db_read, db_run, row, statements};
use crate::store::engine::{Db, StoreError, Tx};

statements! {
    // The look-up of a request's token: one statement reads it with its admin.
    WITH_ADMIN =>
        pg concat!("SELECT ", admin_columns!(pg), ",
                   t.id AS token_id, t.name, t.scopes, t.addresses, t.secret_hash, t.previous_hash, t.previous_until,
                   t.created_at AS token_created_at, t.expires_at, t.last_used_at, t.last_address, a.username AS admin
            FROM api_token t JOIN admins a ON a.id = t.admin_id", join_role!(), "WHERE t.id = $1"),
        lite concat!("SELECT ", admin_columns!(lite), ",
                   t.id AS token_id, t.name, t.scopes, t.addresses, t.secret_hash, t.previous_hash, t.previous_until,
                   t.created_at AS token_created_at, t.expires_at, t.last_used_at, t.last_address, a.username AS admin
            FROM api_token t JOIN admins a ON a.id = t.admin_id", join_role!(), "WHERE t.id = $1");
    BY_ID =
        "SELECT t.id AS token_id, t.name, t.scopes, t.addresses, t.secret_hash, t.previous_hash, t.previous_until,
                t.created_at AS token_created_at, t.expires_at, t.last_used_at, t.last_address, a.username AS admin
         FROM api_token t JOIN admins a ON a.id = t.admin_id WHERE t.id = $1";
    // 0: of all admins.
    PAGE =
        "SELECT t.id AS token_id, t.name, t.scopes, t.addresses, t.secret_hash, t.previous_hash, t.previous_until,
                t.created_at AS token_created_at, t.expires_at, t.last_used_at, t.last_address, a.username AS admin
         FROM api_token t JOIN admins a ON a.id = t.admin_id WHERE ($1 = 0 OR t.admin_id = $1)
         ORDER BY t.admin_id, t.created_at, t.id LIMIT $2 OFFSET $3";
    COUNT = "SELECT COUNT(*) FROM api_token WHERE ($1 = 0 OR admin_id = $1)";
    COUNT_OF = "SELECT COUNT(*) FROM api_token WHERE admin_id = $1";
    INSERT = "INSERT INTO api_token (id, admin_id, name, scopes, addresses, secret_hash, created_at, expires_at)
              VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    REPLACE_SECRET = "UPDATE api_token SET previous_hash = secret_hash, previous_until = $3, secret_hash = $2 WHERE id = $1";
    DELETE = "DELETE FROM api_token WHERE id = $1";
    TOUCH =>
        pg "WITH locked AS (SELECT id FROM api_token WHERE id = ANY(CAST($1 AS UUID[])) ORDER BY id FOR UPDATE)
            UPDATE api_token AS t SET last_used_at = u.at, last_address = u.address
            FROM UNNEST(CAST($1 AS UUID[]), CAST($2 AS BIGINT[]), CAST($3 AS TEXT[])) AS u (id, at, address)
            JOIN locked l ON l.id = u.id
            WHERE t.id = u.id AND COALESCE(t.last_used_at, 0) < u.at",
        lite "UPDATE api_token AS t SET last_used_at = u.at, last_address = u.address
            FROM (SELECT unhex(value ->> 0) AS id, value ->> 1 AS at, value ->> 2 AS address FROM json_each($1)) AS u
            WHERE t.id = u.id AND COALESCE(t.last_used_at, 0) < u.at";
    PRUNE = "DELETE FROM api_token WHERE id IN
                (SELECT id FROM api_token WHERE expires_at < $1 ORDER BY expires_at LIMIT $2)";
}

row! {
    struct TokenRow {
        token_id: Uuid,
        name: String,
        scopes: String,
        addresses: String,
        secret_hash: String,
        previous_hash: Option<String>,
        previous_until: Option<i64>,
        token_created_at: i64,
        expires_at: Option<i64>,
        last_used_at: Option<i64>,
        last_address: Option<String>,
        admin: String,
    }
}

/// A token with the name of its admin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnedToken {
    /// The token.
    pub token: ApiToken,
    /// Username of the admin.
    pub admin: String,
}

impl OwnedToken {
    /// Returns what is shown of it.
    pub fn document(&self) -> ApiTokenDocument {
        self.token.document(&self.admin)
    }
}

impl From<TokenRow> for OwnedToken {
    fn from(row: TokenRow) -> Self {
        let previous = row.previous_hash.zip(row.previous_until.map(Moment::from_micros));
        let token = ApiToken {
            id: row.token_id,
            name: row.name,
            scopes: Scopes::stored(&row.scopes),
            addresses: stored_addresses(&row.addresses),
            created_at: Moment::from_micros(row.token_created_at),
            expires_at: row.expires_at.map(Moment::from_micros),
            last_used_at: row.last_used_at.map(Moment::from_micros),
            last_address: row.last_address,
            secret: StoredSecret { hash: row.secret_hash, previous },
        };
        Self { token, admin: row.admin }
    }
}

/// Returns a token with its admin.
pub async fn with_admin(db: &Db, id: Uuid) -> Result<Option<(Admin, ApiToken)>, StoreError> {
    let rows = db_read!(db, WITH_ADMIN, |sql, c| {
        let row = query(sql).bind(id).fetch_optional(c).await;
        row.and_then(|row| row.map(|row| Ok((AdminRow::from_row(&row)?, TokenRow::from_row(&row)?))).transpose())
    })?;
    Ok(rows.map(|(admin, token)| (admin.into(), OwnedToken::from(token).token)))
}

/// Returns a token and the name of its admin.
pub async fn by_id(db: &Db, id: Uuid) -> Result<Option<OwnedToken>, StoreError> {
    let row = db_read!(db, BY_ID, |sql, c| query_as::<_, TokenRow>(sql).bind(id).fetch_optional(c).await)?;
    Ok(row.map(OwnedToken::from))
}

/// Returns a token, as it is inside of a transaction that has locked its admin.
pub async fn locked(tx: &mut Tx, id: Uuid) -> Result<Option<OwnedToken>, StoreError> {
    let row = db_run!(tx, BY_ID, |sql, c| query_as::<_, TokenRow>(sql).bind(id).fetch_optional(c).await)?;
    Ok(row.map(OwnedToken::from))
}

/// Returns a page of tokens by admin and age, of an admin or of all, and their number.
pub async fn page(
    db: &Db,
    admin: Option<AdminId>,
    limit: i64,
    offset: i64,
) -> Result<(Vec<OwnedToken>, i64), StoreError> {
    let admin = admin.map_or(0, |admin| admin.0);
    let rows = db_read!(db, PAGE, |sql, c| {
        query_as::<_, TokenRow>(sql).bind(admin).bind(limit).bind(offset).fetch_all(c).await
    })?;
    let total = db_read!(db, COUNT, |sql, c| query_scalar::<_, i64>(sql).bind(admin).fetch_one(c).await)?;
    Ok((rows.into_iter().map(OwnedToken::from).collect(), total))
}

/// Returns the number of an admin's tokens.
pub async fn count(tx: &mut Tx, admin: AdminId) -> Result<i64, StoreError> {
    db_run!(tx, COUNT_OF, |sql, c| query_scalar::<_, i64>(sql).bind(admin.0).fetch_one(c).await)
}

/// Inserts a token.
pub async fn insert(tx: &mut Tx, admin: AdminId, token: &ApiToken) -> Result<(), StoreError> {
    let addresses: Vec<String> = token.addresses.iter().map(ToString::to_string).collect();
    db_execute!(
        tx,
        INSERT,
        token.id,
        admin.0,
        &token.name,
        token.scopes.texts().join(" "),
        addresses.join(" "),
        &token.secret.hash,
        token.created_at.micros(),
        token.expires_at.map(Moment::micros)
    )
}

/// Replaces the secret of a token; the one before is good until then.
pub async fn replace_secret(tx: &mut Tx, id: Uuid, hash: &str, previous_until: Moment) -> Result<(), StoreError> {
    db_execute!(tx, REPLACE_SECRET, id, hash, previous_until.micros())
}

/// Deletes a token. Returns false if there is none.
pub async fn delete(tx: &mut Tx, id: Uuid) -> Result<bool, StoreError> {
    Ok(db_affected!(tx, DELETE, id)? > 0)
}

/// Stores the last uses of tokens, a few thousand at most.
pub async fn touch(tx: &mut Tx, uses: &[Use]) -> Result<(), StoreError> {
    super::sessions::store_uses(tx, &TOUCH, uses).await
}

/// Deletes at most `limit` tokens that expired before `before`. Returns their number.
pub async fn prune(tx: &mut Tx, before: Moment, limit: i64) -> Result<u64, StoreError> {
    db_affected!(tx, PRUNE, before.micros(), limit)
}
