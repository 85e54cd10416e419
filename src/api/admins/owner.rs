//! Changes of all users of an admin: `users/set-owner`, `disable_users` and `enable_users` below `/api/admins/{username}`.

use deserr::Deserr;
use poem::handler;
use serde::Serialize;
use utoipa::{IntoParams, OpenApi, ToSchema};

use super::{AdminPath, AdminResponse};
use crate::actions::admins::{self, Actor, given_users};
use crate::api::http::auth::CurrentAdmin;
use crate::api::http::body::Json;
use crate::api::http::by::By;
use crate::api::http::error::ApiError;
use crate::api::http::field_errors::FieldErrors;
use crate::api::http::input::Inputs;
use crate::api::http::query::{Params, Path, Query};
use crate::api::http::routes::{Routes, post, put};

/// The operations of this file.
#[derive(OpenApi)]
#[openapi(paths(set_users_owner, disable_users, enable_users))]
pub(in crate::api) struct Doc;

pub(in crate::api) fn routes(routes: Routes) -> Routes {
    routes
        .at("/api/admins/:username/users/set-owner", put(set_users_owner))
        .at("/api/admins/:username/disable_users", post(disable_users))
        .at("/api/admins/:username/enable_users", post(enable_users))
}

/// The new owner.
#[derive(Debug, Deserr, IntoParams)]
#[deserr(error = FieldErrors)]
#[into_params(parameter_in = Query)]
struct NewOwner {
    /// Username of the new owner.
    admin_username: String,
}

impl Params for NewOwner {}

/// Number of users that have a new owner.
#[derive(Debug, Serialize, ToSchema)]
pub struct GivenUsers {
    count: i64,
}

/// Gives all users of an admin to another one.
///
/// Nodes and links do not change. Returns the number of users.
#[utoipa::path(put, path = "/api/admins/{username}/users/set-owner", tag = "Admin", params(AdminPath, NewOwner),
    responses((status = 200, body = GivenUsers), (status = 404, description = "No such admin, or no such new owner")))]
#[handler]
async fn set_users_owner(
    By(panel): By,
    CurrentAdmin(by): CurrentAdmin,
    Inputs(Path(path), Query(new)): Inputs<Path<AdminPath>, Query<NewOwner>>,
) -> Result<Json<GivenUsers>, ApiError> {
    let count = given_users::give(&panel, Actor::Admin(&by), &path.username, &new.admin_username).await?;
    Ok(Json(GivenUsers { count }))
}

/// Disables all users of an admin.
///
/// The users are removed from the nodes. No notifications are sent. Returns the admin.
#[utoipa::path(post, path = "/api/admins/{username}/disable_users", tag = "Admin", params(AdminPath),
    responses((status = 200, body = AdminResponse), (status = 403, description = "The admin is another sudo admin, or has or would have more rights than one's own"),
              (status = 404, description = "No such admin")))]
#[handler]
async fn disable_users(
    By(panel): By,
    CurrentAdmin(by): CurrentAdmin,
    Path(path): Path<AdminPath>,
) -> Result<Json<AdminResponse>, ApiError> {
    Ok(Json(admins::set_users_enabled(&panel, Actor::Admin(&by), &path.username, false).await?.into()))
}

/// Enables all users of an admin.
///
/// Users that are active now are added to the nodes. No notifications are sent. Returns the admin.
#[utoipa::path(post, path = "/api/admins/{username}/enable_users", tag = "Admin", params(AdminPath),
    responses((status = 200, body = AdminResponse), (status = 403, description = "The admin is another sudo admin, or has or would have more rights than one's own"),
              (status = 404, description = "No such admin")))]
#[handler]
async fn enable_users(
    By(panel): By,
    CurrentAdmin(by): CurrentAdmin,
    Path(path): Path<AdminPath>,
) -> Result<Json<AdminResponse>, ApiError> {
    Ok(Json(admins::set_users_enabled(&panel, Actor::Admin(&by), &path.username, true).await?.into()))
}
