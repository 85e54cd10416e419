//! `/api/users`: users, operations on one of them, and bulk operations.

mod bulk;
pub mod diagnosis;
mod documents;
mod fields;
pub(in crate::api) mod input;
pub mod node_status;
pub mod subscription;

use poem::http::StatusCode;
use poem::{Response, handler};
use utoipa::OpenApi;

use super::state::State;
use crate::actions::users::{self, UserError, bulk as of_admins};
use crate::api::http::auth::CurrentAdmin;
use crate::api::http::body::{Empty, Json};
use crate::api::http::by::By;
use crate::api::http::error::ApiError;
use crate::api::http::input::Inputs;
use crate::api::http::paging::{Page, Paging};
use crate::api::http::query::{Path, Query};
use crate::api::http::routes::{Methods, Routes, delete, get, post, put};
use crate::api::services::response::{self, ServiceResponse};
use crate::api::services::{only_users_of, page_of};
use crate::domain::user::document::UserDocument;
use crate::store::hosts::services::Scope;
use input::{ExpiredQuery, OwnerQuery, UserCreate, UserModify, UserPath, UserQuery};

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
    bulk::change,
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
        .at_literal_or_param("/api/users/:username", "expired", delete(remove_expired), one())
        .at_literal_or_param("/api/users/:username", "reset", post(reset_own), one())
        .at_literal_or_param("/api/users/:username", "bulk", post(bulk::change), one())
        .at("/api/users/:username/enable", post(enable))
        .at("/api/users/:username/disable", post(disable))
        .at("/api/users/:username/reset", post(reset))
        .at("/api/users/:username/revoke_sub", post(revoke_sub))
        .at("/api/users/:username/set-owner", put(set_owner))
        .at("/api/users/:username/services", get(services_of))
}

/// The operations on one user.
fn one() -> Methods {
    get(read).put(modify).delete(remove)
}

type UserResult = Result<Json<UserDocument>, ApiError>;

/// Lists users.
///
/// Sudo admins see all users, other admins see their own. Returns a page of users; without `order_by` in order of id.
#[utoipa::path(get, path = "/api/users", tag = "User", params(UserQuery, Paging),
    responses((status = 200, body = Page<UserDocument>),
              (status = 404, description = "No admin has the name in `owner_username`")))]
#[handler]
async fn list(
    state: &State,
    CurrentAdmin(admin): CurrentAdmin,
    Inputs(Query(query), paging): Inputs<Query<UserQuery>, Paging>,
) -> Result<Json<Page<UserDocument>>, ApiError> {
    let window = query.window(&paging);
    let (found, total) = users::list(
        &state.panel,
        &state.caches.totals,
        &admin,
        query.filter(state.options.usage_percent),
        query.owner_username.as_deref(),
        window,
    )
    .await?;
    Ok(Json(paging.page(state.user_documents(found), total)))
}

/// Creates a user.
///
/// The signed-in admin becomes the owner. Unknown services, and services that the admin may not assign, are ignored.
/// Returns the new user.
#[utoipa::path(post, path = "/api/users", tag = "User", request_body = UserCreate,
    responses((status = 200, body = UserDocument),
              (status = 409, description = "The username or the key is in use")))]
#[handler]
async fn create(
    state: &State,
    By(panel): By,
    CurrentAdmin(admin): CurrentAdmin,
    Json(body): Json<UserCreate>,
) -> UserResult {
    let user = users::create(&panel, &admin, body.into_new_user()?).await?;
    Ok(Json(state.user_document(user)))
}

/// Returns a user.
///
/// For the owner, and for admins who may read all users.
#[utoipa::path(get, path = "/api/users/{username}", tag = "User", params(UserPath),
    responses((status = 200, body = UserDocument),
              (status = 404, description = "No such user")))]
