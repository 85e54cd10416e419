//! `/api/nodes`: nodes. Their engines and logs, which the node itself is asked for, have files of their own.

pub mod body;
pub mod engine_logs;
pub mod engines;
mod errors;
pub mod statistics;
pub mod sync;

use deserr::Deserr;
use poem::handler;
use serde::Serialize;
use utoipa::{IntoParams, OpenApi, ToSchema};

use self::body::{NodeCreate, NodeModify};
use super::state::State;
use crate::actions::nodes;
use crate::api::http::auth::CurrentAdmin;
use crate::api::http::body::{Empty, Json};
use crate::api::http::by::By;
use crate::api::http::enum_text::{EnumText, text_list_param, text_schema};
use crate::api::http::error::ApiError;
use crate::api::http::field_errors::FieldErrors;
use crate::api::http::input::Inputs;
use crate::api::http::loose::LooseInt;
use crate::api::http::paging::{Page, Paging};
use crate::api::http::query::{Params, Path, Query};
use crate::api::http::routes::{Methods, Routes, get, post};
use crate::domain::ids::NodeId;
use crate::domain::moment::Moment;
use crate::domain::node::{Backend, ConnectionBackend, Node, NodeStatus};
use crate::store;
use crate::store::nodes::NodeFilter;

/// The operations of this file.
#[derive(OpenApi)]
#[openapi(paths(list, create, settings, read, modify, remove, resync, repin))]
pub(in crate::api) struct Doc;

pub(in crate::api) fn routes(routes: Routes) -> Routes {
    routes
        .at("/api/nodes", get(list).post(create))
        .at("/api/nodes/:node_id", one())
        .at_literal_or_param("/api/nodes/:node_id", "settings", get(settings), one())
        .at("/api/nodes/:node_id/resync", post(resync))
        .at("/api/nodes/:node_id/repin", post(repin))
}

/// The operations on one node.
fn one() -> Methods {
    get(read).put(modify).delete(remove)
}

/// A node.
#[derive(Debug, Serialize, ToSchema)]
pub struct NodeResponse {
    id: i64,
    name: String,
    address: String,
    port: i64,
    #[schema(schema_with = text_schema::<ConnectionBackend>)]
    connection_backend: &'static str,
    #[schema(minimum = 0)]
    usage_coefficient: f64,
    xray_version: Option<String>,
    #[schema(schema_with = text_schema::<NodeStatus>)]
    status: &'static str,
    /// Reason for the status.
    message: Option<String>,
    inbound_ids: Vec<i64>,
    backends: Vec<BackendResponse>,
    /// When the panel last restarted the node's engines because the node kept refusing its users. Missing: never.
    #[serde(skip_serializing_if = "Option::is_none")]
    healed_at: Option<String>,
}

/// An engine of a node.
#[derive(Debug, Serialize, ToSchema)]
pub struct BackendResponse {
    name: String,
    backend_type: String,
    version: Option<String>,
    running: bool,
}

/// Settings a node needs to accept this panel.
#[derive(Debug, Serialize, ToSchema)]
pub struct NodeSettings {
    /// Oldest node version that supports the protocol.
    min_node_version: &'static str,
    /// The panel's client certificate in PEM format, which the node must trust.
    certificate: String,
}

/// The path of a node.
#[derive(Debug, Deserr, IntoParams)]
#[deserr(error = FieldErrors)]
#[into_params(parameter_in = Path)]
pub struct NodePath {
    /// Id of the node.
    #[param(value_type = i64)]
    pub node_id: LooseInt,
}

/// Filters of a list of nodes.
#[derive(Debug, Deserr, IntoParams)]
#[deserr(error = FieldErrors)]
#[into_params(parameter_in = Query)]
pub struct NodeQuery {
    /// Filter by a part of the name, case-insensitive. `%` and `_` are wildcards.
    #[deserr(default)]
    #[param(required = false)]
    name: String,
    #[deserr(default)]
    #[param(schema_with = statuses)]
    status: Vec<EnumText<NodeStatus>>,
}

/// Lists nodes.
#[utoipa::path(get, path = "/api/nodes", tag = "Node", params(NodeQuery, Paging),
    responses((status = 200, body = Page<NodeResponse>)))]
#[handler]
async fn list(
    state: &State,
    _: CurrentAdmin,
    Inputs(Query(query), paging): Inputs<Query<NodeQuery>, Paging>,
) -> Result<Json<Page<NodeResponse>>, ApiError> {
    let statuses = query.status.iter().map(|status| status.0).collect();
    let filter = NodeFilter { name: query.name, statuses };
    let nodes = store::nodes::page(&state.panel.db, &filter, paging.limit(), paging.offset()).await?;
    let total = store::nodes::count(&state.panel.db, &filter).await?;
    Ok(Json(paging.page(nodes.into_iter().map(NodeResponse::from).collect(), total)))
}

