//! `/api/admins`: the admins.

pub mod sign_in;

use deserr::Deserr;
use poem::{Response, handler};
use serde::Serialize;
use utoipa::{IntoParams, OpenApi, ToSchema};

use super::services::{self, ServiceResponse};
use super::state::State;
use crate::actions::admins::{self, Actor, AdminChange, AdminError, NewAdmin};
use crate::api::http::auth::{CurrentAdmin, Sudo};
use crate::api::http::body::{Empty, Json};
use crate::api::http::error::ApiError;
use crate::api::http::field_errors::FieldErrors;
use crate::api::http::input::Both;
use crate::api::http::loose::{Flag, LooseIds};
use crate::api::http::paging::{Page, Paging};
use crate::api::http::query::{Params, Path, Query};
use crate::api::http::routes::{Methods, Routes, get, post};
use crate::api::http::short_text::ShortText;
use crate::api::services::response;
use crate::config::secret::Secret;
use crate::domain::admin::Admin;
use crate::domain::ids::ServiceId;
use crate::domain::user::document::UserDocument;
use crate::store::access::admins::AdminUsage;
use crate::store::users::list::UserFilter;
use sign_in::token;

/// The operations of this file.
#[derive(OpenApi)]
#[openapi(paths(current, list, create, read, modify, remove, services_of, users_of, disable_users, enable_users))]
pub(in crate::api) struct Doc;

pub(in crate::api) fn routes(routes: Routes) -> Routes {
    routes
        .at("/api/admins", get(list).post(create))
        .at("/api/admins/:username", one())
        .at("/api/admins/:username/services", get(services_of))
        .at("/api/admins/:username/users", get(users_of))
        .at("/api/admins/:username/disable_users", post(disable_users))
        .at("/api/admins/:username/enable_users", post(enable_users))
        .beside("/api/admins/:username", "current", get(current), one())
        .beside("/api/admins/:username", "token", post(token), one())
}

/// What can be done with one admin.
fn one() -> Methods {
    get(read).put(modify).delete(remove)
}

/// An admin.
#[derive(Debug, Serialize, ToSchema)]
pub struct AdminBody {
    id: i64,
    username: String,
    is_sudo: bool,
    enabled: bool,
    all_services_access: bool,
    modify_users_access: bool,
    service_ids: Vec<i64>,
    subscription_url_prefix: String,
}

/// An admin with its users' traffic.
#[derive(Debug, Serialize, ToSchema)]
pub struct AdminResponse {
    #[serde(flatten)]
    admin: AdminBody,
    /// Bytes of all users that it owns, removed ones too.
    users_data_usage: i64,
}

/// An admin to be.
#[derive(Deserr, ToSchema)]
#[deserr(error = FieldErrors)]
pub struct AdminCreate {
    /// Any text of at most 256 characters.
    #[schema(value_type = String, max_length = 256)]
    username: ShortText,
    password: String,
    #[schema(value_type = bool)]
    is_sudo: Flag,
    #[deserr(default = Flag(true))]
    #[schema(value_type = bool, default = true)]
    enabled: Flag,
    #[deserr(default)]
    #[schema(value_type = bool, default = false)]
    all_services_access: Flag,
    #[deserr(default = Flag(true))]
    #[schema(value_type = bool, default = true)]
    modify_users_access: Flag,
    #[deserr(default)]
    #[schema(value_type = Vec<i64>, default = json!([]))]
    service_ids: LooseIds,
    #[deserr(default)]
    #[schema(default = "")]
    subscription_url_prefix: String,
}

/// What should become of an admin: null or missing means as it is.
#[derive(Deserr, ToSchema)]
#[deserr(error = FieldErrors)]
pub struct AdminModify {
    #[deserr(default)]
    password: Option<String>,
    #[deserr(default)]
    #[schema(value_type = Option<bool>)]
    is_sudo: Option<Flag>,
    #[deserr(default)]
    #[schema(value_type = Option<bool>)]
    enabled: Option<Flag>,
    #[deserr(default)]
    #[schema(value_type = Option<bool>)]
    all_services_access: Option<Flag>,
    #[deserr(default)]
    #[schema(value_type = Option<bool>)]
    modify_users_access: Option<Flag>,
    #[deserr(default)]
    #[schema(value_type = Option<Vec<i64>>)]
    service_ids: Option<LooseIds>,
    #[deserr(default)]
    subscription_url_prefix: Option<String>,
}

