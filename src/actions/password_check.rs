//! Checks an admin's password, and limits wrong ones.

use std::net::IpAddr;

use super::Panel;
use super::attempt_limiter::TooMany;
use super::passwords::{self, PasswordError};
use super::sign_in_limits::SignInLimits;
use crate::config::secret::Secret;
use crate::store::access::admins::{self, StoredPassword};
use crate::store::{StoreError, Transient};

/// Errors of signing in.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// The name or the password is wrong; the error does not say which.
    #[error("wrong name or password")]
    Wrong,
    /// The password is right, and the admin has a second factor.
    #[error("the admin has a second factor: a one-time code is missing")]
    CodeMissing,
    /// The password is right, and the one-time code is not, or it was used already.
    #[error("the one-time code is wrong or was used already")]
    WrongCode,
    /// The password is right, but too many codes of the authenticator app were wrong.
    #[error("too many wrong codes of the authenticator app in a row")]
    CodesBlocked,
    /// Too many wrong passwords or codes.
    #[error("too many wrong passwords; try again in {} s", .0.retry_after)]
    TooMany(TooMany),
    /// The password could not be checked.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Transient for SignInError {
    fn is_transient(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_transient())
    }
}

impl SignInError {
    /// True for an attempt that counts: of guesses there is a limit.
    pub(super) const fn is_guess(&self) -> bool {
        matches!(self, Self::Wrong | Self::WrongCode)
    }
}

/// Returns the stored form of a password that is right. Wrong ones are counted. `from` is the address to limit; none for a client
/// on this machine.
pub async fn right_password(
    panel: &Panel,
    limits: &SignInLimits,
    from: Option<IpAddr>,
    username: &str,
    password: Secret,
) -> Result<StoredPassword, SignInError> {
    let attempt = limits.begin(from, username, &panel.clock).await.map_err(SignInError::TooMany)?;
    let checked = check(panel, username, password).await;
    if !matches!(&checked, Err(error) if error.is_guess()) {
        // It was right, or it was not checked: the attempt does not count.
        attempt.was_right().await;
    }
    checked
}

/// Returns the stored form of a password that is right.
pub(super) async fn check(panel: &Panel, username: &str, password: Secret) -> Result<StoredPassword, SignInError> {
    let stored = admins::password(&panel.db, username).await?;
    let is_right = passwords::verify(password, stored.as_ref().map(|stored| stored.hash.clone())).await?;
    stored.filter(|_| is_right).ok_or(SignInError::Wrong)
}
