//! `/api/inbounds`: inbounds, as the nodes report them. Only those that a node no longer reports can be deleted.

use deserr::Deserr;
use poem::handler;
use serde::Serialize;
use utoipa::{IntoParams, OpenApi, ToSchema};

use super::http::auth::CurrentAdmin;
use super::http::body::{Empty, Json};
use super::http::by::By;
use super::http::enum_text::text_schema;
use super::http::error::ApiError;
use super::http::field_errors::FieldErrors;
use super::http::input::Inputs;
use super::http::loose::LooseInt;
use super::http::paging::{Page, Paging};
use super::http::query::{Params, Path, Query};
use super::http::routes::{Methods, Routes, delete, get};
use super::state::State;
use crate::actions;
use crate::actions::inbounds::InboundError;
use crate::domain::ids::{InboundId, NodeId};
use crate::domain::moment::Moment;
use crate::domain::node::ConnectionBackend;
use crate::store::hosts::inbounds;
use crate::store::hosts::inbounds::{InboundNode, InboundView};

/// The operations of this file.
#[derive(OpenApi)]
#[openapi(paths(list, read, remove, remove_absent))]
pub(super) struct Doc;

pub(super) fn routes(routes: Routes) -> Routes {
    routes.at("/api/inbounds", get(list)).at("/api/inbounds/:id", one()).at_literal_or_param(
        "/api/inbounds/:id",
        "absent",
        delete(remove_absent),
        one(),
    )
}

/// The operations on one inbound.
fn one() -> Methods {
    get(read).delete(remove)
}

/// An inbound with its node.
#[derive(Debug, Serialize, ToSchema)]
pub struct InboundResponse {
    id: i64,
    tag: String,
    protocol: String,
    /// Configuration of the inbound as the node sent it, JSON text.
    config: String,
    node: InboundNodeResponse,
    service_ids: Vec<i64>,
    /// Since when the node has not reported the inbound, UTC. Null if the node reports it. An absent inbound keeps its
    /// hosts and services, but has no users and is in no subscription; it comes back when the node reports its tag.
    absent_since: Option<String>,
    /// Number of its hosts, disabled ones included.
    host_count: i64,
}

/// The node of an inbound.
#[derive(Debug, Serialize, ToSchema)]
pub struct InboundNodeResponse {
    id: i64,
    name: String,
    address: String,
    port: i64,
    #[schema(schema_with = text_schema::<ConnectionBackend>)]
    connection_backend: &'static str,
    #[schema(minimum = 0)]
    usage_coefficient: f64,
}

/// The path of an inbound.
#[derive(Debug, Deserr, IntoParams)]
#[deserr(error = FieldErrors)]
#[into_params(parameter_in = Path)]
pub struct InboundPath {
    /// Id of the inbound.
    #[param(value_type = i64)]
    pub id: LooseInt,
}

/// Filters of a list of inbounds.
#[derive(Debug, Deserr, IntoParams)]
#[deserr(error = FieldErrors)]
#[into_params(parameter_in = Query)]
pub struct InboundQuery {
    /// Filter by a part of the tag, case-insensitive. `%` and `_` are wildcards.
    #[deserr(default)]
    #[param(required = false)]
    tag: String,
}

/// The node whose absent inbounds are deleted.
#[derive(Debug, Deserr, IntoParams)]
#[deserr(error = FieldErrors)]
#[into_params(parameter_in = Query)]
pub struct AbsentQuery {
    /// Id of the node.
    #[param(value_type = i64)]
    node_id: LooseInt,
}

/// Lists inbounds.
#[utoipa::path(get, path = "/api/inbounds", tag = "Inbound", params(InboundQuery, Paging),
    responses((status = 200, body = Page<InboundResponse>)))]
#[handler]
async fn list(
    state: &State,
    _: CurrentAdmin,
    Inputs(Query(query), paging): Inputs<Query<InboundQuery>, Paging>,
) -> Result<Json<Page<InboundResponse>>, ApiError> {
    let db = &state.panel.db;
    let views = inbounds::page(db, &query.tag, paging.limit(), paging.offset()).await?;
    let total = inbounds::count(db, &query.tag).await?;
    Ok(Json(paging.page(views.into_iter().map(InboundResponse::from).collect(), total)))
}

/// Returns an inbound.
#[utoipa::path(get, path = "/api/inbounds/{id}", tag = "Inbound", params(InboundPath),
    responses((status = 200, body = InboundResponse), (status = 404, description = "No such inbound")))]
#[handler]
async fn read(
    state: &State,
    _: CurrentAdmin,
    Path(path): Path<InboundPath>,
) -> Result<Json<InboundResponse>, ApiError> {
    let view = inbounds::by_id(&state.panel.db, path.id()).await?;
    Ok(Json(view.ok_or_else(not_found)?.into()))
}

/// Deletes an inbound that its node no longer reports, with its hosts.
///
/// The inbound is also removed from services.
#[utoipa::path(delete, path = "/api/inbounds/{id}", tag = "Inbound", params(InboundPath),
    responses((status = 200, body = Empty), (status = 404, description = "No such inbound"),
              (status = 409, description = "The node reports the inbound")))]
#[handler]
async fn remove(By(panel): By, _: CurrentAdmin, Path(path): Path<InboundPath>) -> Result<Json<Empty>, ApiError> {
    actions::inbounds::remove(&panel, path.id()).await?;
    Ok(Json(Empty {}))
}

/// Deletes all inbounds that a node no longer reports, with their hosts.
///
/// The inbounds are also removed from services.
#[utoipa::path(delete, path = "/api/inbounds/absent", tag = "Inbound", params(AbsentQuery),
    responses((status = 200, body = Empty), (status = 404, description = "No such node")))]
#[handler]
async fn remove_absent(
    By(panel): By,
    _: CurrentAdmin,
    Query(query): Query<AbsentQuery>,
) -> Result<Json<Empty>, ApiError> {
    actions::inbounds::remove_absent(&panel, NodeId(query.node_id.0)).await?;
    Ok(Json(Empty {}))
}

/// 404: the inbound does not exist.
pub(super) fn not_found() -> ApiError {
    ApiError::not_found("The inbound")
}

impl InboundPath {
    /// Id of the inbound.
    pub const fn id(&self) -> InboundId {
        InboundId(self.id.0)
    }
}

impl Params for InboundQuery {}

impl Params for AbsentQuery {}

impl From<InboundError> for ApiError {
    fn from(error: InboundError) -> Self {
        match error {
            InboundError::NotFound => not_found(),
            InboundError::NodeNotFound => Self::not_found("The node"),
            InboundError::Reported => Self::conflict(
                "The node reports this inbound: remove it from the engine's configuration, and delete it when it is absent",
            ),
            InboundError::Store(error) => error.into(),
        }
    }
}

impl From<InboundView> for InboundResponse {
    fn from(view: InboundView) -> Self {
        Self {
            id: view.inbound.id.0,
            tag: view.inbound.tag,
            protocol: view.inbound.protocol,
            config: view.inbound.config,
            node: view.node.into(),
            service_ids: view.service_ids.iter().map(|id| id.0).collect(),
            absent_since: view.absent_since.map(Moment::utc_iso),
            host_count: view.host_count,
        }
    }
}

impl From<InboundNode> for InboundNodeResponse {
    fn from(node: InboundNode) -> Self {
        Self {
            id: node.id.0,
            name: node.name,
            address: node.address,
            port: node.port,
            connection_backend: node.connection_backend.word(),
            usage_coefficient: node.usage_coefficient,
        }
    }
}