#[handler]
async fn read(state: &State, CurrentAdmin(admin): CurrentAdmin, Path(path): Path<UserPath>) -> UserResult {
    let user = users::visible(&admin, state.caches.users.recent_user(&path.username).await?)?;
    Ok(Json(state.user_document((*user).clone())))
}

/// Changes a user.
///
/// For admins with `modify_users_access`. A field that is null or missing is not changed.
/// `username` is required but ignored. Returns the changed user.
#[utoipa::path(put, path = "/api/users/{username}", tag = "User", params(UserPath), request_body = UserModify,
    responses((status = 200, body = UserDocument),
              (status = 404, description = "No such user")))]
#[handler]
async fn modify(
    state: &State,
    By(panel): By,
    CurrentAdmin(admin): CurrentAdmin,
    Inputs(Path(path), Json(body)): Inputs<Path<UserPath>, Json<UserModify>>,
) -> UserResult {
    let edit = body.into_edit()?;
    Ok(Json(state.user_document(users::modify(&panel, &admin, &path.username, edit).await?)))
}

/// Deletes a user.
///
/// For admins with `modify_users_access`. The username can be used again, the key can't.
#[utoipa::path(delete, path = "/api/users/{username}", tag = "User", params(UserPath),
    responses((status = 200, body = Empty),
              (status = 404, description = "No such user")))]
#[handler]
async fn remove(
    By(panel): By,
    CurrentAdmin(admin): CurrentAdmin,
    Path(path): Path<UserPath>,
) -> Result<Json<Empty>, ApiError> {
    users::remove(&panel, &admin, &path.username).await?;
    Ok(Json(Empty {}))
}

/// Deletes expired users.
///
/// Deletes users whose fixed expiry date passed at least `passed_time` seconds ago: all of them with the right to all users, its own
/// for another admin with `modify_users_access`.
#[utoipa::path(delete, path = "/api/users/expired", tag = "User", params(ExpiredQuery),
    responses((status = 200, body = Empty),
              (status = 404, description = "No users expired before that date")))]
#[handler]
async fn remove_expired(
    By(panel): By,
    CurrentAdmin(admin): CurrentAdmin,
    Query(query): Query<ExpiredQuery>,
) -> Result<Json<Empty>, ApiError> {
    of_admins::remove_expired(&panel, &admin, query.passed_time.0).await?;
    Ok(Json(Empty {}))
}

/// Resets the used traffic of the signed-in admin's own users to zero.
#[utoipa::path(post, path = "/api/users/reset", tag = "User", responses((status = 200, body = Empty)))]
#[handler]
async fn reset_own(By(panel): By, CurrentAdmin(admin): CurrentAdmin) -> Result<Json<Empty>, ApiError> {
    of_admins::reset_own(&panel, &admin).await?;
    Ok(Json(Empty {}))
}

/// Enables a user.
///
/// For admins with `modify_users_access`. Returns the user.
#[utoipa::path(post, path = "/api/users/{username}/enable", tag = "User", params(UserPath),
    responses((status = 200, body = UserDocument),
              (status = 404, description = "No such user"),
              (status = 409, description = "The user is already enabled")))]
#[handler]
async fn enable(
    state: &State,
    By(panel): By,
    CurrentAdmin(admin): CurrentAdmin,
    Path(path): Path<UserPath>,
) -> UserResult {
    Ok(Json(state.user_document(users::enable(&panel, &admin, &path.username).await?)))
}

/// Disables a user.
///
/// For admins with `modify_users_access`. The user is removed from the nodes. Returns the user.
#[utoipa::path(post, path = "/api/users/{username}/disable", tag = "User", params(UserPath),
    responses((status = 200, body = UserDocument),
              (status = 404, description = "No such user"),
              (status = 409, description = "The user is already disabled")))]
#[handler]
async fn disable(
    state: &State,
    By(panel): By,
    CurrentAdmin(admin): CurrentAdmin,
    Path(path): Path<UserPath>,
) -> UserResult {
    Ok(Json(state.user_document(users::disable(&panel, &admin, &path.username).await?)))
}

