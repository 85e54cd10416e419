//! The table `admin_session`: sessions of admins.

use sqlx::{query, query_as, query_scalar};
use uuid::Uuid;

use crate::domain::admin::Admin;
use crate::domain::ids::AdminId;
use crate::domain::moment::Moment;
use crate::domain::session::Session;
use crate::store::access::second_factor;
use crate::store::engine::statement::{db_affected, db_execute, db_read, row, statements};
use crate::store::engine::{Db, Statement, StoreError, Tx};

statements! {
    // Nothing is inserted if the password was changed meanwhile: the token would not be good, either.
    START =>
        pg "INSERT INTO admin_session (id, admin_id, password_version, created_at, last_used_at, expires_at, address, user_agent)
            SELECT $1, id, $3, $4, $4, $5, $6, $7 FROM admins
            WHERE id = $2 AND COALESCE(password_reset_at, 0) = $3 FOR SHARE",
        lite "INSERT INTO admin_session (id, admin_id, password_version, created_at, last_used_at, expires_at, address, user_agent)
            SELECT $1, id, $3, $4, $4, $5, $6, $7 FROM admins
            WHERE id = $2 AND COALESCE(password_reset_at, 0) = $3";
    TRIM = "DELETE FROM admin_session WHERE id IN
                (SELECT id FROM admin_session WHERE admin_id = $1 AND ended_at IS NULL
                 ORDER BY last_used_at DESC, id DESC LIMIT 1000000 OFFSET $2)";
    CONTINUE = "UPDATE admin_session SET password_version = $3, expires_at = $4, last_used_at = $5
                WHERE id = $1 AND admin_id = $2 AND ended_at IS NULL";
    DELETE_OTHERS = "DELETE FROM admin_session WHERE admin_id = $1 AND id <> $2";
    END = "UPDATE admin_session SET ended_at = $2 WHERE id = $1 AND ended_at IS NULL";
    INSERT_ENDED = "INSERT INTO admin_session (id, admin_id, password_version, created_at, last_used_at, ended_at, user_agent)
                    VALUES ($1, $2, $3, $4, $4, $4, '') ON CONFLICT (id) DO NOTHING";
    OWNER = "SELECT a.username FROM admin_session s JOIN admins a ON a.id = s.admin_id
             WHERE s.id = $1 AND s.ended_at IS NULL AND (s.expires_at IS NULL OR s.expires_at > $2)
                AND s.password_version = COALESCE(a.password_reset_at, 0)";
    PAGE = "SELECT s.id, s.created_at, s.last_used_at, s.expires_at, s.address, s.user_agent
            FROM admin_session s JOIN admins a ON a.id = s.admin_id
            WHERE s.admin_id = $1 AND s.ended_at IS NULL AND (s.expires_at IS NULL OR s.expires_at > $2)
                AND s.password_version = COALESCE(a.password_reset_at, 0)
            ORDER BY s.last_used_at DESC, s.id DESC LIMIT $3 OFFSET $4";
    COUNT = "SELECT COUNT(*) FROM admin_session s JOIN admins a ON a.id = s.admin_id
             WHERE s.admin_id = $1 AND s.ended_at IS NULL AND (s.expires_at IS NULL OR s.expires_at > $2)
                AND s.password_version = COALESCE(a.password_reset_at, 0)";
    // Two hosts may have seen the same session; rows are locked by id.
    TOUCH =>
        pg "WITH locked AS (SELECT id FROM admin_session WHERE id = ANY(CAST($1 AS UUID[])) ORDER BY id FOR UPDATE)
            UPDATE admin_session AS s SET last_used_at = u.at, address = COALESCE(u.address, s.address)
            FROM UNNEST(CAST($1 AS UUID[]), CAST($2 AS BIGINT[]), CAST($3 AS TEXT[])) AS u (id, at, address) JOIN locked l ON l.id = u.id
            WHERE s.id = u.id AND s.last_used_at < u.at",
        lite "UPDATE admin_session AS s SET last_used_at = u.at, address = COALESCE(u.address, s.address)
            FROM (SELECT unhex(value ->> 0) AS id, value ->> 1 AS at, value ->> 2 AS address FROM json_each($1)) AS u
            WHERE s.id = u.id AND s.last_used_at < u.at";
    PRUNE = "DELETE FROM admin_session WHERE id IN
                (SELECT id FROM admin_session WHERE expires_at < $1 ORDER BY expires_at LIMIT $2)";
}

row! {
    struct SessionRow {
        id: Uuid,
        created_at: i64,
        last_used_at: i64,
        expires_at: Option<i64>,
        address: Option<String>,
        user_agent: String,
    }
}

/// The last use of a session or of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Use {
    /// The session or the token.
    pub id: Uuid,
    /// When it was used.
    pub at: Moment,
    /// The client's address; none for a Unix socket.
    pub address: Option<String>,
}

/// Inserts a session of an admin. Returns false, without inserting it, if the admin's password was changed since `admin` was
/// read, or the admin was deleted.
pub async fn start(tx: &mut Tx, admin: &Admin, session: &Session) -> Result<bool, StoreError> {
    let expires_at = session.expires_at.map(Moment::micros);
    let rows = db_affected!(
        tx,
        START,
        session.id,
        admin.id.0,
        password_version(admin),
        session.created_at.micros(),
        expires_at,
        session.address.as_deref(),
        &session.user_agent
    )?;
    Ok(rows > 0)
}

