//! Passkeys of admins: added, renamed, removed, and used to sign in without a password.

use std::net::IpAddr;

use serde_json::{Value, json};
use uuid::Uuid;

use super::webauthn::{Begun, CeremonyError, RelyingParty, credential_id};
use super::{Done, Own, SecondFactorError, after_removal, finish, lock_own, lock_with, new_recovery_codes};
use crate::actions::Panel;
use crate::actions::admins::entry;
use crate::actions::password_check::SignInError;
use crate::actions::sign_in_limits::SignInLimits;
use crate::domain::admin::Admin;
use crate::domain::api_token::name_fault;
use crate::domain::change::{Changed, Unchanged};
use crate::domain::moment::Moment;
use crate::domain::second_factor::passkey::{MOST, Passkey};
use crate::store::StoreError;
use crate::store::access::admins::{self, StoredPassword};
use crate::store::access::passkeys::{self as store, NewPasskey};
use crate::store::access::second_factor;

/// A ceremony that has begun, as its second request brings it back.
#[derive(Debug)]
pub struct Challenge {
    /// Used once.
    pub id: Uuid,
    /// When it is good no longer.
    pub expires_at: Moment,
    /// The state that the check of the answer needs.
    pub state: Vec<u8>,
}

/// Returns the passkeys of an admin.
pub async fn list(panel: &Panel, admin: &Admin) -> Result<Vec<Passkey>, StoreError> {
    store::list(&panel.db, admin.id).await
}

/// Asks for a new passkey of an admin whose password was checked.
pub async fn begin(
    panel: &Panel,
    own: Own<'_>,
    password: &StoredPassword,
    party: &RelyingParty,
) -> Result<Begun, SecondFactorError> {
    let db = &panel.db;
    let admin = admins::by_username(db, &own.admin.username).await?;
    let admin = admin.filter(|admin| password.is_of(admin)).ok_or(SignInError::Wrong)?;
    if second_factor::factors(db, admin.id).await?.passkeys >= MOST {
        return Err(SecondFactorError::MostPasskeys);
    }
    let present = store::credentials(db, admin.id, party.domain()).await?;
    let handle = store::user_handle(db, admin.id).await?.unwrap_or_else(Uuid::new_v4);
    Ok(party.begin_registration(&admin.username, handle, &present)?)
}

/// Adds a passkey that an authenticator has made. Gives the admin recovery codes if it has none.
pub async fn add(
    panel: &Panel,
    own: Own<'_>,
    party: &RelyingParty,
    challenge: &Challenge,
    name: &str,
    answer: &Value,
) -> Result<Done, SecondFactorError> {
    if let Some(fault) = name_fault(name) {
        return Err(SecondFactorError::Name(fault));
    }
    let made = party.finish_registration(&challenge.state, answer)?;
    let now = panel.clock.now();
    let new = NewPasskey {
        id: Uuid::new_v4(),
        credential_id: made.credential_id,
        user_handle: made.user_handle,
        rp_id: party.domain().to_owned(),
        name: name.to_owned(),
        static_state: made.static_state,
        dynamic_state: made.dynamic_state,
    };
    panel
        .transaction("add passkey", async |tx| -> Result<_, SecondFactorError> {
            let admin = lock_own(tx, own.admin).await?;
            let before = second_factor::locked_factors(tx, admin.id).await?;
            if before.passkeys >= MOST {
                return Err(SecondFactorError::MostPasskeys);
            }
            if !store::use_challenge(tx, challenge.id, challenge.expires_at).await? {
                return Err(SecondFactorError::ChallengeUsed);
            }
            if !store::insert(tx, admin.id, &new, now).await? {
                return Err(SecondFactorError::Taken);
            }
            let codes = if before.recovery_codes == 0 { new_recovery_codes(tx, &admin).await? } else { Vec::new() };
            let entry = entry("second_factor.add_passkey", &admin)
                .with(json!({"passkey": new.id, "name": new.name, "rp_id": new.rp_id}));
            Ok(finish(panel, tx, own, admin, codes, entry).await?)
        })
        .await
}

