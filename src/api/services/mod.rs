//! `/api/services`: bundles of inbounds that users are assigned to.

pub mod response;

use deserr::Deserr;
use poem::{IntoResponse as _, Response, handler};
use utoipa::{IntoParams, OpenApi, ToSchema};

use super::inbounds::InboundResponse;
use super::state::State;
use crate::actions::services::{self, NewService, ServiceChange, ServiceError};
use crate::api::http::auth::CurrentAdmin;
use crate::api::http::body::{Empty, Json};
use crate::api::http::by::By;
use crate::api::http::error::ApiError;
use crate::api::http::field_errors::FieldErrors;
use crate::api::http::input::Inputs;
use crate::api::http::loose::{Ignored, LooseBool, LooseInt};
use crate::api::http::paging::{Page, Paging};
use crate::api::http::query::{Params, Path, Query};
use crate::api::http::routes::{Routes, get};
use crate::domain::admin::Admin;
use crate::domain::ids::{AdminId, InboundId, ServiceId};
use crate::domain::rights::Extent;
use crate::domain::scope::{Action, Resource};
use crate::domain::service::Service;
use crate::domain::user::document::UserDocument;
use crate::store::hosts::inbounds;
use crate::store::hosts::services::{FIRST_USERS, Scope, count_users};
use crate::store::users::list::UserFilter;
use response::ServiceResponse;

/// The operations of this file.
#[derive(OpenApi)]
#[openapi(paths(list, create, read, modify, remove, users_of, inbounds_of))]
pub(in crate::api) struct Doc;

pub(in crate::api) fn routes(routes: Routes) -> Routes {
    routes
        .at("/api/services", get(list).post(create))
        .at("/api/services/:id", get(read).put(modify).delete(remove))
        .at("/api/services/:id/users", get(users_of))
        .at("/api/services/:id/inbounds", get(inbounds_of))
}

/// A new service.
#[derive(Debug, Deserr, ToSchema)]
#[deserr(error = FieldErrors)]
pub struct ServiceCreate {
    /// Ignored.
    #[deserr(default)]
    #[schema(value_type = Option<i64>)]
    pub id: Ignored<Option<LooseInt>>,
    #[deserr(default)]
    name: Option<String>,
    #[deserr(default)]
    #[schema(value_type = Vec<i64>, default = json!([]))]
    inbound_ids: Vec<LooseInt>,
}

/// Changes of a service. A field that is null or missing is not changed.
#[derive(Debug, Deserr, ToSchema)]
#[deserr(error = FieldErrors)]
pub struct ServiceModify {
    /// Ignored.
    #[deserr(default)]
    #[schema(value_type = Option<i64>)]
    pub id: Ignored<Option<LooseInt>>,
    #[deserr(default)]
    name: Option<String>,
    #[deserr(default)]
    #[schema(value_type = Option<Vec<i64>>)]
    inbound_ids: Option<Vec<LooseInt>>,
}

/// The path of a service.
#[derive(Debug, Deserr, IntoParams)]
#[deserr(error = FieldErrors)]
#[into_params(parameter_in = Path)]
pub struct ServicePath {
    /// Id of the service.
    #[param(value_type = i64)]
    pub id: LooseInt,
}

/// Filters of a list of services.
#[derive(Debug, Deserr, IntoParams)]
#[deserr(error = FieldErrors)]
#[into_params(parameter_in = Query)]
pub struct ServiceFilter {
    /// Filter by a part of the name, case-insensitive. `%` and `_` are wildcards.
    #[deserr(default)]
    #[param(required = false)]
    name: String,
    /// Return the number of users as `user_count`. `user_ids` is empty then.
    #[deserr(default)]
    #[param(value_type = Option<bool>)]
    count_users: LooseBool,
}

/// Lists services.
///
/// Admins with the right to all, or with `all_services_access`, see all services, others those they may assign. `user_ids` has
/// only users that the admin may read.
#[utoipa::path(get, path = "/api/services", tag = "Service", params(ServiceFilter, Paging),
    responses((status = 200, body = Page<ServiceResponse>)))]
#[handler]
async fn list(
    state: &State,
    CurrentAdmin(by): CurrentAdmin,
    Inputs(Query(filter), paging): Inputs<Query<ServiceFilter>, Paging>,
) -> Result<Response, ApiError> {
    let owner = only_users_of(&by);
    let (scope, name, db) = (visible_to(&by), &filter.name, &state.panel.db);
    if filter.count_users.0 {
        let (services, total) =
            services::list(&state.panel, scope, owner, name, 0, paging.limit(), paging.offset()).await?;
        let counts = count_users(db, &services, owner).await?;
        let items = services.into_iter().map(|service| ServiceResponse::counted(service, &counts)).collect();
        return Ok(Json(paging.page(items, total)).into_response());
    }
    let (services, total) = page_of(state, scope, owner, name, &paging).await?;
    response::page(&state.panel.db, owner, services, &paging.page(Vec::new(), total)).await
}

/// Creates a service.
///
/// Unknown inbounds are ignored. Returns the new service.
#[utoipa::path(post, path = "/api/services", tag = "Service", request_body = ServiceCreate,
    responses((status = 200, body = ServiceResponse)))]
#[handler]
async fn create(
    state: &State,
    By(panel): By,
    CurrentAdmin(by): CurrentAdmin,
    Json(new): Json<ServiceCreate>,
) -> Result<Response, ApiError> {
    let new = NewService { name: new.name, inbound_ids: inbound_ids(new.inbound_ids) };
    response::one(&state.panel.db, only_users_of(&by), services::create(&panel, new).await?).await
}

