//! `/api/second-factor/passkeys`: passkeys of the signed-in admin; `/api/passkey-sign-in`: sign-in with a passkey alone.

use deserr::Deserr;
use poem::http::StatusCode;
use poem::{Request, handler};
use serde::Serialize;
use serde_json::Value;
use utoipa::{IntoParams, OpenApi, ToSchema};
use uuid::Uuid;

use super::sealed_state::{Ceremony, open, seal};
use super::{FactorChanged, OwnPassword};
use crate::actions::password_check::SignInError;
use crate::actions::second_factor::webauthn::{Begun, CeremonyError, RelyingParty};
use crate::actions::second_factor::{SecondFactorError, passkeys};
use crate::api::admins::sign_in::Token;
use crate::api::http::auth::Identity;
use crate::api::http::body::{Empty, Json};
use crate::api::http::by::By;
use crate::api::http::client::Client;
use crate::api::http::error::ApiError;
use crate::api::http::field_errors::FieldErrors;
use crate::api::http::input::Inputs;
use crate::api::http::query::{Params, Path, Query};
use crate::api::http::routes::{Routes, get, post, put};
use crate::api::sessions::OfAdmin;
use crate::api::state::State;
use crate::config::auth::PasskeyDomain;
use crate::domain::scope::{Action, Resource, Scope};
use crate::domain::second_factor::passkey::Passkey;

/// The operations of this file.
#[derive(OpenApi)]
#[openapi(paths(list, options, add, rename, remove, sign_in_options, sign_in))]
pub(in crate::api) struct Doc;

pub(in crate::api) fn routes(routes: Routes) -> Routes {
    routes
        .at("/api/second-factor/passkeys", get(list).post(add))
        .at("/api/second-factor/passkey-options", post(options).without_permit())
        .at("/api/second-factor/passkeys/:id", put(rename))
        .at("/api/second-factor/passkeys/:id/remove", post(remove).without_permit())
        .at("/api/passkey-sign-in/options", post(sign_in_options).before_sign_in())
        .at("/api/passkey-sign-in", post(sign_in).before_sign_in())
}

/// A passkey.
#[derive(Debug, Serialize, ToSchema)]
struct PasskeyBody {
    id: String,
    name: String,
    /// The domain that it is for.
    rp_id: String,
    created_at: String,
    /// The last sign-in with it.
    last_used_at: Option<String>,
}

/// A request to the browser's `navigator.credentials`.
#[derive(Debug, Serialize, ToSchema)]
struct PasskeyOptions {
    /// For `PublicKeyCredential.parseCreationOptionsFromJSON` or `parseRequestOptionsFromJSON`.
    #[schema(value_type = Object)]
    options: Value,
    /// Goes back with the answer, within five minutes, to any host.
    state: String,
}

/// A new passkey.
#[derive(Deserr, ToSchema)]
#[deserr(error = FieldErrors)]
struct NewPasskey {
    /// A name for people.
    #[schema(min_length = 1, max_length = 64)]
    name: String,
    /// The state that came with the options.
    state: String,
    /// `toJSON()` of what the browser returned.
    #[schema(value_type = Object)]
    credential: Value,
}

/// The answer of a passkey.
#[derive(Deserr, ToSchema)]
#[deserr(error = FieldErrors)]
struct PasskeyAnswer {
    /// The state that came with the options.
    state: String,
    /// `toJSON()` of what the browser returned.
    #[schema(value_type = Object)]
    credential: Value,
}

/// A name of a passkey.
#[derive(Deserr, ToSchema)]
#[deserr(error = FieldErrors)]
struct PasskeyName {
    #[schema(min_length = 1, max_length = 64)]
    name: String,
}

/// The path of a passkey.
#[derive(Debug, Deserr, IntoParams)]
#[deserr(error = FieldErrors)]
#[into_params(parameter_in = Path)]
struct PasskeyPath {
    /// Id of the passkey.
    id: String,
}

/// Lists the passkeys of an admin.
///
/// The own ones; with the right `admins:read` also those of others.
#[utoipa::path(get, path = "/api/second-factor/passkeys", tag = "SecondFactor", params(OfAdmin),
    responses((status = 200, body = Vec<PasskeyBody>), (status = 403, description = "Those of others need the right admins:read"),
              (status = 404, description = "No such admin")))]
