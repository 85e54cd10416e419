//! `/api/admins/token`: sign-in.

use deserr::Deserr;
use poem::http::header;
use poem::{Request, handler};
use serde::Serialize;
use utoipa::{OpenApi, ToSchema};
use uuid::Uuid;

use crate::actions::password_check::SignInError;
use crate::actions::passwords::PasswordError;
use crate::actions::sessions::{self, Origin};
use crate::actions::sign_in::{Credentials, sign_in};
use crate::api::http::body::Json;
use crate::api::http::by;
use crate::api::http::client::Client;
use crate::api::http::enum_text::{EnumText, impl_text_enum};
use crate::api::http::error::ApiError;
use crate::api::http::field_errors::FieldErrors;
use crate::api::http::form::Form;
use crate::api::http::token::SignError;
use crate::api::state::State;
use crate::config::secret::Secret;
use crate::domain::admin::Admin;
use crate::domain::audit::Actor as Author;

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
    /// A code of the authenticator app, or a recovery code. Not read for an admin without a second factor.
    #[deserr(default)]
    otp: Option<String>,
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
/// admin can use it. For an admin with a second factor, `otp` is required: without it the answer is 401 with `code` `otp_required`, with a
/// wrong one `otp_wrong`.
#[utoipa::path(post, path = "/api/admins/token", tag = "Admin", security(()),
    request_body(content((TokenRequest = "application/x-www-form-urlencoded"), (TokenRequest = "multipart/form-data"))),
    responses((status = 200, body = Token), (status = 401, description = "Wrong username or password, or a wrong or missing one-time code"),
              (status = 429, description = "Too many wrong passwords; Retry-After has the number of seconds to wait")))]
#[handler]
pub(in crate::api) async fn token(
    state: &State,
    request: &Request,
    client: Client,
    form: Form<TokenRequest>,
) -> Result<Json<Token>, ApiError> {
    let Form(TokenRequest { username, password, otp, .. }) = form;
    let panel = state.panel.on_behalf_of(by::origin(state, request, Author::Panel));
    let credentials = Credentials { username: &username, password: Secret::new(password), code: otp.map(Secret::new) };
    let admin = sign_in(&panel, &state.limits, client.limited(), credentials).await?;
    Ok(Json(Token::of_new_session(state, request, &admin).await?))
}

impl Token {
    /// Begins a session of the admin who made this request, and signs its token. A read-only panel records no session.
    pub(in crate::api) async fn of_new_session(
        state: &State,
        request: &Request,
        admin: &Admin,
    ) -> Result<Self, ApiError> {
        if state.options.http.read_only {
            return Self::of(state, admin, None).await;
        }
        let origin = Origin {
            address: Client::of(request, &state.options.http.trusted_proxies).address,
            user_agent: request.header(header::USER_AGENT).unwrap_or_default().to_owned(),
            minutes: state.options.auth.token_minutes,
        };
        let actor = Author::Admin { id: admin.id, name: admin.username.clone() };
        let panel = state.panel.on_behalf_of(by::origin(state, request, actor));
        let session = sessions::start(&panel, admin, &origin).await?.ok_or(SignInError::Wrong)?;
        Self::of(state, admin, Some(session)).await
    }

    /// Signs a token of a session that goes on, or of a new one.
    pub(in crate::api) async fn of_session(
        state: &State,
        request: &Request,
        admin: &Admin,
        session: Option<Uuid>,
    ) -> Result<Self, ApiError> {
        match session {
            Some(_) => Self::of(state, admin, session).await,
            None => Self::of_new_session(state, request, admin).await,
        }
    }

    /// Signs a token of a session.
    async fn of(state: &State, admin: &Admin, session: Option<Uuid>) -> Result<Self, ApiError> {
        let (now, minutes) = (state.panel.clock.now(), state.options.auth.token_minutes);
        let access_token = state.signer.sign(&state.panel.db, admin, session, now, minutes).await?;
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
            SignInError::CodeMissing => {
                let text = "This admin has a second factor: send a code of the authenticator app, or a recovery code, as otp; or sign in with a passkey";
                Self::unauthorized(text).with_code("otp_required")
            }
            SignInError::WrongCode => {
                Self::unauthorized("The one-time code is wrong or was used already").with_code("otp_wrong")
            }
            SignInError::CodesBlocked => {
                let text = "Too many wrong codes in a row: use a recovery code, or have the second factor reset";
                Self::unauthorized(text).with_code("otp_blocked")
            }
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
