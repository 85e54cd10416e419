//! `/api/admins/token`: sign-in.

use deserr::Deserr;
use poem::handler;
use serde::Serialize;
use utoipa::{OpenApi, ToSchema};

use crate::actions::passwords::PasswordError;
use crate::actions::sign_in::{SignInError, sign_in};
use crate::api::http::body::Json;
use crate::api::http::client::Client;
use crate::api::http::enum_text::{EnumText, impl_text_enum};
use crate::api::http::error::ApiError;
use crate::api::http::field_errors::FieldErrors;
use crate::api::http::form::Form;
use crate::api::http::token::SignError;
use crate::api::state::State;
use crate::config::secret::Secret;
use crate::domain::admin::Admin;

/// The operations of this file.
#[derive(OpenApi)]
#[openapi(paths(token))]
pub(in crate::api) struct Doc;

/// Credentials of an admin.
#[derive(Deserr, ToSchema)]
#[deserr(error = FieldErrors)]
pub struct TokenRequest {
    #[deserr(default)]
    #[schema(value_type = Option<String>, pattern = "^password$")]
    #[expect(dead_code, reason = "validated, then ignored")]
    grant_type: Option<EnumText<GrantType>>,
    username: String,
    password: String,
}

/// A bearer token.
#[derive(Debug, Serialize, ToSchema)]
pub struct Token {
    access_token: String,
    is_sudo: bool,
    token_type: &'static str,
}

/// The OAuth 2.0 grant types that are supported.
#[derive(Clone, Copy, Debug)]
enum GrantType {
    Password,
}

/// Signs an admin in.
///
/// Returns a bearer token for the `Authorization` header. A disabled admin gets a token too, but only a disabled sudo
/// admin can use it.
#[utoipa::path(post, path = "/api/admins/token", tag = "Admin", security(()),
    request_body(content((TokenRequest = "application/x-www-form-urlencoded"), (TokenRequest = "multipart/form-data"))),
    responses((status = 200, body = Token), (status = 401, description = "Wrong username or password"),
              (status = 429, description = "Too many wrong passwords; Retry-After has the number of seconds to wait")))]
#[handler]
pub(in crate::api) async fn token(
    state: &State,
    client: Client,
    form: Form<TokenRequest>,
) -> Result<Json<Token>, ApiError> {
    let Form(TokenRequest { username, password, .. }) = form;
    let limited = client.address.filter(|_| !client.is_local());
    let admin = sign_in(&state.panel, &state.limits, limited, &username, Secret::new(password)).await?;
    Ok(Json(Token::of(state, &admin).await?))
}

impl Token {
    /// Signs a new token for the admin.
    pub(in crate::api) async fn of(state: &State, admin: &Admin) -> Result<Self, ApiError> {
        let now = state.panel.clock.now();
        let access_token = state.signer.sign(&state.panel.db, admin, now, state.options.auth.token_minutes).await?;
        Ok(Self { access_token, is_sudo: admin.is_sudo, token_type: "bearer" })
    }
}

impl_text_enum!(GrantType: Self::Password);

impl GrantType {
    const fn word(self) -> &'static str {
        match self {
            Self::Password => "password",
        }
    }
}

impl From<SignInError> for ApiError {
    fn from(error: SignInError) -> Self {
        match error {
            SignInError::Wrong => Self::unauthorized("Wrong username or password"),
            SignInError::TooMany(too_many) => Self::too_many_requests(too_many.retry_after),
            SignInError::Password(error) => error.into(),
            SignInError::Store(error) => error.into(),
        }
    }
}

impl From<PasswordError> for ApiError {
    fn from(error: PasswordError) -> Self {
        match error {
            PasswordError::Busy => Self::unavailable("Too many sign-ins at once, try again"),
            PasswordError::Hash(_) | PasswordError::Thread(_) => Self::internal(error),
        }
    }
}

impl From<SignError> for ApiError {
    fn from(error: SignError) -> Self {
        match error {
            SignError::Store(error) => error.into(),
            SignError::Encode(_) => Self::internal(error),
        }
    }
}