#[handler]
async fn list(
    state: &State,
    identity: Identity,
    Query(of): Query<OfAdmin>,
) -> Result<Json<Vec<PasskeyBody>>, ApiError> {
    let admin = state.own_or_other(&identity, Scope(Resource::Admins, Action::Read), of.name()).await?;
    let passkeys = passkeys::list(&state.panel, &admin).await?;
    Ok(Json(passkeys.into_iter().map(PasskeyBody::from).collect()))
}

/// Begins to add a passkey.
///
/// A passkey is bound to the host name of the request, or to `PASSKEY_DOMAIN`. Wrong passwords are limited as those of sign-in are.
#[utoipa::path(post, path = "/api/second-factor/passkey-options", tag = "SecondFactor", request_body = OwnPassword,
    responses((status = 200, body = PasskeyOptions), (status = 409, description = "The admin has 20 passkeys"),
              (status = 429, description = "Too many wrong passwords; Retry-After has the number of seconds to wait")))]
#[handler]
async fn options(
    state: &State,
    identity: Identity,
    client: Client,
    Json(own): Json<OwnPassword>,
) -> Result<Json<PasskeyOptions>, ApiError> {
    let by = state.own(&identity)?;
    let party = party(state, &client)?;
    let password = own.check(state, &identity, &client).await?;
    let begun = passkeys::begin(&state.panel, by, &password, &party).await?;
    Ok(Json(PasskeyOptions::of(state, Ceremony::Registration(identity.admin.id), begun).await?))
}

/// Adds a passkey that the browser has made.
///
/// From now on a sign-in with the password needs a code. The first factor brings recovery codes. Ends all other sessions.
#[utoipa::path(post, path = "/api/second-factor/passkeys", tag = "SecondFactor", request_body = NewPasskey,
    responses((status = 200, body = FactorChanged), (status = 400, description = "The answer came too late, or was used"),
              (status = 403, description = "The answer is for another host name, or the request has an API token"),
              (status = 409, description = "The passkey was added already, or the admin has 20")))]
#[handler]
async fn add(
    state: &State,
    By(panel): By,
    request: &Request,
    identity: Identity,
    client: Client,
    Json(new): Json<NewPasskey>,
) -> Result<Json<FactorChanged>, ApiError> {
    let by = state.own(&identity)?;
    let party = party(state, &client)?;
    let challenge = open(state, Ceremony::Registration(identity.admin.id), &new.state).await?;
    let done = passkeys::add(&panel, by, &party, &challenge, &new.name, &new.credential).await?;
    FactorChanged::of(state, request, done).await
}

/// Renames a passkey.
#[utoipa::path(put, path = "/api/second-factor/passkeys/{id}", tag = "SecondFactor", params(PasskeyPath),
    request_body = PasskeyName, responses((status = 200, body = Empty), (status = 404, description = "No such passkey")))]
#[handler]
async fn rename(
    state: &State,
    By(panel): By,
    identity: Identity,
    Inputs(Path(path), Json(body)): Inputs<Path<PasskeyPath>, Json<PasskeyName>>,
) -> Result<Json<Empty>, ApiError> {
    passkeys::rename(&panel, state.own(&identity)?, path.id()?, &body.name).await?;
    Ok(Json(Empty {}))
}

/// Removes a passkey.
///
/// Without another factor, the recovery codes are removed, too. Ends all other sessions.
#[utoipa::path(post, path = "/api/second-factor/passkeys/{id}/remove", tag = "SecondFactor", params(PasskeyPath),
    request_body = OwnPassword,
    responses((status = 200, body = FactorChanged), (status = 404, description = "No such passkey"),
              (status = 409, description = "The role requires a second factor, and this is the last one"),
              (status = 429, description = "Too many wrong passwords; Retry-After has the number of seconds to wait")))]
#[handler]
async fn remove(
    state: &State,
    By(panel): By,
    request: &Request,
    identity: Identity,
    client: Client,
    Inputs(Path(path), Json(own)): Inputs<Path<PasskeyPath>, Json<OwnPassword>>,
) -> Result<Json<FactorChanged>, ApiError> {
    let (by, id) = (state.own(&identity)?, path.id()?);
    let password = own.check(state, &identity, &client).await?;
    FactorChanged::of(state, request, passkeys::remove(&panel, by, &password, id).await?).await
}

