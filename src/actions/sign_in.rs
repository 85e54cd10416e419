//! Signing in with a name, a password and, if the admin has a second factor, a one-time code; and changing one's own password.

use std::net::IpAddr;

use uuid::Uuid;

use super::Panel;
use super::admins::entry;
use super::password_check::{SignInError, check, right_password};
use super::second_factor::codes;
use super::sign_in_limits::SignInLimits;
use super::{passwords, sessions};
use crate::config::secret::Secret;
use crate::domain::admin::Admin;
use crate::domain::change::Changed;
use crate::store::access::admins;

/// A name and a password, and a one-time code.
#[derive(Debug)]
pub struct Credentials<'a> {
    /// The admin's name.
    pub username: &'a str,
    /// The admin's password.
    pub password: Secret,
    /// A code of the authenticator app, or a recovery code. Not read for an admin without a second factor.
    pub code: Option<Secret>,
}

/// A new password, and the one that it replaces.
#[derive(Debug)]
pub struct NewPassword {
    /// The password so far.
    pub present: Secret,
    /// The password from now on; not empty.
    pub new: Secret,
}

/// Returns the admin with these credentials, also a disabled one, whose token will be refused. `from` is the address to limit;
/// none for a client on this machine.
pub async fn sign_in(
    panel: &Panel,
    limits: &SignInLimits,
    from: Option<IpAddr>,
    credentials: Credentials<'_>,
) -> Result<Admin, SignInError> {
    let username = credentials.username;
    let attempt = limits.begin(from, username, &panel.clock).await.map_err(SignInError::TooMany)?;
    let checked = both_factors(panel, credentials).await;
    if !matches!(&checked, Err(error) if error.is_guess()) {
        // All was right, or it was not checked: the attempt does not count.
        attempt.was_right().await;
    }
    let admin = checked?;
    limits.remember(from, username, &panel.clock).await;
    Ok(admin)
}

async fn both_factors(panel: &Panel, credentials: Credentials<'_>) -> Result<Admin, SignInError> {
    let Credentials { username, password, code } = credentials;
    let stored = check(panel, username, password).await?;
    // A token belongs to the account and the password that were checked, which may have been replaced meanwhile.
    let admin = admins::by_username(&panel.db, username).await?;
    let admin = admin.filter(|admin| stored.is_of(admin)).ok_or(SignInError::Wrong)?;
    codes::check(panel, &admin, code.as_ref()).await?;
    Ok(admin)
}

/// Changes the password of a signed-in admin, who must know the present one, and ends the admin's sessions except `kept`.
/// Returns the changed admin, for whom a new token of `minutes` has to be signed, and whether `kept` goes on.
pub async fn change_password(
    panel: &Panel,
    limits: &SignInLimits,
    from: Option<IpAddr>,
    username: &str,
    passwords: NewPassword,
    kept: Option<Uuid>,
    minutes: u32,
) -> Result<(Admin, bool), SignInError> {
    let stored = right_password(panel, limits, from, username, passwords.present).await?;
    let hashed = passwords::hash(passwords.new).await?;
    let now = panel.clock.now();
    panel
        .transaction("change own password", async |tx| -> Result<_, SignInError> {
            let admin = admins::lock_by_username(tx, username).await?;
            let admin = admin.filter(|admin| stored.is_of(admin)).ok_or(SignInError::Wrong)?;
            let (admin, goes_on) = sessions::end_others(tx, admin, Some(&hashed), kept, minutes, now).await?;
            let entry = entry("admin.change_password", &admin);
            let recorded = panel.record(tx, Changed::Admins.row(admin.id.0), &entry).await?;
            Ok(((admin, goes_on), recorded))
        })
        .await
}