/// An admin in a path.
#[derive(Debug, Deserr, IntoParams)]
#[deserr(error = FieldErrors)]
#[into_params(parameter_in = Path)]
pub struct AdminName {
    /// To the letter.
    pub username: String,
}

/// Which admins to list.
#[derive(Debug, Deserr, IntoParams)]
#[deserr(error = FieldErrors)]
#[into_params(parameter_in = Query)]
pub struct AdminFilter {
    /// A part of the name in any case; `%` and `_` are wildcards.
    #[deserr(default)]
    #[param(required = false)]
    username: String,
}

/// Who is signed in.
#[utoipa::path(get, path = "/api/admins/current", tag = "Admin", responses((status = 200, body = AdminBody)))]
#[handler]
async fn current(CurrentAdmin(admin): CurrentAdmin) -> Json<AdminBody> {
    Json(admin.into())
}

/// Lists admins.
#[utoipa::path(get, path = "/api/admins", tag = "Admin", params(AdminFilter, Paging),
    responses((status = 200, body = Page<AdminResponse>)))]
#[handler]
async fn list(
    state: &State,
    _: Sudo,
    Both(Query(filter), paging): Both<Query<AdminFilter>, Paging>,
) -> Result<Json<Page<AdminResponse>>, ApiError> {
    let (admins, total) = admins::list(&state.panel, &filter.username, paging.limit(), paging.offset()).await?;
    Ok(Json(paging.page_without_links(admins.into_iter().map(AdminResponse::from).collect(), total)))
}

/// Makes an admin.
#[utoipa::path(post, path = "/api/admins", tag = "Admin", request_body = AdminCreate,
    responses((status = 200, body = AdminBody), (status = 409, description = "The name is taken")))]
#[handler]
async fn create(state: &State, _: Sudo, Json(new): Json<AdminCreate>) -> Result<Json<AdminBody>, ApiError> {
    Ok(Json(admins::create(&state.panel, new.into()).await?.into()))
}

/// Shows an admin.
#[utoipa::path(get, path = "/api/admins/{username}", tag = "Admin", params(AdminName),
    responses((status = 200, body = AdminResponse), (status = 404, description = "No such admin")))]
#[handler]
async fn read(state: &State, _: Sudo, Path(at): Path<AdminName>) -> Result<Json<AdminResponse>, ApiError> {
    Ok(Json(admins::by_name(&state.panel, &at.username).await?.into()))
}

/// Changes an admin.
#[utoipa::path(put, path = "/api/admins/{username}", tag = "Admin", params(AdminName), request_body = AdminModify,
    responses((status = 200, body = AdminResponse), (status = 403, description = "Another sudo"),
              (status = 404, description = "No such admin")))]
#[handler]
async fn modify(
    state: &State,
    Sudo(by): Sudo,
    Both(Path(at), Json(change)): Both<Path<AdminName>, Json<AdminModify>>,
) -> Result<Json<AdminResponse>, ApiError> {
    Ok(Json(admins::update(&state.panel, Actor::Admin(&by), &at.username, change.into()).await?.into()))
}

/// Deletes an admin; its users stay, without an owner.
#[utoipa::path(delete, path = "/api/admins/{username}", tag = "Admin", params(AdminName),
    responses((status = 200, body = Empty), (status = 403, description = "A sudo"),
              (status = 404, description = "No such admin")))]
#[handler]
async fn remove(state: &State, Sudo(by): Sudo, Path(at): Path<AdminName>) -> Result<Json<Empty>, ApiError> {
    admins::delete(&state.panel, Actor::Admin(&by), &at.username).await?;
    Ok(Json(Empty {}))
}

