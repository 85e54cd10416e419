//! `/api/users`: the users, what is done to one of them, and what to many at once.

mod fields;
pub(in crate::api) mod input;
pub mod node_status;

use poem::http::StatusCode;
use poem::{Response, handler};
use rand::Rng as _;
use utoipa::OpenApi;

use super::services::{ServiceResponse, page_of};
use super::state::State;
use crate::actions::users::{self, UserError, bulk};
use crate::api::http::auth::{CurrentAdmin, Sudo};
use crate::api::http::body::{Empty, Json};
use crate::api::http::error::ApiError;
use crate::api::http::input::Both;
use crate::api::http::paging::{Page, Paging};
use crate::api::http::query::{Path, Query};
use crate::api::http::routes::{Methods, Routes, delete, get, post, put};
use crate::api::services::response;
use crate::domain::user::User;
use crate::domain::user::document::UserDocument;
use crate::store::hosts::services::Scope;
use crate::store::users::list::{UserFilter, UserSort, UserWindow};
use input::{At, ExpiredQuery, OwnerQuery, UserCreate, UserModify, UserQuery};

/// The operations of this file.
#[derive(OpenApi)]
#[openapi(paths(
    list,
    create,
    read,
    modify,
    remove,
    remove_expired,
    reset_own,
    enable,
    disable,
    reset,
    revoke_sub,
    set_owner,
    services_of
))]
pub(in crate::api) struct Doc;

pub(in crate::api) fn routes(routes: Routes) -> Routes {
    routes
        .at("/api/users", get(list).post(create))
        .at("/api/users/:username", one())
        .beside("/api/users/:username", "expired", delete(remove_expired), one())
        .beside("/api/users/:username", "reset", post(reset_own), one())
        .at("/api/users/:username/enable", post(enable))
        .at("/api/users/:username/disable", post(disable))
        .at("/api/users/:username/reset", post(reset))
        .at("/api/users/:username/revoke_sub", post(revoke_sub))
        .at("/api/users/:username/set-owner", put(set_owner))
        .at("/api/users/:username/services", get(services_of))
}

/// What can be done with one user.
fn one() -> Methods {
    get(read).put(modify).delete(remove)
}

type Answer = Result<Json<UserDocument>, ApiError>;

/// Lists users: a sudo all of them, others their own.
#[utoipa::path(get, path = "/api/users", tag = "User", params(UserQuery, Paging),
    responses((status = 200, body = Page<UserDocument>),
              (status = 404, description = "No such owner")))]
#[handler]
async fn list(
    state: &State,
    CurrentAdmin(admin): CurrentAdmin,
    Both(Query(query), paging): Both<Query<UserQuery>, Paging>,
) -> Result<Json<Page<UserDocument>>, ApiError> {
    let window = query.window(&paging);
    let (found, total) =
        users::list(&state.panel, &state.totals, &admin, query.filter(), query.owner_username.as_deref(), window)
            .await?;
    Ok(Json(paging.page(state.user_documents(found), total)))
}

/// Makes a user, who belongs to the admin that asks. Services that the admin may not give are left out.
#[utoipa::path(post, path = "/api/users", tag = "User", request_body = UserCreate,
    responses((status = 200, body = UserDocument),
              (status = 409, description = "The name or the key is taken")))]
#[handler]
async fn create(state: &State, CurrentAdmin(admin): CurrentAdmin, Json(body): Json<UserCreate>) -> Answer {
    let made = users::create(&state.panel, &admin, body.into_new_user()?).await?;
    Ok(Json(state.user_document(made)))
}

/// Shows a user.
#[utoipa::path(get, path = "/api/users/{username}", tag = "User", params(At),
    responses((status = 200, body = UserDocument),
              (status = 404, description = "No such user")))]
#[handler]
async fn read(state: &State, CurrentAdmin(admin): CurrentAdmin, Path(at): Path<At>) -> Answer {
    let user = users::visible(&admin, state.users.recent_user(&at.username).await?)?;
    Ok(Json(state.user_document((*user).clone())))
}

/// Changes a user: null or missing means as it is. The name must be there, and changes nothing.
#[utoipa::path(put, path = "/api/users/{username}", tag = "User", params(At), request_body = UserModify,
    responses((status = 200, body = UserDocument),
              (status = 404, description = "No such user")))]
#[handler]
async fn modify(
    state: &State,
    CurrentAdmin(admin): CurrentAdmin,
    Both(Path(at), Json(body)): Both<Path<At>, Json<UserModify>>,
) -> Answer {
    let edit = body.into_edit()?;
    Ok(Json(state.user_document(users::modify(&state.panel, &admin, &at.username, edit).await?)))
}

/// Deletes a user: the name is free again, the key never.
#[utoipa::path(delete, path = "/api/users/{username}", tag = "User", params(At),
    responses((status = 200, body = Empty),
              (status = 404, description = "No such user")))]
#[handler]
async fn remove(state: &State, CurrentAdmin(admin): CurrentAdmin, Path(at): Path<At>) -> Result<Json<Empty>, ApiError> {
    users::remove(&state.panel, &admin, &at.username).await?;
    Ok(Json(Empty {}))
}

/// Deletes one's own users (a sudo: all) whose fixed date passed at least so long ago.
#[utoipa::path(delete, path = "/api/users/expired", tag = "User", params(ExpiredQuery),
    responses((status = 200, body = Empty),
              (status = 404, description = "No user has been expired for that long")))]
#[handler]
async fn remove_expired(
    state: &State,
    CurrentAdmin(admin): CurrentAdmin,
    Query(query): Query<ExpiredQuery>,
) -> Result<Json<Empty>, ApiError> {
    bulk::remove_expired(&state.panel, &admin, query.passed_time.0).await?;
    Ok(Json(Empty {}))
}

