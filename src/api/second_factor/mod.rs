//! `/api/second-factor`: the second factor of the signed-in admin, and its reset by another.

pub mod passkeys;
mod sealed_state;

use deserr::Deserr;
use poem::http::StatusCode;
use poem::{Request, handler};
use serde::Serialize;
use utoipa::{IntoParams, OpenApi, ToSchema};

use super::admins::sign_in::Token;
use super::http::auth::{CurrentAdmin, Identity};
use super::http::body::{Empty, Json};
use super::http::by::By;
use super::http::client::Client;
use super::http::error::ApiError;
use super::http::field_errors::FieldErrors;
use super::http::query::{Params, Query};
use super::http::routes::{Routes, get, post};
use super::sessions::OfAdmin;
use super::state::State;
use crate::actions::admins::Actor;
use crate::actions::password_check::{SignInError, right_password};
use crate::actions::second_factor::{self, Done, Own, SecondFactorError, totp};
use crate::config::secret::Secret;
use crate::domain::scope::{Action, Resource, Scope};
use crate::domain::second_factor::Factors;
use crate::domain::second_factor::passkey::MOST;
use crate::domain::second_factor::totp::url;
use crate::store::access::admins::StoredPassword;

/// The operations of this file.
#[derive(OpenApi)]
#[openapi(paths(status, reset, begin_totp, confirm_totp, remove_totp, replace_recovery_codes))]
pub(super) struct Doc;

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .at("/api/second-factor", get(status).delete(reset))
        .at("/api/second-factor/totp", post(begin_totp).put(confirm_totp).without_permit())
        .at("/api/second-factor/totp/remove", post(remove_totp).without_permit())
        .at("/api/second-factor/recovery-codes", post(replace_recovery_codes).without_permit())
}

/// The factors that an admin has set up.
#[derive(Debug, Serialize, ToSchema)]
struct SecondFactorBody {
    /// An authenticator app.
    totp: bool,
    /// Number of passkeys.
    passkeys: i64,
    /// Number of recovery codes that were not used.
    recovery_codes: i64,
    /// The admin's role requires a second factor.
    required: bool,
}

/// The password of the signed-in admin.
#[derive(Deserr, ToSchema)]
#[deserr(error = FieldErrors)]
pub(super) struct OwnPassword {
    current_password: String,
}

/// The admin whose second factor is reset.
#[derive(Debug, Deserr, IntoParams)]
#[deserr(error = FieldErrors)]
#[into_params(parameter_in = Query)]
struct OfOther {
    /// Username of the admin.
    admin: String,
}

/// A code of an authenticator app.
#[derive(Deserr, ToSchema)]
#[deserr(error = FieldErrors)]
struct TotpCode {
    /// Six digits.
    code: String,
}

/// The secret of an authenticator app. It is not shown again.
#[derive(Debug, Serialize, ToSchema)]
struct TotpSecret {
    /// In base32, for apps without a camera.
    secret: String,
    /// The text of the QR code that apps read.
    url: String,
}

/// A change of one's own second factor.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct FactorChanged {
    /// Replaces the token of the request.
    token: Token,
    /// New recovery codes, which are not shown again; empty if there are none.
    recovery_codes: Vec<String>,
}

/// Returns the second factors of an admin.
///
/// The own ones; with the right `admins:read` also those of others.
#[utoipa::path(get, path = "/api/second-factor", tag = "SecondFactor", params(OfAdmin),
    responses((status = 200, body = SecondFactorBody), (status = 403, description = "Those of others need the right admins:read"),
              (status = 404, description = "No such admin")))]
#[handler]
async fn status(
    state: &State,
    identity: Identity,
    Query(of): Query<OfAdmin>,
) -> Result<Json<SecondFactorBody>, ApiError> {
    let admin = state.own_or_other(&identity, Scope(Resource::Admins, Action::Read), of.name()).await?;
    let factors = second_factor::factors(&state.panel, &admin).await?;
    let Factors { totp, passkeys, recovery_codes } = factors;
    Ok(Json(SecondFactorBody { totp, passkeys, recovery_codes, required: admin.requires_second_factor }))
}

/// Removes all second factors of another admin, who has lost them.
///
/// Not those of another sudo admin or of an admin with more rights than one's own, which `sarban admin reset-2fa` removes. Ends all
/// sessions of the admin.
#[utoipa::path(delete, path = "/api/second-factor", tag = "SecondFactor", params(OfOther),
    responses((status = 200, body = Empty), (status = 403, description = "The admin is another sudo admin, or oneself"),
              (status = 404, description = "No such admin, or it has no second factor")))]
#[handler]
async fn reset(
    By(panel): By,
    CurrentAdmin(by): CurrentAdmin,
    Query(of): Query<OfOther>,
) -> Result<Json<Empty>, ApiError> {
    second_factor::reset(&panel, Actor::Admin(&by), &of.admin).await?;
    Ok(Json(Empty {}))
}

/// Begins to set up an authenticator app.
///
/// Returns a secret for the app. It counts once a code of the app has confirmed it; until then an app that was set up before stays
/// good. Wrong passwords are limited as those of sign-in are.
#[utoipa::path(post, path = "/api/second-factor/totp", tag = "SecondFactor", request_body = OwnPassword,
    responses((status = 200, body = TotpSecret),
              (status = 429, description = "Too many wrong passwords; Retry-After has the number of seconds to wait")))]
