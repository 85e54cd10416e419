//! `/api/tokens`: API tokens of admins, for programs.

use deserr::Deserr;
use ipnet::IpNet;
use poem::handler;
use poem::http::StatusCode;
use serde::Serialize;
use utoipa::{IntoParams, OpenApi, ToSchema};
use uuid::Uuid;

use super::http::auth::Identity;
use super::http::body::{Empty, Json};
use super::http::by::By;
use super::http::error::ApiError;
use super::http::field_errors::FieldErrors;
use super::http::input::Inputs;
use super::http::loose::{LooseBool, LooseIntIn, LooseMoment};
use super::http::paging::{Page, Paging};
use super::http::query::{Params, Path, Query};
use super::http::routes::{Routes, delete, get, post};
use super::state::State;
use crate::actions::api_tokens::{self, NewToken, TokenError};
use crate::config::secret::Secret;
use crate::domain::api_token::{ApiTokenDocument, MAX_ADDRESSES, MAX_OVERLAP_SECONDS};
use crate::domain::networks::network;
use crate::domain::rights::Extent;
use crate::domain::scope::{Action, Resource, Scope, Scopes};
use crate::store::access::api_tokens::OwnedToken;

/// Scopes in a request, at most: all that there are, and then some.
const MAX_SCOPES: usize = 64;

/// The operations of this file.
#[derive(OpenApi)]
#[openapi(paths(list, create, revoke, rotate))]
pub(super) struct Doc;

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .at("/api/tokens", get(list).post(create))
        .at("/api/tokens/:id", delete(revoke))
        .at("/api/tokens/:id/rotate", post(rotate))
}

/// An API token with its secret, which is shown this once.
#[derive(Debug, Serialize, ToSchema)]
pub struct NewApiToken {
    #[serde(flatten)]
    token: ApiTokenDocument,
    /// The token for the `Authorization` header: `Bearer sarban_…`.
    secret: String,
}

/// An API token to make.
#[derive(Deserr, ToSchema)]
#[deserr(error = FieldErrors)]
pub struct ApiTokenCreate {
    /// A name for people.
    #[schema(min_length = 1, max_length = 64)]
    name: String,
    /// `users:read`, `users:write`, `users:*` and the like, `*:read`, `*:write` or `*`. Resources: users, services, inbounds,
    /// hosts, nodes, admins, settings, notifications, cluster, stats, events, sessions, tokens, profile, audit,
    /// roles, edge.
    #[schema(min_items = 1, max_items = 64)]
    scopes: Vec<String>,
    /// Networks such as `192.0.2.0/24`, or single addresses, from which it may be used. Empty: from anywhere.
    #[deserr(default)]
    #[schema(required = false, max_items = 32)]
    addresses: Vec<String>,
    /// When it ends. Null: never.
    #[deserr(default)]
    #[schema(value_type = Option<String>)]
    expires_at: Option<LooseMoment>,
    /// Username of the admin for whom it acts; another one needs the right to all. Null: the signed-in admin.
    #[deserr(default)]
    admin: Option<String>,
}

/// A rotation of a token's secret.
#[derive(Deserr, ToSchema)]
#[deserr(error = FieldErrors)]
pub struct ApiTokenRotate {
    /// Seconds for which the secret so far stays good: up to 30 days.
    #[deserr(default = LooseIntIn(0))]
    #[schema(value_type = i64, default = 0, minimum = 0, maximum = 2592000)]
    overlap_seconds: LooseIntIn<0, MAX_OVERLAP_SECONDS>,
}

/// Which tokens.
#[derive(Debug, Deserr, IntoParams)]
#[deserr(error = FieldErrors)]
#[into_params(parameter_in = Query)]
struct TokenFilter {
    /// Username of the admin; another one needs the right to all. Without it: the signed-in admin.
    #[deserr(default)]
    #[param(required = false)]
    admin: Option<String>,
    /// True for the tokens of all admins, which needs the right to all.
    #[deserr(default)]
    #[param(required = false, value_type = bool)]
    all: LooseBool,
}

/// The path of a token.
#[derive(Debug, Deserr, IntoParams)]
#[deserr(error = FieldErrors)]
#[into_params(parameter_in = Path)]
struct TokenPath {
    /// Id of the token.
    id: String,
}

/// Lists API tokens, without their secrets.
///
/// The own ones; with the right to all also those of another admin or of all.
#[utoipa::path(get, path = "/api/tokens", tag = "ApiToken", params(TokenFilter, Paging),
    responses((status = 200, body = Page<ApiTokenDocument>), (status = 403, description = "Those of others need the right to all"),
              (status = 404, description = "No such admin")))]
#[handler]
async fn list(
    state: &State,
    identity: Identity,
    Inputs(Query(filter), paging): Inputs<Query<TokenFilter>, Paging>,
) -> Result<Json<Page<ApiTokenDocument>>, ApiError> {
    let admin = if filter.all.0 {
        if !identity.admin.may(Resource::Tokens, Action::Read, Extent::All) {
            return Err(ApiError::forbidden());
        }
        None
    } else {
        Some(state.own_or_other(&identity, Scope(Resource::Tokens, Action::Read), filter.admin.as_deref()).await?.id)
    };
    let (tokens, total) = api_tokens::list(&state.panel, admin, paging.limit(), paging.offset()).await?;
    Ok(Json(paging.page(tokens.iter().map(OwnedToken::document).collect(), total)))
}