/// Sets the used traffic of one's own users back to zero.
#[utoipa::path(post, path = "/api/users/reset", tag = "User", responses((status = 200, body = Empty)))]
#[handler]
async fn reset_own(state: &State, Sudo(admin): Sudo) -> Result<Json<Empty>, ApiError> {
    bulk::reset_own(&state.panel, &admin).await?;
    Ok(Json(Empty {}))
}

/// Switches a user on.
#[utoipa::path(post, path = "/api/users/{username}/enable", tag = "User", params(At),
    responses((status = 200, body = UserDocument),
              (status = 404, description = "No such user"),
              (status = 409, description = "It is on")))]
#[handler]
async fn enable(state: &State, CurrentAdmin(admin): CurrentAdmin, Path(at): Path<At>) -> Answer {
    Ok(Json(state.user_document(users::enable(&state.panel, &admin, &at.username).await?)))
}

/// Switches a user off.
#[utoipa::path(post, path = "/api/users/{username}/disable", tag = "User", params(At),
    responses((status = 200, body = UserDocument),
              (status = 404, description = "No such user"),
              (status = 409, description = "It is off")))]
#[handler]
async fn disable(state: &State, CurrentAdmin(admin): CurrentAdmin, Path(at): Path<At>) -> Answer {
    Ok(Json(state.user_document(users::disable(&state.panel, &admin, &at.username).await?)))
}

/// Sets a user's used traffic back to zero.
#[utoipa::path(post, path = "/api/users/{username}/reset", tag = "User", params(At),
    responses((status = 200, body = UserDocument),
              (status = 404, description = "No such user")))]
#[handler]
async fn reset(state: &State, CurrentAdmin(admin): CurrentAdmin, Path(at): Path<At>) -> Answer {
    Ok(Json(state.user_document(users::reset_traffic(&state.panel, &admin, &at.username).await?)))
}

/// Gives a user a new key: its links and credentials from before end.
#[utoipa::path(post, path = "/api/users/{username}/revoke_sub", tag = "User", params(At),
    responses((status = 200, body = UserDocument),
              (status = 404, description = "No such user")))]
#[handler]
async fn revoke_sub(state: &State, CurrentAdmin(admin): CurrentAdmin, Path(at): Path<At>) -> Answer {
    Ok(Json(state.user_document(users::revoke_subscription(&state.panel, &admin, &at.username).await?)))
}

/// Gives a user to another admin.
#[utoipa::path(put, path = "/api/users/{username}/set-owner", tag = "User", params(At, OwnerQuery),
    responses((status = 200, body = UserDocument),
              (status = 404, description = "No such user, or no such admin")))]
#[handler]
async fn set_owner(
    state: &State,
    Sudo(admin): Sudo,
    Both(Path(at), Query(query)): Both<Path<At>, Query<OwnerQuery>>,
) -> Answer {
    let changed = users::set_owner(&state.panel, &admin, &at.username, &query.admin_username).await?;
    Ok(Json(state.user_document(changed)))
}

/// Lists the services of a user.
#[utoipa::path(get, path = "/api/users/{username}/services", tag = "User", params(At, Paging),
    responses((status = 200, body = Page<ServiceResponse>),
              (status = 404, description = "No such user")))]
#[handler]
async fn services_of(
    state: &State,
    CurrentAdmin(admin): CurrentAdmin,
    Both(Path(at), paging): Both<Path<At>, Paging>,
) -> Result<Response, ApiError> {
    let user = users::get(&state.panel, &admin, &at.username).await?;
    let (services, total) = page_of(state, Scope::OfUser(user.id), "", &paging).await?;
    response::page(&state.panel.db, services, &paging.page(Vec::new(), total)).await
}

impl State {
    /// A page of the users that match, whoever owns them, and how many match: for lists below other resources.
    pub(in crate::api) async fn page_of_users(
        &self,
        filter: &UserFilter,
        paging: &Paging,
    ) -> Result<(Vec<UserDocument>, i64), ApiError> {
        let window =
            UserWindow { sort: UserSort::Id, descending: false, offset: paging.offset(), limit: paging.limit() };
        let (found, total) = users::page(&self.panel, &self.totals, filter, window).await?;
        Ok((self.user_documents(found), total))
    }

    /// A user as answers show it, with what this process alone knows of its last fetch.
    pub(in crate::api) fn user_document(&self, mut user: User) -> UserDocument {
        self.fetches.overlay(&mut user);
        let mut chance = self.rng.fork();
        UserDocument::of(user, &self.options.subscription.url_prefix, self.panel.clock.now(), || chance.next_u64())
    }

    /// The same for many.
    pub(in crate::api) fn user_documents(&self, users: Vec<User>) -> Vec<UserDocument> {
        users.into_iter().map(|user| self.user_document(user)).collect()
    }
}

impl From<UserError> for ApiError {
    fn from(error: UserError) -> Self {
        match error {
            UserError::NotFound => Self::not_found("The user"),
            UserError::NoSuchAdmin => Self::not_found("The admin"),
            UserError::NoneExpired => Self::new(StatusCode::NOT_FOUND, "No user has been expired for that long"),
            UserError::Forbidden => Self::forbidden(),
            UserError::NameTaken => Self::conflict("Another user has this name"),
            UserError::KeyTaken => Self::conflict("This key is in use, or was once"),
            UserError::AlreadyEnabled => Self::conflict("The user is enabled already"),
            UserError::AlreadyDisabled => Self::conflict("The user is disabled already"),
            UserError::Store(error) => error.into(),
        }
    }
}
