//! `/api/admins`: admins and their users and services.

mod error;
pub(super) mod fields;
pub mod owner;
pub mod quota;
pub mod sign_in;

use bytes::Bytes;
use deserr::Deserr;
use poem::{IntoResponse, Response, handler};
use serde::Serialize;
use utoipa::{IntoParams, OpenApi, ToSchema};

use super::roles::RightsBody;
use super::services;
use super::state::State;
use crate::actions::admins::{self, Actor, AdminChange, NewAdmin};
use crate::api::http::auth::CurrentAdmin;
use crate::api::http::body::{Empty, Json};
use crate::api::http::by::By;
use crate::api::http::error::ApiError;
use crate::api::http::field_errors::FieldErrors;
use crate::api::http::input::Inputs;
use crate::api::http::loose::{Ignored, LooseBool, LooseIds, LooseInt};
use crate::api::http::paging::{Page, Paging};
use crate::api::http::query::{Path, Query};
use crate::api::http::routes::{Methods, Routes, get, post};
use crate::api::services::response::{self, ServiceResponse};
use crate::domain::admin::Admin;
use crate::domain::user::document::UserDocument;
use crate::store::StoreError;
use crate::store::access::admins::AdminUsage;
use crate::store::users::list::UserFilter;
use fields::{AdminFilter, AdminName, NewPassword, service_ids};
use sign_in::token;

/// The operations of this file.
#[derive(OpenApi)]
#[openapi(paths(current, list, create, read, modify, remove, services_of, users_of))]
pub(in crate::api) struct Doc;

pub(in crate::api) fn routes(routes: Routes) -> Routes {
    routes
        .at("/api/admins", get(list).post(create))
        .at("/api/admins/:username", one())
        .at("/api/admins/:username/services", get(services_of))
        .at("/api/admins/:username/users", get(users_of))
        .at_literal_or_param("/api/admins/:username", "current", get(current), one())
        .at_literal_or_param("/api/admins/:username", "token", post(token).without_permit().before_sign_in(), one())
}

/// The operations on one admin.
fn one() -> Methods {
    get(read).put(modify).delete(remove)
}

/// An admin.
#[derive(Debug, Serialize, ToSchema)]
pub struct AdminBody {
    id: i64,
    username: String,
    is_sudo: bool,
    /// Name of the role: `owner` for sudo admins, `reseller` for others without another one.
    role: String,
    enabled: bool,
    all_services_access: bool,
    modify_users_access: bool,
    service_ids: Vec<i64>,
    subscription_url_prefix: String,
}

/// The signed-in admin with its rights.
#[derive(Debug, Serialize, ToSchema)]
pub struct CurrentAdminBody {
    #[serde(flatten)]
    admin: AdminBody,
    rights: RightsBody,
}

/// An admin with the traffic of its users.
#[derive(Debug, Serialize, ToSchema)]
pub struct AdminResponse {
    #[serde(flatten)]
    admin: AdminBody,
    /// Lifetime traffic of all users the admin owns, including removed ones, in bytes.
    users_data_usage: i64,
}

/// A new admin.
#[derive(Deserr, ToSchema)]
#[deserr(error = FieldErrors)]
pub struct AdminCreate {
    /// Ignored.
    #[deserr(default)]
    #[schema(value_type = Option<i64>)]
    pub id: Ignored<Option<LooseInt>>,
    /// At most 256 characters, without control characters.
    #[schema(value_type = String, min_length = 1, max_length = 256)]
    username: AdminName,
    #[schema(value_type = String, min_length = 1)]
    password: NewPassword,
    #[schema(value_type = bool)]
    is_sudo: LooseBool,
    /// Name of the role. Null: `owner` for sudo admins, `reseller` for others.
    #[deserr(default)]
    role: Option<String>,
    #[deserr(default = LooseBool(true))]
    #[schema(value_type = bool, default = true)]
    enabled: LooseBool,
    #[deserr(default)]
    #[schema(value_type = bool, default = false)]
    all_services_access: LooseBool,
    #[deserr(default = LooseBool(true))]
    #[schema(value_type = bool, default = true)]
    modify_users_access: LooseBool,
    #[deserr(default)]
    #[schema(value_type = Vec<i64>, default = json!([]))]
    service_ids: LooseIds,
    #[deserr(default)]
    #[schema(default = "")]
    subscription_url_prefix: String,
}