/// Returns a service.
///
/// For admins who may assign it or read all. `user_ids` has only users that the admin may read.
#[utoipa::path(get, path = "/api/services/{id}", tag = "Service", params(ServicePath),
    responses((status = 200, body = ServiceResponse), (status = 404, description = "No such service")))]
#[handler]
async fn read(
    state: &State,
    CurrentAdmin(by): CurrentAdmin,
    Path(path): Path<ServicePath>,
) -> Result<Response, ApiError> {
    if !by.service_ids.contains(&path.id()) && visible_to(&by) != Scope::All {
        return Err(ApiError::forbidden());
    }
    let owner = only_users_of(&by);
    response::one(&state.panel.db, owner, services::by_id(&state.panel, path.id(), owner).await?).await
}

/// Changes a service.
///
/// Nodes receive the change for all active users of the service. Returns the changed service.
#[utoipa::path(put, path = "/api/services/{id}", tag = "Service", params(ServicePath), request_body = ServiceModify,
    responses((status = 200, body = ServiceResponse), (status = 404, description = "No such service")))]
#[handler]
async fn modify(
    state: &State,
    By(panel): By,
    CurrentAdmin(by): CurrentAdmin,
    Inputs(Path(path), Json(change)): Inputs<Path<ServicePath>, Json<ServiceModify>>,
) -> Result<Response, ApiError> {
    let change = ServiceChange { name: change.name, inbound_ids: change.inbound_ids.map(inbound_ids) };
    response::one(&state.panel.db, only_users_of(&by), services::update(&panel, path.id(), change).await?).await
}

/// Deletes a service.
///
/// Its users remain, with their other services.
#[utoipa::path(delete, path = "/api/services/{id}", tag = "Service", params(ServicePath),
    responses((status = 200, body = Empty), (status = 404, description = "No such service")))]
#[handler]
async fn remove(By(panel): By, _: CurrentAdmin, Path(path): Path<ServicePath>) -> Result<Json<Empty>, ApiError> {
    services::delete(&panel, path.id()).await?;
    Ok(Json(Empty {}))
}

/// Lists the users of a service.
#[utoipa::path(get, path = "/api/services/{id}/users", tag = "Service", params(ServicePath, Paging),
    responses((status = 200, body = Page<UserDocument>), (status = 404, description = "No such service")))]
#[handler]
async fn users_of(
    state: &State,
    _: CurrentAdmin,
    Inputs(Path(path), paging): Inputs<Path<ServicePath>, Paging>,
) -> Result<Json<Page<UserDocument>>, ApiError> {
    let id = services::by_id(&state.panel, path.id(), None).await?.id;
    let filter = UserFilter { service: Some(id), ..UserFilter::default() };
    let (items, total) = state.page_of_users(&filter, &paging).await?;
    Ok(Json(paging.page(items, total)))
}

/// Lists the inbounds of a service.
#[utoipa::path(get, path = "/api/services/{id}/inbounds", tag = "Service", params(ServicePath, Paging),
    responses((status = 200, body = Page<InboundResponse>), (status = 404, description = "No such service")))]
#[handler]
async fn inbounds_of(
    state: &State,
    _: CurrentAdmin,
    Inputs(Path(path), paging): Inputs<Path<ServicePath>, Paging>,
) -> Result<Json<Page<InboundResponse>>, ApiError> {
    let id = services::by_id(&state.panel, path.id(), None).await?.id;
    let views = inbounds::page_of_service(&state.panel.db, id, paging.limit(), paging.offset()).await?;
    let total = inbounds::count_of_service(&state.panel.db, id).await?;
    Ok(Json(paging.page(views.into_iter().map(InboundResponse::from).collect(), total)))
}

/// Returns the services of a page and the total number of matches.
pub(in crate::api) async fn page_of(
    state: &State,
    scope: Scope,
    owner: Option<AdminId>,
    name: &str,
    paging: &Paging,
) -> Result<(Vec<Service>, i64), ApiError> {
    Ok(services::list(&state.panel, scope, owner, name, FIRST_USERS, paging.limit(), paging.offset()).await?)
}

/// The owner of the users that an admin may see in a service; none: all users.
pub(in crate::api) fn only_users_of(admin: &Admin) -> Option<AdminId> {
    admin.only_own(Resource::Users, Action::Read)
}

/// The services that an admin may see.
fn visible_to(admin: &Admin) -> Scope {
    if admin.may(Resource::Services, Action::Read, Extent::All) { Scope::All } else { assignable_by(admin) }
}

/// The services that an admin may assign to users.
pub(in crate::api) const fn assignable_by(admin: &Admin) -> Scope {
    if admin.may_give_all_services() { Scope::All } else { Scope::OfAdmin(admin.id) }
}

fn inbound_ids(ids: Vec<LooseInt>) -> Vec<InboundId> {
    ids.into_iter().map(|id| InboundId(id.0)).collect()
}

impl ServicePath {
    /// Id of the service.
    pub const fn id(&self) -> ServiceId {
        ServiceId(self.id.0)
    }
}

impl Params for ServiceFilter {}

impl From<ServiceError> for ApiError {
    fn from(error: ServiceError) -> Self {
        match error {
            ServiceError::NotFound => Self::not_found("The service"),
            ServiceError::Store(error) => error.into(),
        }
    }
}
