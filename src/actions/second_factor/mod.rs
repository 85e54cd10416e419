//! Second factors of admins: set up, removed and reset. Each change ends the admin's other sessions.

pub mod codes;
pub mod passkeys;
pub mod totp;
pub mod webauthn;

use serde_json::json;
use uuid::Uuid;

use self::webauthn::CeremonyError;
use super::Panel;
use super::admins::{Actor, AdminError, RightsError, entry, lock, may_change, present};
use super::audit::Recorded;
use super::password_check::SignInError;
use super::sessions;
use crate::domain::admin::Admin;
use crate::domain::audit::Entry;
use crate::domain::change::Changed;
use crate::domain::second_factor::passkey::MOST;
use crate::domain::second_factor::{Factors, recovery_code};
use crate::store::access::admins::{StoredPassword, lock_by_username};
use crate::store::access::second_factor as store;
use crate::store::{StoreError, Transient, Tx};

/// An admin who changes its own second factor.
#[derive(Clone, Copy, Debug)]
pub struct Own<'a> {
    /// The admin.
    pub admin: &'a Admin,
    /// The session of the request, which goes on.
    pub session: Option<Uuid>,
    /// The lifetime of its next token, in minutes.
    pub minutes: u32,
}

/// A change of an admin's second factor.
#[derive(Clone, Debug)]
pub struct Done {
    /// The changed admin, for whom a new token has to be signed.
    pub admin: Admin,
    /// The session that goes on.
    pub session: Option<Uuid>,
    /// New recovery codes, which are stored nowhere; empty if there are none.
    pub recovery_codes: Vec<String>,
}

/// Errors of changing a second factor.
#[derive(Debug, thiserror::Error)]
pub enum SecondFactorError {
    /// There is no such factor.
    #[error("no such second factor is set up")]
    NotSetUp,
    /// No authenticator app waits to be confirmed.
    #[error("no authenticator app waits to be confirmed")]
    NotBegun,
    /// The code does not confirm the authenticator app.
    #[error("the one-time code is wrong")]
    WrongCode,
    /// The role of the admin requires a second factor, and this is the last one.
    #[error("the role of the admin requires a second factor")]
    Required,
    /// There is no such passkey.
    #[error("there is no such passkey")]
    NoPasskey,
    /// The admin has as many passkeys as it can have.
    #[error("the admin has {MOST} passkeys already; remove one first")]
    MostPasskeys,
    /// The passkey is another admin's, or was added already.
    #[error("the passkey was added already")]
    Taken,
    /// No passkey can have this name.
    #[error("the name {0}")]
    Name(&'static str),
    /// The challenge was used before.
    #[error("the challenge was used already")]
    ChallengeUsed,
    /// The ceremony of a passkey failed.
    #[error(transparent)]
    Ceremony(#[from] CeremonyError),
    /// Admins remove their own factors with their password.
    #[error("an admin removes its own second factor with its password")]
    Own,
    /// The password is wrong.
    #[error(transparent)]
    SignIn(#[from] SignInError),
    /// The admin does not exist or may not be changed.
    #[error(transparent)]
    Admin(#[from] AdminError),
}

impl From<StoreError> for SecondFactorError {
    fn from(error: StoreError) -> Self {
        Self::Admin(AdminError::Store(error))
    }
}

impl Transient for SecondFactorError {
    fn is_transient(&self) -> bool {
        match self {
            Self::SignIn(error) => error.is_transient(),
            Self::Admin(error) => error.is_transient(),
            _ => false,
        }
    }
}

/// Returns the factors that an admin has set up.
pub async fn factors(panel: &Panel, admin: &Admin) -> Result<Factors, StoreError> {
    store::factors(&panel.db, admin.id).await
}

/// Removes all factors of an admin who has lost them, its recovery codes and its sessions.
pub async fn reset(panel: &Panel, by: Actor<'_>, username: &str) -> Result<(), SecondFactorError> {
    let now = panel.clock.now();
    panel
        .transaction("reset second factor", async |tx| -> Result<_, SecondFactorError> {
            let admin = lock_by_username(tx, username).await?.ok_or(AdminError::NotFound)?;
            may_change(present(tx, panel, by).await?.actor(), &admin)?;
            if matches!(by, Actor::Admin(by) if by.id == admin.id) {
                return Err(SecondFactorError::Own);
            }
            let factors = store::locked_factors(tx, admin.id).await?;
            if !factors.any() {
                return Err(SecondFactorError::NotSetUp);
            }
            store::remove_all(tx, admin.id).await?;
            let (admin, _) = sessions::end_others(tx, admin, None, None, 0, now).await?;
            let entry = entry("second_factor.reset", &admin)
                .with(json!({"passkeys": factors.passkeys, "recovery_codes": factors.recovery_codes}));
            Ok(((), panel.record(tx, Changed::Admins.row(admin.id.0), &entry).await?))
        })
        .await
}

/// Locks the admin who makes a change. Refused if all its sessions were ended since the request began: the change would give that of the
/// request a new token.
async fn lock_own(tx: &mut Tx, own: &Admin) -> Result<Admin, SecondFactorError> {
    let admin = lock(tx, own).await?;
    if admin.password_reset_at == own.password_reset_at {
        Ok(admin)
    } else {
        Err(AdminError::Rights(RightsError::Lost).into())
    }
}

/// The same, for a change that needs the password, which may have been replaced since it was checked.
async fn lock_with(tx: &mut Tx, own: &Admin, password: &StoredPassword) -> Result<Admin, SecondFactorError> {
    let admin = lock_own(tx, own).await?;
    if password.is_of(&admin) { Ok(admin) } else { Err(SignInError::Wrong.into()) }
}

/// Gives an admin new recovery codes, and returns them.
async fn new_recovery_codes(tx: &mut Tx, admin: &Admin) -> Result<Vec<String>, StoreError> {
    let codes = recovery_code::new_codes();
    let hashes: Vec<String> = codes.iter().map(|code| recovery_code::hash_of_shown(code)).collect();
    store::replace_recovery_codes(tx, admin.id, &hashes).await?;
    Ok(codes)
}

/// Removes the recovery codes of an admin who has no factor left, which its role must allow.
async fn after_removal(tx: &mut Tx, admin: &Admin) -> Result<(), SecondFactorError> {
    if store::locked_factors(tx, admin.id).await?.any() {
        return Ok(());
    }
    if admin.requires_second_factor {
        return Err(SecondFactorError::Required);
    }
    Ok(store::replace_recovery_codes(tx, admin.id, &[]).await?)
}

/// Ends the other sessions of an admin whose second factor has changed, and records the change.
async fn finish(
    panel: &Panel,
    tx: &mut Tx,
    own: Own<'_>,
    admin: Admin,
    recovery_codes: Vec<String>,
    entry: Entry,
) -> Result<(Done, Recorded), StoreError> {
    let (admin, goes_on) = sessions::end_others(tx, admin, None, own.session, own.minutes, panel.clock.now()).await?;
    let recorded = panel.record(tx, Changed::Admins.row(admin.id.0), &entry).await?;
    Ok((Done { admin, session: own.session.filter(|_| goes_on), recovery_codes }, recorded))
}