/// Begins a sign-in with a passkey.
///
/// Any admin's passkey for the host name of the request, or for `PASSKEY_DOMAIN`, will do.
#[utoipa::path(post, path = "/api/passkey-sign-in/options", tag = "SecondFactor", security(()),
    responses((status = 200, body = PasskeyOptions), (status = 400, description = "The request's Host is an address")))]
#[handler]
async fn sign_in_options(state: &State, client: Client) -> Result<Json<PasskeyOptions>, ApiError> {
    let begun = party(state, &client)?.begin_sign_in().map_err(SecondFactorError::from)?;
    Ok(Json(PasskeyOptions::of(state, Ceremony::SignIn, begun).await?))
}

/// Signs an admin in with a passkey.
///
/// Without name and password. Each answer is good once. Wrong ones are limited as passwords are.
#[utoipa::path(post, path = "/api/passkey-sign-in", tag = "SecondFactor", security(()), request_body = PasskeyAnswer,
    responses((status = 200, body = Token), (status = 400, description = "The answer came too late, or was used"),
              (status = 401, description = "No admin has this passkey, or its signature is wrong"),
              (status = 403, description = "The passkey is for another host name"),
              (status = 429, description = "Too many wrong answers; Retry-After has the number of seconds to wait")))]
#[handler]
async fn sign_in(
    state: &State,
    request: &Request,
    client: Client,
    Json(answer): Json<PasskeyAnswer>,
) -> Result<Json<Token>, ApiError> {
    let party = party(state, &client)?;
    let challenge = open(state, Ceremony::SignIn, &answer.state).await?;
    let signed_in =
        passkeys::sign_in(&state.panel, &state.limits, client.limited(), &party, &challenge, &answer.credential).await;
    let admin = signed_in.map_err(|error| match error {
        SecondFactorError::SignIn(SignInError::Wrong) | SecondFactorError::Ceremony(CeremonyError::Wrong(_)) => {
            ApiError::unauthorized("No admin has this passkey")
        }
        error => error.into(),
    })?;
    Ok(Json(Token::of_new_session(state, request, &admin).await?))
}

/// The relying party: the domain of the settings, or the host name under which the client has reached the panel.
fn party(state: &State, client: &Client) -> Result<RelyingParty, ApiError> {
    let domain = state.options.auth.passkey_domain.as_ref().map(PasskeyDomain::as_str);
    let host = client.host_name();
    RelyingParty::new(domain.unwrap_or(host), domain.is_some()).ok_or_else(|| {
        let text = format!(
            "Passkeys need a host name, and this request is for {host:?}: open the panel under its name (on this machine \
             http://localhost); behind a proxy, pass on the Host header or set PASSKEY_DOMAIN"
        );
        ApiError::bad_request(text).with_code("passkey_needs_host_name")
    })
}

impl PasskeyOptions {
    async fn of(state: &State, ceremony: Ceremony, begun: Begun) -> Result<Self, ApiError> {
        Ok(Self { options: begun.options, state: seal(state, ceremony, &begun.state).await? })
    }
}

impl PasskeyPath {
    fn id(&self) -> Result<Uuid, ApiError> {
        Uuid::try_parse(&self.id).map_err(|_| SecondFactorError::NoPasskey.into())
    }
}

impl Params for PasskeyPath {}

impl From<Passkey> for PasskeyBody {
    fn from(passkey: Passkey) -> Self {
        Self {
            id: passkey.id.to_string(),
            name: passkey.name,
            rp_id: passkey.rp_id,
            created_at: passkey.created_at.utc_iso(),
            last_used_at: passkey.last_used_at.map(|at| at.utc_iso()),
        }
    }
}

impl From<CeremonyError> for ApiError {
    fn from(error: CeremonyError) -> Self {
        match error {
            CeremonyError::Origin => {
                let text = "This passkey is for another address than this one: add one here, or open the panel under that address";
                Self::new(StatusCode::FORBIDDEN, text).with_code("passkey_origin")
            }
            CeremonyError::Expired => {
                Self::bad_request("The passkey took too long: begin again").with_code("challenge_expired")
            }
            CeremonyError::Malformed(reason) | CeremonyError::Wrong(reason) => {
                FieldErrors::one("credential", format!("is no answer of an authenticator to these options: {reason}"))
                    .into()
            }
            CeremonyError::Internal(_) => Self::internal(error),
        }
    }
}
