//! One-time codes of a sign-in: each is accepted once, on whichever host, as the database decides.

use crate::actions::Panel;
use crate::actions::admins::entry;
use crate::actions::password_check::SignInError;
use crate::config::secret::Secret;
use crate::domain::admin::Admin;
use crate::domain::audit::{Actor, Origin};
use crate::domain::change::{Changed, Unchanged};
use crate::domain::second_factor::OneTimeCode;
use crate::domain::second_factor::totp::{MOST_WRONG, accepted_step};
use crate::store::StoreError;
use crate::store::access::second_factor as store;

/// Accepts the one-time code of an admin whose password is right. An admin without a second factor needs none.
pub async fn check(panel: &Panel, admin: &Admin, code: Option<&Secret>) -> Result<(), SignInError> {
    let factors = store::factors(&panel.db, admin.id).await?;
    if !factors.any() {
        return Ok(());
    }
    let Some(code) = code.filter(|code| !code.expose().trim().is_empty()) else {
        return Err(SignInError::CodeMissing);
    };
    let accepted = match OneTimeCode::read(code.expose()) {
        OneTimeCode::Totp(code) => use_totp(panel, admin, &code).await?,
        OneTimeCode::Recovery(hash) => use_recovery_code(panel, admin, &hash).await?,
    };
    if accepted { Ok(()) } else { Err(SignInError::WrongCode) }
}

async fn use_totp(panel: &Panel, admin: &Admin, code: &str) -> Result<bool, SignInError> {
    let Some(totp) = store::totp(&panel.db, admin.id).await? else { return Ok(false) };
    if totp.wrong_codes >= MOST_WRONG {
        return Err(SignInError::CodesBlocked);
    }
    let step = accepted_step(&totp.secret, code, panel.clock.now(), totp.last_step);
    panel
        .transaction("use one-time code", async |tx| -> Result<_, SignInError> {
            let accepted = match step {
                Some(step) => store::use_step(tx, admin.id, &totp.secret, step).await?,
                None => false,
            };
            if !accepted {
                store::count_wrong(tx, admin.id).await?;
            }
            Ok((accepted, Unchanged))
        })
        .await
}

async fn use_recovery_code(panel: &Panel, admin: &Admin, hash: &str) -> Result<bool, SignInError> {
    let actor = Actor::Admin { id: admin.id, name: admin.username.clone() };
    let panel = panel.on_behalf_of(Origin { actor, ..Origin::clone(&panel.origin) });
    let used = panel.transaction("use recovery code", async |tx| -> Result<_, StoreError> {
        if !store::use_recovery_code(tx, admin.id, hash).await? {
            return Ok((false, None));
        }
        let entry = entry("second_factor.use_recovery_code", admin);
        Ok((true, Some(panel.record(tx, Changed::Admins.row(admin.id.0), &entry).await?)))
    });
    Ok(used.await?)
}
