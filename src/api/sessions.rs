//! `/api/sessions`: sessions of admins, listed and ended; `/api/password`: the signed-in admin's own password.

use deserr::Deserr;
use poem::{Request, handler};
use serde::Serialize;
use utoipa::{IntoParams, OpenApi, ToSchema};
use uuid::Uuid;

use super::admins::fields::NewPassword;
use super::admins::sign_in::Token;
use super::http::auth::Identity;
use super::http::body::{Empty, Json};
use super::http::by::By;
use super::http::client::Client;
use super::http::error::ApiError;
use super::http::field_errors::FieldErrors;
use super::http::input::Inputs;
use super::http::paging::{Page, Paging};
use super::http::query::{Params, Path, Query};
use super::http::routes::{Routes, delete, get, put};
use super::state::State;
use crate::actions::admins::{self, Actor};
use crate::actions::password_check::SignInError;
use crate::actions::sessions::{self, SessionError};
use crate::actions::sign_in;
use crate::config::secret::Secret;
use crate::domain::admin::Admin;
use crate::domain::scope::{Action, Resource, Scope};
use crate::domain::session::Session;

/// The operations of this file.
#[derive(OpenApi)]
#[openapi(paths(list, end_all, end, change_password))]
pub(super) struct Doc;

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .at("/api/sessions", get(list).delete(end_all))
        .at("/api/sessions/:id", delete(end))
        .at("/api/password", put(change_password).without_permit())
}

/// A session: what a sign-in began.
#[derive(Debug, Serialize, ToSchema)]
pub struct SessionBody {
    id: String,
    /// When the admin signed in. UTC, ISO 8601.
    created_at: String,
    /// The last request, up to a minute behind.
    last_used_at: String,
    /// When the session's token expires; null: never.
    expires_at: Option<String>,
    /// The client's address at the last request; null for a Unix socket.
    address: Option<String>,
    /// The client's program at sign-in, as the program names itself.
    user_agent: String,
    /// True for the session of this request.
    is_current: bool,
}

/// The answer to ending sessions: a token with which the session of the request goes on.
#[derive(Debug, Serialize, ToSchema)]
pub struct SessionsEnded {
    /// Replaces the token of the request; null if the sessions are another admin's, or the request has an API token.
    token: Option<Token>,
}

/// A change of one's own password.
#[derive(Deserr, ToSchema)]
#[deserr(error = FieldErrors)]
pub struct PasswordChange {
    /// The password so far.
    current_password: String,
    /// The password from now on.
    #[schema(value_type = String, min_length = 1)]
    new_password: NewPassword,
}

/// The admin that a list or a change is for.
#[derive(Debug, Deserr, IntoParams)]
#[deserr(error = FieldErrors)]
#[into_params(parameter_in = Query)]
pub struct OfAdmin {
    /// Username of the admin; another one needs the right to all. Without it: the signed-in admin.
    #[deserr(default)]
    #[param(required = false)]
    admin: Option<String>,
}

/// The path of a session.
#[derive(Debug, Deserr, IntoParams)]
#[deserr(error = FieldErrors)]
#[into_params(parameter_in = Path)]
struct SessionPath {
    /// Id of the session.
    id: String,
}

/// Lists the sessions of an admin.
///
/// The own ones; with the right to all also those of others. A session is begun by each sign-in and ends with its token, those used
/// last first. At most 1,000 are listed; tokens without a session, such as those of Marzneshin, are not.
#[utoipa::path(get, path = "/api/sessions", tag = "Session", params(OfAdmin, Paging),
    responses((status = 200, body = Page<SessionBody>), (status = 403, description = "Those of others need the right to all"),
              (status = 404, description = "No such admin")))]
#[handler]
async fn list(
    state: &State,
    identity: Identity,
    Inputs(Query(of), paging): Inputs<Query<OfAdmin>, Paging>,
) -> Result<Json<Page<SessionBody>>, ApiError> {
    let admin = state.own_or_other(&identity, Scope(Resource::Sessions, Action::Read), of.name()).await?;
    let (sessions, total) = sessions::list(&state.panel, &admin, paging.limit(), paging.offset()).await?;
    let items = sessions.into_iter().map(|session| SessionBody::new(session, identity.session)).collect();
    Ok(Json(paging.page(items, total)))
}

/// Ends all sessions of an admin, except that of the request.
///
/// The own ones; with the right to all also those of others who may do no more than oneself. Tokens without a session are refused from
/// then on, too; API tokens are not. Returns a new token for the session of the request, whose token is refused like the others;
/// none for an API token.
#[utoipa::path(delete, path = "/api/sessions", tag = "Session", params(OfAdmin),
    responses((status = 200, body = SessionsEnded), (status = 403, description = "The admin is another sudo admin"),
              (status = 404, description = "No such admin")))]