/// Creates a node.
///
/// The panel connects to the node in the background. Returns the new node.
#[utoipa::path(post, path = "/api/nodes", tag = "Node", request_body = NodeCreate,
    responses((status = 200, body = NodeResponse), (status = 409, description = "Another node has this name, or this address and port")))]
#[handler]
async fn create(By(panel): By, _: CurrentAdmin, Json(new): Json<NodeCreate>) -> Result<Json<NodeResponse>, ApiError> {
    Ok(Json(nodes::create(&panel, new.into()).await?.into()))
}

/// Returns the settings a node needs to accept this panel.
#[utoipa::path(get, path = "/api/nodes/settings", tag = "Node", responses((status = 200, body = NodeSettings)))]
#[handler]
async fn settings(state: &State, _: CurrentAdmin) -> Result<Json<NodeSettings>, ApiError> {
    let certificate = nodes::panel_certificate(&state.panel).await?;
    Ok(Json(NodeSettings { min_node_version: "v0.2.0", certificate }))
}

/// Returns a node.
#[utoipa::path(get, path = "/api/nodes/{node_id}", tag = "Node", params(NodePath),
    responses((status = 200, body = NodeResponse), (status = 404, description = "No such node")))]
#[handler]
async fn read(state: &State, _: CurrentAdmin, Path(path): Path<NodePath>) -> Result<Json<NodeResponse>, ApiError> {
    let node = store::nodes::by_id(&state.panel.db, path.id()).await?;
    Ok(Json(node.ok_or_else(not_found)?.into()))
}

/// Changes a node.
///
/// The panel reconnects to the node, or disconnects if the new status is `disabled`. Returns the changed
/// node.
#[utoipa::path(put, path = "/api/nodes/{node_id}", tag = "Node", params(NodePath), request_body = NodeModify,
    responses((status = 200, body = NodeResponse), (status = 404, description = "No such node"),
              (status = 409, description = "Another node has this name, or this address and port")))]
#[handler]
async fn modify(
    By(panel): By,
    _: CurrentAdmin,
    Inputs(Path(path), Json(change)): Inputs<Path<NodePath>, Json<NodeModify>>,
) -> Result<Json<NodeResponse>, ApiError> {
    Ok(Json(nodes::edit(&panel, path.id(), &change.into()).await?.into()))
}

/// Deletes a node, its inbounds and their hosts.
#[utoipa::path(delete, path = "/api/nodes/{node_id}", tag = "Node", params(NodePath),
    responses((status = 200, body = Empty), (status = 404, description = "No such node")))]
#[handler]
async fn remove(By(panel): By, _: CurrentAdmin, Path(path): Path<NodePath>) -> Result<Json<Empty>, ApiError> {
    nodes::remove(&panel, path.id()).await?;
    Ok(Json(Empty {}))
}

/// Starts a full user sync for a node.
///
/// Returns before the sync is done.
#[utoipa::path(post, path = "/api/nodes/{node_id}/resync", tag = "Node", params(NodePath),
    responses((status = 200, body = Empty), (status = 404, description = "No such node")))]
#[handler]
async fn resync(By(panel): By, _: CurrentAdmin, Path(path): Path<NodePath>) -> Result<Json<Empty>, ApiError> {
    nodes::resync(&panel, path.id()).await?;
    Ok(Json(Empty {}))
}

/// Replaces the pinned certificate of a node.
///
/// The panel reconnects and trusts the certificate that the node presents next.
#[utoipa::path(post, path = "/api/nodes/{node_id}/repin", tag = "Node", params(NodePath),
    responses((status = 200, body = Empty), (status = 404, description = "No such node")))]
#[handler]
async fn repin(By(panel): By, _: CurrentAdmin, Path(path): Path<NodePath>) -> Result<Json<Empty>, ApiError> {
    nodes::repin(&panel, path.id()).await?;
    Ok(Json(Empty {}))
}

fn statuses() -> utoipa::openapi::Array {
    text_list_param::<NodeStatus>("Filter by status.")
}

fn not_found() -> ApiError {
    ApiError::not_found("The node")
}

impl NodePath {
    /// Id of the node.
    pub const fn id(&self) -> NodeId {
        NodeId(self.node_id.0)
    }
}

impl Params for NodeQuery {
    const REPEATABLE: &'static [&'static str] = &["status"];
}

impl From<Node> for NodeResponse {
    fn from(node: Node) -> Self {
        Self {
            id: node.id.0,
            name: node.name,
            address: node.address,
            port: node.port,
            connection_backend: node.connection_backend.word(),
            usage_coefficient: node.usage_coefficient,
            xray_version: node.xray_version,
            status: node.status.word(),
            message: node.message,
            inbound_ids: node.inbound_ids.iter().map(|id| id.0).collect(),
            backends: node.backends.into_iter().map(BackendResponse::from).collect(),
            healed_at: node.healed_at.map(Moment::utc_iso),
        }
    }
}

impl From<Backend> for BackendResponse {
    fn from(backend: Backend) -> Self {
        let Backend { name, backend_type, version, running } = backend;
        Self { name, backend_type, version, running }
    }
}