/// Deletes the rows of all but the `most` sessions of an admin that were used last. Their tokens stay good.
pub async fn trim(tx: &mut Tx, admin: AdminId, most: i64) -> Result<(), StoreError> {
    db_execute!(tx, TRIM, admin.0, most)
}

/// Ends all sessions of an admin whose password version has just changed, except `kept`, and forgets an authenticator app that one of
/// them may have begun to set up. Returns true if `kept` goes on, with a token that expires at `expires_at`.
pub async fn end_others(
    tx: &mut Tx,
    admin: &Admin,
    kept: Option<Uuid>,
    expires_at: Option<Moment>,
    now: Moment,
) -> Result<bool, StoreError> {
    let kept = kept.unwrap_or(Uuid::nil());
    db_execute!(tx, DELETE_OTHERS, admin.id.0, kept)?;
    second_factor::forget_pending(tx, admin.id).await?;
    let expires_at = expires_at.map(Moment::micros);
    Ok(db_affected!(tx, CONTINUE, kept, admin.id.0, password_version(admin), expires_at, now.micros())? > 0)
}

/// Ends a session. Returns false if there is none, or it had ended.
pub async fn end(tx: &mut Tx, id: Uuid, now: Moment) -> Result<bool, StoreError> {
    Ok(db_affected!(tx, END, id, now.micros())? > 0)
}

/// Inserts a session that has ended, for a token whose session's row was deleted by [`trim`]. Returns false if there is a row.
pub async fn insert_ended(tx: &mut Tx, admin: &Admin, id: Uuid, now: Moment) -> Result<bool, StoreError> {
    Ok(db_affected!(tx, INSERT_ENDED, id, admin.id.0, password_version(admin), now.micros())? > 0)
}

/// Returns the name of the admin of a session that has not ended.
pub async fn owner(db: &Db, id: Uuid, now: Moment) -> Result<Option<String>, StoreError> {
    db_read!(db, OWNER, |sql, c| query_scalar::<_, String>(sql).bind(id).bind(now.micros()).fetch_optional(c).await)
}

/// Returns a page of an admin's sessions that have not ended, those used last first, and their number.
pub async fn page(
    db: &Db,
    admin: AdminId,
    now: Moment,
    limit: i64,
    offset: i64,
) -> Result<(Vec<Session>, i64), StoreError> {
    let rows = db_read!(db, PAGE, |sql, c| {
        query_as::<_, SessionRow>(sql).bind(admin.0).bind(now.micros()).bind(limit).bind(offset).fetch_all(c).await
    })?;
    let total = db_read!(db, COUNT, |sql, c| {
        query_scalar::<_, i64>(sql).bind(admin.0).bind(now.micros()).fetch_one(c).await
    })?;
    Ok((rows.into_iter().map(Session::from).collect(), total))
}

/// Stores the last uses of sessions, a few thousand at most.
pub async fn touch(tx: &mut Tx, uses: &[Use]) -> Result<(), StoreError> {
    store_uses(tx, &TOUCH, uses).await
}

/// Runs a statement that stores uses: of sessions, or of tokens.
pub(super) async fn store_uses(tx: &mut Tx, statement: &Statement, uses: &[Use]) -> Result<(), StoreError> {
    // By hand, because the binds differ: three arrays on PostgreSQL, a JSON text on SQLite.
    let stored = match &mut *tx {
        Tx::Pg(tx) => {
            let ids: Vec<Uuid> = uses.iter().map(|it| it.id).collect();
            let times: Vec<i64> = uses.iter().map(|it| it.at.micros()).collect();
            let addresses: Vec<Option<&str>> = uses.iter().map(|it| it.address.as_deref()).collect();
            query(statement.pg).bind(ids).bind(times).bind(addresses).execute(&mut *tx).await.map(drop)
        }
        Tx::Lite { tx, .. } => {
            let rows: Vec<_> =
                uses.iter().map(|it| (it.id.simple().to_string(), it.at.micros(), it.address.as_deref())).collect();
            query(statement.lite).bind(sqlx::types::Json(rows)).execute(&mut **tx).await.map(drop)
        }
    };
    stored.map_err(|source| tx.failed(statement.name, source))
}

/// Deletes at most `limit` sessions whose tokens expired before `before`. Returns their number.
pub async fn prune(tx: &mut Tx, before: Moment, limit: i64) -> Result<u64, StoreError> {
    db_affected!(tx, PRUNE, before.micros(), limit)
}

fn password_version(admin: &Admin) -> i64 {
    admin.password_reset_at.map_or(0, Moment::micros)
}

impl From<SessionRow> for Session {
    fn from(row: SessionRow) -> Self {
        Self {
            id: row.id,
            created_at: Moment::from_micros(row.created_at),
            last_used_at: Moment::from_micros(row.last_used_at),
            expires_at: row.expires_at.map(Moment::from_micros),
            address: row.address,
            user_agent: row.user_agent,
        }
    }
}