/// Renames a passkey.
pub async fn rename(panel: &Panel, own: Own<'_>, id: Uuid, name: &str) -> Result<(), SecondFactorError> {
    if let Some(fault) = name_fault(name) {
        return Err(SecondFactorError::Name(fault));
    }
    panel
        .transaction("rename passkey", async |tx| -> Result<_, SecondFactorError> {
            let admin = lock_own(tx, own.admin).await?;
            if !store::rename(tx, admin.id, id, name).await? {
                return Err(SecondFactorError::NoPasskey);
            }
            let entry = entry("second_factor.rename_passkey", &admin).with(json!({"passkey": id, "name": name}));
            Ok(((), panel.record(tx, Changed::Admins.row(admin.id.0), &entry).await?))
        })
        .await
}

/// Removes a passkey, and with the last factor the recovery codes.
pub async fn remove(
    panel: &Panel,
    own: Own<'_>,
    password: &StoredPassword,
    id: Uuid,
) -> Result<Done, SecondFactorError> {
    panel
        .transaction("remove passkey", async |tx| -> Result<_, SecondFactorError> {
            let admin = lock_with(tx, own.admin, password).await?;
            if !store::delete(tx, admin.id, id).await? {
                return Err(SecondFactorError::NoPasskey);
            }
            after_removal(tx, &admin).await?;
            let entry = entry("second_factor.remove_passkey", &admin).with(json!({"passkey": id}));
            Ok(finish(panel, tx, own, admin, Vec::new(), entry).await?)
        })
        .await
}

/// Returns the admin whose passkey has signed a challenge. Wrong answers are limited as passwords are: by address, and by
/// credential in place of the name, which nobody sends. `from` is the address to limit; none for a client on this machine.
pub async fn sign_in(
    panel: &Panel,
    limits: &SignInLimits,
    from: Option<IpAddr>,
    party: &RelyingParty,
    challenge: &Challenge,
    answer: &Value,
) -> Result<Admin, SecondFactorError> {
    let credential = credential_id(answer)?;
    let attempt = limits.begin(from, &credential, &panel.clock).await.map_err(SignInError::TooMany)?;
    let checked = check(panel, party, challenge, &credential, answer).await;
    let counts = matches!(
        &checked,
        Err(SecondFactorError::SignIn(SignInError::Wrong) | SecondFactorError::Ceremony(CeremonyError::Wrong(_)))
    );
    if !counts {
        attempt.was_right().await;
    }
    let admin = checked?;
    for name in [&admin.username, &credential] {
        limits.remember(from, name, &panel.clock).await;
    }
    Ok(admin)
}

async fn check(
    panel: &Panel,
    party: &RelyingParty,
    challenge: &Challenge,
    credential_id: &str,
    answer: &Value,
) -> Result<Admin, SecondFactorError> {
    let credential = store::by_credential(&panel.db, credential_id).await?.ok_or(SignInError::Wrong)?;
    let next = party.finish_sign_in(&challenge.state, answer, &credential)?;
    let now = panel.clock.now();
    panel
        .transaction("use passkey", async |tx| -> Result<_, SecondFactorError> {
            // The session belongs to the account of this moment: a reset ends it.
            let admin = admins::lock_by_username(tx, &credential.username).await?;
            let admin = admin.filter(|admin| admin.id == credential.admin_id).ok_or(SignInError::Wrong)?;
            let is_used = !store::use_challenge(tx, challenge.id, challenge.expires_at).await?
                || !store::touch(tx, credential.id, &credential.dynamic_state, &next, now).await?;
            if is_used { Err(SecondFactorError::ChallengeUsed) } else { Ok((admin, Unchanged)) }
        })
        .await
}