#[handler]
async fn end_all(
    state: &State,
    By(panel): By,
    request: &Request,
    identity: Identity,
    Query(of): Query<OfAdmin>,
) -> Result<Json<SessionsEnded>, ApiError> {
    let by = &identity.admin;
    let admin = state.own_or_other(&identity, Scope(Resource::Sessions, Action::Write), of.name()).await?;
    let own = admin.id == by.id;
    let kept = identity.session.filter(|_| own);
    let minutes = state.options.auth.token_minutes;
    let (admin, goes_on) = sessions::end_all(&panel, Actor::Admin(by), &admin.username, kept, minutes).await?;
    // A session may do everything that its admin may, an API token only what its scopes allow.
    let goes_on_here = own && identity.token.is_none();
    let token = if goes_on_here {
        Some(Token::of_session(state, request, &admin, kept.filter(|_| goes_on)).await?)
    } else {
        None
    };
    Ok(Json(SessionsEnded { token }))
}

/// Ends a session.
///
/// An own one; with the right to all also one of another admin who may do no more than oneself. The session of the request may be ended, too:
/// that is signing out.
#[utoipa::path(delete, path = "/api/sessions/{id}", tag = "Session", params(SessionPath),
    responses((status = 200, body = Empty), (status = 403, description = "The session is another sudo admin's"),
              (status = 404, description = "No such session")))]
#[handler]
async fn end(By(panel): By, identity: Identity, Path(path): Path<SessionPath>) -> Result<Json<Empty>, ApiError> {
    let id = Uuid::try_parse(&path.id).map_err(|_| SessionError::NotFound)?;
    let others = identity.may_of_others(Scope(Resource::Sessions, Action::Write)).is_ok();
    sessions::end(&panel, &identity.admin, others, identity.session, id).await?;
    Ok(Json(Empty {}))
}

/// Changes the password of the signed-in admin.
///
/// Wrong passwords are limited as those of sign-in are. Ends all other sessions. Returns a new token for the session of the
/// request, whose token is refused from then on.
#[utoipa::path(put, path = "/api/password", tag = "Session", request_body = PasswordChange,
    responses((status = 200, body = Token),
              (status = 429, description = "Too many wrong passwords; Retry-After has the number of seconds to wait")))]
#[handler]
async fn change_password(
    state: &State,
    By(panel): By,
    request: &Request,
    identity: Identity,
    client: Client,
    Json(change): Json<PasswordChange>,
) -> Result<Json<Token>, ApiError> {
    identity.must_have_signed_in()?;
    let Identity { admin, session, .. } = identity;
    let passwords = sign_in::NewPassword { present: Secret::new(change.current_password), new: change.new_password.0 };
    let minutes = state.options.auth.token_minutes;
    let changed =
        sign_in::change_password(&panel, &state.limits, client.limited(), &admin.username, passwords, session, minutes);
    let (admin, goes_on) = changed.await.map_err(|error| match error {
        SignInError::Wrong => FieldErrors::one("current_password", "is wrong").into(),
        error => ApiError::from(error),
    })?;
    Ok(Json(Token::of_session(state, request, &admin, session.filter(|_| goes_on)).await?))
}

impl State {
    /// Returns the admin of that name, or `by` without a name. Naming another one needs the right, and the scope of an API token, for everything.
    pub(super) async fn own_or_other(
        &self,
        by: &Identity,
        scope: Scope,
        name: Option<&str>,
    ) -> Result<Admin, ApiError> {
        match name.filter(|name| *name != by.admin.username) {
            Some(name) => {
                by.may_of_others(scope)?;
                Ok(admins::by_name(&self.panel, name).await?.admin)
            }
            None => Ok(by.admin.clone()),
        }
    }
}

impl SessionBody {
    fn new(session: Session, current: Option<Uuid>) -> Self {
        Self {
            is_current: current == Some(session.id),
            id: session.id.to_string(),
            created_at: session.created_at.utc_iso(),
            last_used_at: session.last_used_at.utc_iso(),
            expires_at: session.expires_at.map(|at| at.utc_iso()),
            address: session.address,
            user_agent: session.user_agent,
        }
    }
}

impl Params for OfAdmin {}

impl OfAdmin {
    /// Username of the admin; none for the signed-in one.
    pub(super) fn name(&self) -> Option<&str> {
        self.admin.as_deref()
    }
}

impl From<SessionError> for ApiError {
    fn from(error: SessionError) -> Self {
        match error {
            SessionError::NotFound => Self::not_found("The session"),
            SessionError::Admin(error) => error.into(),
        }
    }
}