/// Lists the services that an admin may give.
#[utoipa::path(get, path = "/api/admins/{username}/services", tag = "Admin", params(AdminName, Paging),
    responses((status = 200, body = Page<ServiceResponse>), (status = 404, description = "No such admin")))]
#[handler]
async fn services_of(
    state: &State,
    _: Sudo,
    Both(Path(at), paging): Both<Path<AdminName>, Paging>,
) -> Result<Response, ApiError> {
    let admin = admins::by_name(&state.panel, &at.username).await?.admin;
    let (services, total) = services::page_of(state, services::given_by(&admin), "", &paging).await?;
    response::page(&state.panel.db, services, &paging.page_without_links(Vec::new(), total)).await
}

/// Lists an admin's users.
#[utoipa::path(get, path = "/api/admins/{username}/users", tag = "Admin", params(AdminName, Paging),
    responses((status = 200, body = Page<UserDocument>), (status = 404, description = "No such admin")))]
#[handler]
async fn users_of(
    state: &State,
    _: Sudo,
    Both(Path(at), paging): Both<Path<AdminName>, Paging>,
) -> Result<Json<Page<UserDocument>>, ApiError> {
    let owner = admins::by_name(&state.panel, &at.username).await?.admin.id;
    let filter = UserFilter { owner: Some(owner), ..UserFilter::default() };
    let (items, total) = state.page_of_users(&filter, &paging).await?;
    Ok(Json(paging.page_without_links(items, total)))
}

/// Switches all users of an admin off.
#[utoipa::path(post, path = "/api/admins/{username}/disable_users", tag = "Admin", params(AdminName),
    responses((status = 200, body = AdminResponse), (status = 403, description = "Another sudo"),
              (status = 404, description = "No such admin")))]
#[handler]
async fn disable_users(
    state: &State,
    Sudo(by): Sudo,
    Path(at): Path<AdminName>,
) -> Result<Json<AdminResponse>, ApiError> {
    Ok(Json(admins::set_users_enabled(&state.panel, Actor::Admin(&by), &at.username, false).await?.into()))
}

/// Switches all users of an admin on.
#[utoipa::path(post, path = "/api/admins/{username}/enable_users", tag = "Admin", params(AdminName),
    responses((status = 200, body = AdminResponse), (status = 403, description = "Another sudo"),
              (status = 404, description = "No such admin")))]
#[handler]
async fn enable_users(
    state: &State,
    Sudo(by): Sudo,
    Path(at): Path<AdminName>,
) -> Result<Json<AdminResponse>, ApiError> {
    Ok(Json(admins::set_users_enabled(&state.panel, Actor::Admin(&by), &at.username, true).await?.into()))
}

impl Params for AdminFilter {}

impl From<Admin> for AdminBody {
    fn from(admin: Admin) -> Self {
        Self {
            id: admin.id.0,
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
            password: Secret::new(body.password),
            is_sudo: body.is_sudo.0,
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
        let flag = |flag: Option<Flag>| flag.map(|flag| flag.0);
        Self {
            password: body.password.map(Secret::new),
            is_sudo: flag(body.is_sudo),
            enabled: flag(body.enabled),
            all_services_access: flag(body.all_services_access),
            modify_users_access: flag(body.modify_users_access),
            service_ids: body.service_ids.map(service_ids),
            subscription_url_prefix: body.subscription_url_prefix,
        }
    }
}

fn service_ids(ids: LooseIds) -> Vec<ServiceId> {
    ids.0.into_iter().map(ServiceId).collect()
}

impl From<AdminError> for ApiError {
    fn from(error: AdminError) -> Self {
        match error {
            AdminError::NotFound => Self::not_found("The admin"),
            AdminError::NameTaken => Self::conflict("An admin of that name exists already"),
            AdminError::IsSudo => Self::forbidden(),
            AdminError::Password(error) => error.into(),
            AdminError::Store(error) => error.into(),
        }
    }
}
