//! The state of a ceremony between its two requests: the browser carries it, signed, so that whichever host answers goes on, and
//! strangers fill no storage.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::actions::second_factor::passkeys::Challenge;
use crate::api::http::error::ApiError;
use crate::api::state::State;
use crate::domain::ids::AdminId;
use crate::domain::moment::{Moment, SECOND};

/// Seconds for which an answer is accepted: as long as browsers wait.
const GOOD_FOR: i64 = 300;

/// The ceremony that a state is of.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ceremony {
    /// Adding a passkey to this admin.
    Registration(AdminId),
    /// Signing in.
    SignIn,
}

impl Ceremony {
    /// The claims `aud` and `of`. A token with `aud` is no token of a session.
    fn claims(self) -> (&'static str, Value) {
        match self {
            Self::Registration(admin) => ("passkey registration", json!(admin.0)),
            Self::SignIn => ("passkey sign-in", Value::Null),
        }
    }
}

/// Signs the state of a ceremony that has begun.
pub(super) async fn seal(state: &State, ceremony: Ceremony, inner: &[u8]) -> Result<String, ApiError> {
    let (aud, of) = ceremony.claims();
    let exp = state.panel.clock.now().seconds() + GOOD_FOR;
    let claims = json!({ "aud": aud, "of": of, "exp": exp, "jti": Uuid::new_v4(), "state": BASE64URL.encode(inner) });
    Ok(state.signer.sign_claims(&state.panel.db, &claims).await?)
}

/// Returns the state of a ceremony, if this panel or another one of the cluster has signed it for it, not long ago.
pub(super) async fn open(state: &State, ceremony: Ceremony, sealed: &str) -> Result<Challenge, ApiError> {
    let expired = || {
        let text = "The passkey took too long, or was asked for elsewhere: begin again";
        ApiError::bad_request(text).with_code("challenge_expired")
    };
    let claims = state.signer.claims(&state.panel.db, sealed).await?.ok_or_else(expired)?;
    let (aud, of) = ceremony.claims();
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    let exp = claims.get("exp").and_then(Value::as_i64).unwrap_or_default();
    let is_for_this = text("aud") == Some(aud) && claims.get("of") == Some(&of);
    if !is_for_this || exp <= state.panel.clock.now().seconds() {
        return Err(expired());
    }
    let id = text("jti").and_then(|id| Uuid::try_parse(id).ok()).ok_or_else(expired)?;
    let inner = text("state").and_then(|inner| BASE64URL.decode(inner).ok()).ok_or_else(expired)?;
    Ok(Challenge { id, expires_at: Moment::from_micros(exp * SECOND), state: inner })
}
