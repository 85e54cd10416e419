//! Signing in with a name and a password.

use std::net::IpAddr;

use super::Panel;
use super::attempt_limiter::TooMany;
use super::passwords::{self, PasswordError};
use super::sign_in_limits::SignInLimits;
use crate::config::secret::Secret;
use crate::domain::admin::Admin;
use crate::store::StoreError;
use crate::store::access::admins::{self, StoredPassword};

/// Errors of signing in.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// The name or the password is wrong; the error does not say which.
    #[error("wrong name or password")]
    Wrong,
    /// Too many wrong passwords.
    #[error("too many wrong passwords; try again in {} s", .0.retry_after)]
    TooMany(TooMany),
    /// The password could not be checked.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Returns the admin with this name and password, also a disabled one, whose token will be refused. `from` is the address
/// to limit; none for a client on this machine.
pub async fn sign_in(
    panel: &Panel,
    limits: &SignInLimits,
    from: Option<IpAddr>,
    username: &str,
    password: Secret,
) -> Result<Admin, SignInError> {
    let attempt = limits.begin(from, username, &panel.clock).await.map_err(SignInError::TooMany)?;
    let checked = check(panel, username, password).await;
    if !matches!(checked, Ok((_, false))) {
        // It was right, or it was not checked: the attempt does not count.
        attempt.was_right().await;
    }
    let (stored, true) = checked? else { return Err(SignInError::Wrong) };
    // A token belongs to the account and the password that were checked, which may have been replaced meanwhile.
    let admin = admins::by_username(&panel.db, username).await?;
    let admin = admin.filter(|admin| stored.is_some_and(|stored| stored.is_of(admin))).ok_or(SignInError::Wrong)?;
    limits.remember(from, username, &panel.clock).await;
    Ok(admin)
}

/// Returns what is stored of an admin's password, and whether the password is right.
async fn check(panel: &Panel, username: &str, password: Secret) -> Result<(Option<StoredPassword>, bool), SignInError> {
    let stored = admins::password(&panel.db, username).await?;
    let is_right = passwords::verify(password, stored.as_ref().map(|stored| stored.hash.clone())).await?;
    Ok((stored, is_right))
}