/// Resets a user's used traffic to zero.
///
/// For admins with `modify_users_access`. Returns the user.
#[utoipa::path(post, path = "/api/users/{username}/reset", tag = "User", params(UserPath),
    responses((status = 200, body = UserDocument),
              (status = 404, description = "No such user")))]
#[handler]
async fn reset(
    state: &State,
    By(panel): By,
    CurrentAdmin(admin): CurrentAdmin,
    Path(path): Path<UserPath>,
) -> UserResult {
    Ok(Json(state.user_document(users::reset_traffic(&panel, &admin, &path.username).await?)))
}

/// Replaces a user's key.
///
/// For admins with `modify_users_access`. The previous subscription link and credentials
/// stop working. Returns the user with its new link.
#[utoipa::path(post, path = "/api/users/{username}/revoke_sub", tag = "User", params(UserPath),
    responses((status = 200, body = UserDocument),
              (status = 404, description = "No such user")))]
#[handler]
async fn revoke_sub(
    state: &State,
    By(panel): By,
    CurrentAdmin(admin): CurrentAdmin,
    Path(path): Path<UserPath>,
) -> UserResult {
    Ok(Json(state.user_document(users::revoke_subscription(&panel, &admin, &path.username).await?)))
}

/// Changes the owner of a user.
///
/// Returns the user.
#[utoipa::path(put, path = "/api/users/{username}/set-owner", tag = "User", params(UserPath, OwnerQuery),
    responses((status = 200, body = UserDocument),
              (status = 404, description = "No such user or admin")))]
#[handler]
async fn set_owner(
    state: &State,
    By(panel): By,
    CurrentAdmin(admin): CurrentAdmin,
    Inputs(Path(path), Query(query)): Inputs<Path<UserPath>, Query<OwnerQuery>>,
) -> UserResult {
    let changed = users::set_owner(&panel, &admin, &path.username, &query.admin_username).await?;
    Ok(Json(state.user_document(changed)))
}

/// Lists the services of a user.
///
/// For the owner, and for admins who may read all users. `user_ids` has only users that the admin may read.
#[utoipa::path(get, path = "/api/users/{username}/services", tag = "User", params(UserPath, Paging),
    responses((status = 200, body = Page<ServiceResponse>),
              (status = 404, description = "No such user")))]
#[handler]
async fn services_of(
    state: &State,
    CurrentAdmin(admin): CurrentAdmin,
    Inputs(Path(path), paging): Inputs<Path<UserPath>, Paging>,
) -> Result<Response, ApiError> {
    let user = users::get(&state.panel, &admin, &path.username).await?;
    let owner = only_users_of(&admin);
    let (services, total) = page_of(state, Scope::OfUser(user.id), owner, "", &paging).await?;
    response::page(&state.panel.db, owner, services, &paging.page(Vec::new(), total)).await
}

impl From<UserError> for ApiError {
    fn from(error: UserError) -> Self {
        match error {
            UserError::NotFound => Self::not_found("The user"),
            UserError::NoSuchAdmin => Self::not_found("The admin"),
            UserError::NoSuchService => Self::not_found("The service"),
            UserError::NoneExpired => Self::new(StatusCode::NOT_FOUND, "No users expired before that date"),
            UserError::Forbidden => Self::forbidden(),
            UserError::NameTaken => Self::conflict("Another user has this username"),
            UserError::KeyTaken => Self::conflict("This key is or was in use by another user"),
            UserError::AlreadyEnabled => Self::conflict("The user is already enabled"),
            UserError::AlreadyDisabled => Self::conflict("The user is already disabled"),
            UserError::OtherRequest => Self::conflict("The idempotency key was used for another change"),
            UserError::Quota(error) => error.into(),
            UserError::Store(error) => error.into(),
        }
    }
}
