//! The authenticator app of an admin, and its recovery codes.

use std::net::IpAddr;

use serde_json::json;

use super::{Done, Own, SecondFactorError, after_removal, finish, lock_own, lock_with, new_recovery_codes};
use crate::actions::Panel;
use crate::actions::admins::entry;
use crate::actions::password_check::SignInError;
use crate::actions::sign_in_limits::SignInLimits;
use crate::config::secret::Secret;
use crate::domain::change::Changed;
use crate::domain::second_factor::OneTimeCode;
use crate::domain::second_factor::totp::{accepted_step, new_secret};
use crate::store::access::admins::StoredPassword;
use crate::store::access::second_factor as store;

/// Begins to set up an authenticator app: returns its secret, which is good once [`confirm`] has seen a code of it.
pub async fn begin(panel: &Panel, own: Own<'_>, password: &StoredPassword) -> Result<Secret, SecondFactorError> {
    let secret = new_secret();
    panel
        .transaction("begin TOTP", async |tx| -> Result<_, SecondFactorError> {
            let admin = lock_with(tx, own.admin, password).await?;
            store::set_pending(tx, admin.id, &secret).await?;
            let entry = entry("second_factor.begin_totp", &admin);
            Ok(((), panel.record(tx, Changed::Admins.row(admin.id.0), &entry).await?))
        })
        .await?;
    Ok(Secret::new(secret))
}

/// Makes the app whose secret was shown the one that counts, in place of an earlier one. Gives the admin recovery codes if it has
/// none. Wrong codes are limited as those of a sign-in are: who has only a stolen session must not guess
/// that of an app that the admin has begun to set up. `from` is the address to limit; none for a client on this machine.
pub async fn confirm(
    panel: &Panel,
    limits: &SignInLimits,
    from: Option<IpAddr>,
    own: Own<'_>,
    code: &Secret,
) -> Result<Done, SecondFactorError> {
    let attempt = limits.begin(from, &own.admin.username, &panel.clock).await.map_err(SignInError::TooMany)?;
    let confirmed = confirm_once(panel, own, code).await;
    if !matches!(confirmed, Err(SecondFactorError::WrongCode)) {
        attempt.was_right().await;
    }
    confirmed
}

async fn confirm_once(panel: &Panel, own: Own<'_>, code: &Secret) -> Result<Done, SecondFactorError> {
    let OneTimeCode::Totp(code) = OneTimeCode::read(code.expose()) else { return Err(SecondFactorError::WrongCode) };
    let now = panel.clock.now();
    panel
        .transaction("confirm TOTP", async |tx| -> Result<_, SecondFactorError> {
            let admin = lock_own(tx, own.admin).await?;
            let secret = store::pending(tx, admin.id).await?.ok_or(SecondFactorError::NotBegun)?;
            let step = accepted_step(&secret, &code, now, 0).ok_or(SecondFactorError::WrongCode)?;
            let before = store::locked_factors(tx, admin.id).await?;
            store::confirm(tx, admin.id, &secret, step, now).await?;
            let codes = if before.recovery_codes == 0 { new_recovery_codes(tx, &admin).await? } else { Vec::new() };
            let entry = entry("second_factor.confirm_totp", &admin).with(json!({"replaced": before.totp}));
            Ok(finish(panel, tx, own, admin, codes, entry).await?)
        })
        .await
}

/// Removes the authenticator app, and with the last factor the recovery codes.
pub async fn remove(panel: &Panel, own: Own<'_>, password: &StoredPassword) -> Result<Done, SecondFactorError> {
    panel
        .transaction("remove TOTP", async |tx| -> Result<_, SecondFactorError> {
            let admin = lock_with(tx, own.admin, password).await?;
            if !store::locked_factors(tx, admin.id).await?.totp {
                return Err(SecondFactorError::NotSetUp);
            }
            store::remove_totp(tx, admin.id).await?;
            after_removal(tx, &admin).await?;
            let entry = entry("second_factor.remove_totp", &admin);
            Ok(finish(panel, tx, own, admin, Vec::new(), entry).await?)
        })
        .await
}

/// Replaces the recovery codes of an admin who has a second factor.
pub async fn replace_recovery_codes(
    panel: &Panel,
    own: Own<'_>,
    password: &StoredPassword,
) -> Result<Done, SecondFactorError> {
    panel
        .transaction("replace recovery codes", async |tx| -> Result<_, SecondFactorError> {
            let admin = lock_with(tx, own.admin, password).await?;
            if !store::locked_factors(tx, admin.id).await?.any() {
                return Err(SecondFactorError::NotSetUp);
            }
            let codes = new_recovery_codes(tx, &admin).await?;
            let entry = entry("second_factor.replace_recovery_codes", &admin).with(json!({"codes": codes.len()}));
            Ok(finish(panel, tx, own, admin, codes, entry).await?)
        })
        .await
}