#[handler]
async fn begin_totp(
    state: &State,
    By(panel): By,
    identity: Identity,
    client: Client,
    Json(own): Json<OwnPassword>,
) -> Result<Json<TotpSecret>, ApiError> {
    let password = own.check(state, &identity, &client).await?;
    let secret = totp::begin(&panel, state.own(&identity)?, &password).await?;
    let url = url(secret.expose(), &identity.admin.username).unwrap_or_default();
    Ok(Json(TotpSecret { secret: secret.expose().to_owned(), url }))
}

/// Confirms an authenticator app with a code.
///
/// From now on a sign-in with the password needs a code. The first factor brings recovery codes. Ends all other sessions.
#[utoipa::path(put, path = "/api/second-factor/totp", tag = "SecondFactor", request_body = TotpCode,
    responses((status = 200, body = FactorChanged), (status = 409, description = "No secret waits to be confirmed"),
              (status = 429, description = "Too many wrong codes; Retry-After has the number of seconds to wait")))]
#[handler]
async fn confirm_totp(
    state: &State,
    By(panel): By,
    request: &Request,
    identity: Identity,
    client: Client,
    Json(body): Json<TotpCode>,
) -> Result<Json<FactorChanged>, ApiError> {
    let by = state.own(&identity)?;
    let done = totp::confirm(&panel, &state.limits, client.limited(), by, &Secret::new(body.code)).await?;
    FactorChanged::of(state, request, done).await
}

/// Removes the authenticator app.
///
/// With the last factor, the recovery codes are removed, too. Ends all other sessions.
#[utoipa::path(post, path = "/api/second-factor/totp/remove", tag = "SecondFactor", request_body = OwnPassword,
    responses((status = 200, body = FactorChanged), (status = 404, description = "No authenticator app is set up"),
              (status = 409, description = "The role of the admin requires a second factor"),
              (status = 429, description = "Too many wrong passwords; Retry-After has the number of seconds to wait")))]
#[handler]
async fn remove_totp(
    state: &State,
    By(panel): By,
    request: &Request,
    identity: Identity,
    client: Client,
    Json(own): Json<OwnPassword>,
) -> Result<Json<FactorChanged>, ApiError> {
    let password = own.check(state, &identity, &client).await?;
    FactorChanged::of(state, request, totp::remove(&panel, state.own(&identity)?, &password).await?).await
}

/// Replaces the recovery codes.
///
/// Earlier ones are good no longer. Ends all other sessions.
#[utoipa::path(post, path = "/api/second-factor/recovery-codes", tag = "SecondFactor", request_body = OwnPassword,
    responses((status = 200, body = FactorChanged), (status = 404, description = "No second factor is set up"),
              (status = 429, description = "Too many wrong passwords; Retry-After has the number of seconds to wait")))]
#[handler]
async fn replace_recovery_codes(
    state: &State,
    By(panel): By,
    request: &Request,
    identity: Identity,
    client: Client,
    Json(own): Json<OwnPassword>,
) -> Result<Json<FactorChanged>, ApiError> {
    let password = own.check(state, &identity, &client).await?;
    let done = totp::replace_recovery_codes(&panel, state.own(&identity)?, &password).await?;
    FactorChanged::of(state, request, done).await
}

impl Params for OfOther {}

impl OwnPassword {
    /// Checks the password of the signed-in admin.
    pub(super) async fn check(
        self,
        state: &State,
        identity: &Identity,
        client: &Client,
    ) -> Result<StoredPassword, ApiError> {
        let name = &identity.admin.username;
        let password = Secret::new(self.current_password);
        let checked = right_password(&state.panel, &state.limits, client.limited(), name, password).await;
        checked.map_err(|error| SecondFactorError::from(error).into())
    }
}

impl State {
    /// The signed-in admin, for changes of its own second factor.
    pub(super) fn own<'a>(&self, identity: &'a Identity) -> Result<Own<'a>, ApiError> {
        identity.must_have_signed_in()?;
        Ok(Own { admin: &identity.admin, session: identity.session, minutes: self.options.auth.token_minutes })
    }
}

impl FactorChanged {
    /// Signs the next token of the session that made the change.
    pub(super) async fn of(state: &State, request: &Request, done: Done) -> Result<Json<Self>, ApiError> {
        let token = Token::of_session(state, request, &done.admin, done.session).await?;
        Ok(Json(Self { token, recovery_codes: done.recovery_codes }))
    }
}

impl From<SecondFactorError> for ApiError {
    fn from(error: SecondFactorError) -> Self {
        match error {
            SecondFactorError::NotSetUp => Self::not_found("The second factor"),
            SecondFactorError::NotBegun => Self::conflict("No authenticator app waits for a code: begin again"),
            SecondFactorError::WrongCode => {
                FieldErrors::one("code", "is wrong; compare the clocks of the app and of the panel").into()
            }
            SecondFactorError::Required => {
                Self::conflict("Your role requires a second factor: set up another one first")
            }
            SecondFactorError::NoPasskey => Self::not_found("The passkey"),
            SecondFactorError::MostPasskeys => Self::conflict(format!("You have {MOST} passkeys: remove one first")),
            SecondFactorError::Taken => Self::conflict("This passkey was added already"),
            SecondFactorError::Name(fault) => FieldErrors::one("name", fault).into(),
            SecondFactorError::ChallengeUsed => {
                Self::bad_request("This answer was used already: begin again").with_code("challenge_used")
            }
            SecondFactorError::Ceremony(error) => error.into(),
            SecondFactorError::Own => {
                let text = "Remove your own second factor with your password, one by one";
                Self::new(StatusCode::FORBIDDEN, text)
            }
            SecondFactorError::SignIn(SignInError::Wrong) => FieldErrors::one("current_password", "is wrong").into(),
            SecondFactorError::SignIn(error) => error.into(),
            SecondFactorError::Admin(error) => error.into(),
        }
    }
}
