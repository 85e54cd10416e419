//! The tables `totp` and `recovery_code`: second factors of admins.

use sqlx::{query_as, query_scalar};

use crate::domain::ids::AdminId;
use crate::domain::moment::Moment;
use crate::domain::second_factor::Factors;
use crate::store::engine::statement::{db_affected, db_execute, db_read, db_run, row, statements};
use crate::store::engine::{Db, StoreError, Tx};

statements! {
    FACTORS = "SELECT (SELECT COUNT(*) FROM totp WHERE admin_id = $1 AND secret IS NOT NULL) AS totp,
                      (SELECT COUNT(*) FROM passkey WHERE admin_id = $1) AS passkeys,
                      (SELECT COUNT(*) FROM recovery_code WHERE admin_id = $1) AS recovery_codes";
    TOTP = "SELECT secret, last_step, wrong_codes FROM totp WHERE admin_id = $1 AND secret IS NOT NULL";
    // One of several simultaneous uses, on any host, finds an earlier step. The secret may have been replaced meanwhile.
    USE_STEP = "UPDATE totp SET last_step = $3, wrong_codes = 0 WHERE admin_id = $1 AND secret = $2 AND last_step < $3";
    COUNT_WRONG = "UPDATE totp SET wrong_codes = wrong_codes + 1 WHERE admin_id = $1";
    SET_PENDING = "INSERT INTO totp (admin_id, pending_secret) VALUES ($1, $2)
                   ON CONFLICT (admin_id) DO UPDATE SET pending_secret = excluded.pending_secret";
    FORGET_PENDING = "UPDATE totp SET pending_secret = NULL WHERE admin_id = $1 AND pending_secret IS NOT NULL";
    PENDING = "SELECT pending_secret FROM totp WHERE admin_id = $1 AND pending_secret IS NOT NULL";
    CONFIRM = "UPDATE totp SET secret = pending_secret, pending_secret = NULL, last_step = $3, wrong_codes = 0, confirmed_at = $4
               WHERE admin_id = $1 AND pending_secret = $2";
    REMOVE_TOTP = "DELETE FROM totp WHERE admin_id = $1";
    REMOVE_PASSKEYS = "DELETE FROM passkey WHERE admin_id = $1";
    USE_RECOVERY_CODE = "DELETE FROM recovery_code WHERE admin_id = $1 AND code_hash = $2";
    REMOVE_RECOVERY_CODES = "DELETE FROM recovery_code WHERE admin_id = $1";
    ADD_RECOVERY_CODE = "INSERT INTO recovery_code (admin_id, code_hash) VALUES ($1, $2)";
}

row! {
    struct FactorsRow {
        totp: i64,
        passkeys: i64,
        recovery_codes: i64,
    }
}

row! {
    struct TotpRow {
        secret: String,
        last_step: i64,
        wrong_codes: i64,
    }
}

/// A confirmed authenticator app.
#[derive(Clone, Debug)]
pub struct StoredTotp {
    /// In base32.
    pub secret: String,
    /// The 30 seconds of the last accepted code.
    pub last_step: i64,
    /// Wrong codes since then.
    pub wrong_codes: i64,
}

impl From<FactorsRow> for Factors {
    fn from(row: FactorsRow) -> Self {
        Self { totp: row.totp > 0, passkeys: row.passkeys, recovery_codes: row.recovery_codes }
    }
}

/// Returns the factors that an admin has.
pub async fn factors(db: &Db, admin: AdminId) -> Result<Factors, StoreError> {
    let row = db_read!(db, FACTORS, |sql, c| query_as::<_, FactorsRow>(sql).bind(admin.0).fetch_one(c).await)?;
    Ok(row.into())
}

/// Returns the factors of an admin whom the transaction has locked.
pub async fn locked_factors(tx: &mut Tx, admin: AdminId) -> Result<Factors, StoreError> {
    let row = db_run!(tx, FACTORS, |sql, c| query_as::<_, FactorsRow>(sql).bind(admin.0).fetch_one(c).await)?;
    Ok(row.into())
}

/// Returns the confirmed authenticator app of an admin.
pub async fn totp(db: &Db, admin: AdminId) -> Result<Option<StoredTotp>, StoreError> {
    let row = db_read!(db, TOTP, |sql, c| query_as::<_, TotpRow>(sql).bind(admin.0).fetch_optional(c).await)?;
    Ok(row.map(|TotpRow { secret, last_step, wrong_codes }| StoredTotp { secret, last_step, wrong_codes }))
}

/// Accepts a code of these 30 seconds. Returns false if one of them or of later ones was accepted before, or the secret is
/// another one.
pub async fn use_step(tx: &mut Tx, admin: AdminId, secret: &str, step: i64) -> Result<bool, StoreError> {
    Ok(db_affected!(tx, USE_STEP, admin.0, secret, step)? > 0)
}

/// Counts a wrong code.
pub async fn count_wrong(tx: &mut Tx, admin: AdminId) -> Result<(), StoreError> {
    db_execute!(tx, COUNT_WRONG, admin.0)
}

/// Stores a secret that a code has to confirm. The confirmed one, if there is one, stays good until then.
pub async fn set_pending(tx: &mut Tx, admin: AdminId, secret: &str) -> Result<(), StoreError> {
    db_execute!(tx, SET_PENDING, admin.0, secret)
}

/// Forgets a secret that no code has confirmed: who began to set it up may have had the password before.
pub async fn forget_pending(tx: &mut Tx, admin: AdminId) -> Result<(), StoreError> {
    db_execute!(tx, FORGET_PENDING, admin.0)
}

/// Returns the secret that a code has to confirm.
pub async fn pending(tx: &mut Tx, admin: AdminId) -> Result<Option<String>, StoreError> {
    db_run!(tx, PENDING, |sql, c| query_scalar::<_, String>(sql).bind(admin.0).fetch_optional(c).await)
}

/// Makes the pending secret the confirmed one, by a code of these 30 seconds.
pub async fn confirm(tx: &mut Tx, admin: AdminId, secret: &str, step: i64, now: Moment) -> Result<(), StoreError> {
    db_execute!(tx, CONFIRM, admin.0, secret, step, now.micros())
}

/// Removes the authenticator app of an admin, and a pending one.
pub async fn remove_totp(tx: &mut Tx, admin: AdminId) -> Result<(), StoreError> {
    db_execute!(tx, REMOVE_TOTP, admin.0)
}

/// Uses up a recovery code. Returns false if there is none with this hash.
pub async fn use_recovery_code(tx: &mut Tx, admin: AdminId, hash: &str) -> Result<bool, StoreError> {
    Ok(db_affected!(tx, USE_RECOVERY_CODE, admin.0, hash)? > 0)
}

/// Replaces the recovery codes of an admin by those with these hashes.
pub async fn replace_recovery_codes(tx: &mut Tx, admin: AdminId, hashes: &[String]) -> Result<(), StoreError> {
    db_execute!(tx, REMOVE_RECOVERY_CODES, admin.0)?;
    for hash in hashes {
        db_execute!(tx, ADD_RECOVERY_CODE, admin.0, hash)?;
    }
    Ok(())
}

/// Removes all factors of an admin, and its recovery codes.
pub async fn remove_all(tx: &mut Tx, admin: AdminId) -> Result<(), StoreError> {
    db_execute!(tx, REMOVE_TOTP, admin.0)?;
    db_execute!(tx, REMOVE_PASSKEYS, admin.0)?;
    db_execute!(tx, REMOVE_RECOVERY_CODES, admin.0)
}