/// Makes an API token.
///
/// For the signed-in admin; with the right to all also for another admin who may do no more than oneself. It is accepted wherever a token of
/// a sign-in is, within its scopes and the rights that its admin has at that moment. Made with an API token, it can't have more
/// scopes, more addresses or a later end than that one. Returns the token with its secret, which is shown this once.
#[utoipa::path(post, path = "/api/tokens", tag = "ApiToken", request_body = ApiTokenCreate,
    responses((status = 200, body = NewApiToken),
              (status = 403, description = "The admin is another sudo admin, or the API token in use may do less"),
              (status = 404, description = "No such admin"), (status = 409, description = "The admin has 100 tokens already")))]
#[handler]
async fn create(
    state: &State,
    By(panel): By,
    identity: Identity,
    Json(body): Json<ApiTokenCreate>,
) -> Result<Json<NewApiToken>, ApiError> {
    let (admin, new) = body.read()?;
    let admin = state.own_or_other(&identity, Scope(Resource::Tokens, Action::Write), admin.as_deref()).await?;
    let (token, secret) = api_tokens::create(&panel, identity.author(), &admin.username, new).await?;
    Ok(Json(NewApiToken::new(&token, &secret)))
}

/// Revokes an API token.
///
/// An own one; with the right to all also one of another admin who may do no more than oneself. It is refused at once by this panel, and by the
/// others within a second.
#[utoipa::path(delete, path = "/api/tokens/{id}", tag = "ApiToken", params(TokenPath),
    responses((status = 200, body = Empty), (status = 403, description = "The token is another sudo admin's"),
              (status = 404, description = "No such token")))]
#[handler]
async fn revoke(By(panel): By, identity: Identity, Path(path): Path<TokenPath>) -> Result<Json<Empty>, ApiError> {
    api_tokens::revoke(&panel, identity.author(), path.id()?).await?;
    Ok(Json(Empty {}))
}

/// Gives an API token a new secret.
///
/// The secret so far stays good for a while, if that is asked for. Returns the token with its new secret, which is shown this once.
#[utoipa::path(post, path = "/api/tokens/{id}/rotate", tag = "ApiToken", params(TokenPath), request_body = ApiTokenRotate,
    responses((status = 200, body = NewApiToken),
              (status = 403, description = "The token is another sudo admin's, or the API token in use may do less"),
              (status = 404, description = "No such token")))]
#[handler]
async fn rotate(
    By(panel): By,
    identity: Identity,
    Inputs(Path(path), Json(body)): Inputs<Path<TokenPath>, Json<ApiTokenRotate>>,
) -> Result<Json<NewApiToken>, ApiError> {
    let (token, secret) = api_tokens::rotate(&panel, identity.author(), path.id()?, body.overlap_seconds.0).await?;
    Ok(Json(NewApiToken::new(&token, &secret)))
}

impl TokenPath {
    fn id(&self) -> Result<Uuid, ApiError> {
        Ok(Uuid::try_parse(&self.id).map_err(|_| TokenError::NotFound)?)
    }
}

impl ApiTokenCreate {
    /// Returns the name of the admin, if any, and the token to make.
    fn read(self) -> Result<(Option<String>, NewToken), FieldErrors> {
        let scopes = read_scopes(&self.scopes);
        let addresses = read_addresses(&self.addresses);
        let (scopes, addresses) = match (scopes, addresses) {
            (Ok(scopes), Ok(addresses)) => (scopes, addresses),
            (Err(one), Err(other)) => return Err(one.and(other)),
            (Err(error), _) | (_, Err(error)) => return Err(error),
        };
        let expires_at = self.expires_at.map(|at| at.0);
        Ok((self.admin, NewToken { name: self.name, scopes, addresses, expires_at }))
    }
}

fn read_scopes(texts: &[String]) -> Result<Scopes, FieldErrors> {
    if texts.len() > MAX_SCOPES {
        return Err(FieldErrors::one("scopes", format!("must have at most {MAX_SCOPES} elements")));
    }
    texts.iter().try_fold(Scopes::default(), |scopes, text| {
        scopes.with(text).map_err(|_| {
            FieldErrors::one("scopes", format!("has the unknown scope {text:?}; known are {}", Scopes::known()))
        })
    })
}

fn read_addresses(texts: &[String]) -> Result<Vec<IpNet>, FieldErrors> {
    if texts.len() > MAX_ADDRESSES {
        return Err(FieldErrors::one("addresses", format!("must have at most {MAX_ADDRESSES} elements")));
    }
    let read = |text: &String| {
        network(text).ok_or_else(|| {
            FieldErrors::one("addresses", format!("must be networks such as 192.0.2.0/24; not a network: {text:?}"))
        })
    };
    texts.iter().map(read).collect()
}

impl NewApiToken {
    fn new(token: &OwnedToken, secret: &Secret) -> Self {
        Self { token: token.document(), secret: secret.expose().to_owned() }
    }
}

impl Params for TokenFilter {}

impl From<TokenError> for ApiError {
    fn from(error: TokenError) -> Self {
        let text = error.to_string();
        match error {
            TokenError::NotFound => Self::not_found("The API token"),
            TokenError::Most => Self::conflict("The admin has 100 API tokens already; revoke one first"),
            TokenError::Name(fault) => FieldErrors::one("name", fault).into(),
            TokenError::NoScope => FieldErrors::one("scopes", "must have at least one element").into(),
            TokenError::Past => FieldErrors::one("expires_at", "must lie in the future").into(),
            TokenError::Scope(_) | TokenError::Expiry | TokenError::Addresses => Self::new(StatusCode::FORBIDDEN, text),
            TokenError::Admin(error) => error.into(),
        }
    }
}