/// Changes of an admin. A field that is null or missing is not changed.
#[derive(Deserr, ToSchema)]
#[deserr(error = FieldErrors)]
pub struct AdminModify {
    /// Ignored.
    #[deserr(default)]
    #[schema(value_type = Option<i64>)]
    pub id: Ignored<Option<LooseInt>>,
    /// Ignored: the path decides.
    #[deserr(default)]
    #[schema(value_type = Option<String>)]
    pub username: Ignored<Option<String>>,
    #[deserr(default)]
    #[schema(value_type = Option<String>, min_length = 1)]
    password: Option<NewPassword>,
    #[deserr(default)]
    #[schema(value_type = Option<bool>)]
    is_sudo: Option<LooseBool>,
    /// Name of the role. Another one ends the admin's sessions. `is_sudo` alone, when true, replaces the role by `owner`.
    #[deserr(default)]
    role: Option<String>,
    #[deserr(default)]
    #[schema(value_type = Option<bool>)]
    enabled: Option<LooseBool>,
    #[deserr(default)]
    #[schema(value_type = Option<bool>)]
    all_services_access: Option<LooseBool>,
    #[deserr(default)]
    #[schema(value_type = Option<bool>)]
    modify_users_access: Option<LooseBool>,
    #[deserr(default)]
    #[schema(value_type = Option<Vec<i64>>)]
    service_ids: Option<LooseIds>,
    #[deserr(default)]
    subscription_url_prefix: Option<String>,
}

/// The path of an admin.
#[derive(Debug, Deserr, IntoParams)]
#[deserr(error = FieldErrors)]
#[into_params(parameter_in = Path)]
pub struct AdminPath {
    /// Username. Exact, case-sensitive match.
    pub username: String,
}

/// Returns the signed-in admin.
///
/// `rights` are those of its role. The admin's own flags and services, and the scopes of an API token, may leave less of them.
#[utoipa::path(get, path = "/api/admins/current", tag = "Admin", responses((status = 200, body = CurrentAdminBody)))]
#[handler]
fn current(CurrentAdmin(admin): CurrentAdmin) -> Json<CurrentAdminBody> {
    let rights = RightsBody::of(admin.rights());
    Json(CurrentAdminBody { admin: admin.into(), rights })
}

/// Lists admins.
///
/// Returns a page of admins, without links to other pages.
#[utoipa::path(get, path = "/api/admins", tag = "Admin", params(AdminFilter, Paging),
    responses((status = 200, body = Page<AdminResponse>)))]
#[handler]
async fn list(
    state: &State,
    _: CurrentAdmin,
    Inputs(Query(filter), paging): Inputs<Query<AdminFilter>, Paging>,
) -> Result<Response, ApiError> {
    let reading = async {
        let found = admins::list(&state.panel, &filter.username, paging.limit(), paging.offset()).await;
        let (admins, total) = found?;
        Ok::<_, StoreError>(paging.page_without_links(admins.into_iter().map(AdminResponse::from).collect(), total))
    };
    if !filter.username.is_empty() || paging.offset() > 0 {
        return Ok(Json(reading.await?).into_response());
    }
    let writing = async { Ok(serde_json::to_vec(&reading.await?).ok().map(Bytes::from)) };
    let page = state.admin_pages.get(paging.limit(), writing).await?;
    let page = page.ok_or_else(|| ApiError::internal("a page of admins is no JSON"))?;
    Ok(Response::builder().content_type("application/json").body(page))
}

/// Creates an admin.
///
/// It can't have more rights than the admin who makes it. Returns the new admin.
#[utoipa::path(post, path = "/api/admins", tag = "Admin", request_body = AdminCreate,
    responses((status = 200, body = AdminBody), (status = 409, description = "The username is in use")))]
#[handler]
async fn create(
    By(panel): By,
    CurrentAdmin(by): CurrentAdmin,
    Json(new): Json<AdminCreate>,
) -> Result<Json<AdminBody>, ApiError> {
    Ok(Json(admins::create(&panel, Actor::Admin(&by), new.into()).await?.into()))
}

/// Returns an admin.
#[utoipa::path(get, path = "/api/admins/{username}", tag = "Admin", params(AdminPath),
    responses((status = 200, body = AdminResponse), (status = 404, description = "No such admin")))]
#[handler]
async fn read(state: &State, _: CurrentAdmin, Path(path): Path<AdminPath>) -> Result<Json<AdminResponse>, ApiError> {
    Ok(Json(admins::by_name(&state.panel, &path.username).await?.into()))
}

/// Changes an admin.
///
/// Another sudo admin, and one with more rights than one's own, can't be changed. A new password revokes the admin's tokens. Returns the changed
/// admin.
#[utoipa::path(put, path = "/api/admins/{username}", tag = "Admin", params(AdminPath), request_body = AdminModify,
    responses((status = 200, body = AdminResponse), (status = 403, description = "The admin is another sudo admin, or has or would have more rights than one's own"),
              (status = 404, description = "No such admin")))]
#[handler]
async fn modify(
    By(panel): By,
    CurrentAdmin(by): CurrentAdmin,
    Inputs(Path(path), Json(change)): Inputs<Path<AdminPath>, Json<AdminModify>>,
) -> Result<Json<AdminResponse>, ApiError> {
    Ok(Json(admins::update(&panel, Actor::Admin(&by), &path.username, change.into()).await?.into()))
}

/// Deletes an admin.
///
/// Sudo admins can't be deleted. The admin's users remain, without an owner.
#[utoipa::path(delete, path = "/api/admins/{username}", tag = "Admin", params(AdminPath),
    responses((status = 200, body = Empty), (status = 403, description = "The admin is a sudo admin"),
              (status = 404, description = "No such admin")))]
#[handler]
async fn remove(
    By(panel): By,
    CurrentAdmin(by): CurrentAdmin,
    Path(path): Path<AdminPath>,
) -> Result<Json<Empty>, ApiError> {
    admins::delete(&panel, Actor::Admin(&by), &path.username).await?;
    Ok(Json(Empty {}))
}

/// Lists the services that an admin may assign to users.
///
/// Returns a page of services, without links to other pages.
#[utoipa::path(get, path = "/api/admins/{username}/services", tag = "Admin", params(AdminPath, Paging),
    responses((status = 200, body = Page<ServiceResponse>), (status = 404, description = "No such admin")))]
#[handler]
async fn services_of(
    state: &State,
    _: CurrentAdmin,
    Inputs(Path(path), paging): Inputs<Path<AdminPath>, Paging>,
) -> Result<Response, ApiError> {
    let admin = admins::by_name(&state.panel, &path.username).await?.admin;
    let (services, total) = services::page_of(state, services::assignable_by(&admin), None, "", &paging).await?;
    response::page(&state.panel.db, None, services, &paging.page_without_links(Vec::new(), total)).await
}

/// Lists the users of an admin.
///
/// Returns a page of users, without links to other pages.
#[utoipa::path(get, path = "/api/admins/{username}/users", tag = "Admin", params(AdminPath, Paging),
    responses((status = 200, body = Page<UserDocument>), (status = 404, description = "No such admin")))]
#[handler]
async fn users_of(
    state: &State,
    _: CurrentAdmin,
    Inputs(Path(path), paging): Inputs<Path<AdminPath>, Paging>,
) -> Result<Json<Page<UserDocument>>, ApiError> {
    let owner = admins::by_name(&state.panel, &path.username).await?.admin.id;
    let filter = UserFilter { owner: Some(owner), ..UserFilter::default() };
    let (items, total) = state.page_of_users(&filter, &paging).await?;
    Ok(Json(paging.page_without_links(items, total)))
}

impl From<Admin> for AdminBody {
    fn from(admin: Admin) -> Self {
        Self {
            id: admin.id.0,
            role: admin.role_name().to_owned(),
            username: admin.username,
            is_sudo: admin.is_sudo,
            enabled: admin.enabled,
            all_services_access: admin.all_services_access,
            modify_users_access: admin.modify_users_access,
            service_ids: admin.service_ids.iter().map(|id| id.0).collect(),
            subscription_url_prefix: admin.subscription_url_prefix,
        }
    }
}

impl From<AdminUsage> for AdminResponse {
    fn from(usage: AdminUsage) -> Self {
        Self { admin: usage.admin.into(), users_data_usage: usage.users_data_usage }
    }
}

impl From<AdminCreate> for NewAdmin {
    fn from(body: AdminCreate) -> Self {
        Self {
            username: body.username.0,
            password: body.password.0,
            is_sudo: body.is_sudo.0,
            role: body.role,
            enabled: body.enabled.0,
            all_services_access: body.all_services_access.0,
            modify_users_access: body.modify_users_access.0,
            service_ids: service_ids(body.service_ids),
            subscription_url_prefix: body.subscription_url_prefix,
        }
    }
}

impl From<AdminModify> for AdminChange {
    fn from(body: AdminModify) -> Self {
        let boolean = |value: Option<LooseBool>| value.map(|value| value.0);
        Self {
            password: body.password.map(|password| password.0),
            is_sudo: boolean(body.is_sudo),
            role: body.role,
            enabled: boolean(body.enabled),
            all_services_access: boolean(body.all_services_access),
            modify_users_access: boolean(body.modify_users_access),
            service_ids: body.service_ids.map(service_ids),
            subscription_url_prefix: body.subscription_url_prefix,
        }
    }
}
