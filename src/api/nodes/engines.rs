//! `/api/nodes/{node_id}/{backend}/…`: what a node answers when it is asked about one of its engines.

use deserr::Deserr;
use poem::handler;
use serde::Serialize;
use utoipa::{IntoParams, OpenApi, ToSchema};

use crate::actions::engines::{self, EngineError};
use crate::api::http::auth::Sudo;
use crate::api::http::body::{Empty, Json};
use crate::api::http::error::ApiError;
use crate::api::http::field_errors::FieldErrors;
use crate::api::http::input::Both;
use crate::api::http::loose::{Int, IntIn};
use crate::api::http::query::Path;
use crate::api::http::routes::{Routes, get};
use crate::api::state::State;
use crate::domain::engine_config::{ConfigFormat, EngineConfig};
use crate::domain::ids::NodeId;
use crate::nodes::one_off::VisitError;

/// The operations of this file.
#[derive(OpenApi)]
#[openapi(paths(stats, read_config, reconfigure))]
pub(in crate::api) struct Doc;

pub(in crate::api) fn routes(routes: Routes) -> Routes {
    routes
        .at("/api/nodes/:node_id/:backend/stats", get(stats))
        .at("/api/nodes/:node_id/:backend/config", get(read_config).put(reconfigure))
}

/// An engine in a path.
#[derive(Debug, Deserr, IntoParams)]
#[deserr(error = FieldErrors)]
#[into_params(parameter_in = Path)]
pub struct EnginePath {
    /// The node's id.
    #[param(value_type = i64)]
    pub node_id: Int,
    /// The engine's name on its node.
    pub backend: String,
}

/// How an engine is.
#[derive(Debug, Serialize, ToSchema)]
pub struct BackendStats {
    running: bool,
}

/// An engine's configuration.
#[derive(Debug, Serialize, ToSchema)]
pub struct BackendConfigResponse {
    config: String,
    /// 0: plain text, 1: JSON, 2: YAML.
    format: i32,
}

/// Another configuration for an engine.
#[derive(Debug, Deserr, ToSchema)]
#[deserr(error = FieldErrors)]
pub struct BackendConfig {
    /// JSON may have comments and commas after last elements.
    config: String,
    /// 0: plain text, 1: JSON, 2: YAML.
    #[schema(value_type = i64, minimum = 0, maximum = 2)]
    format: IntIn<0, 2>,
}

/// Asks a node whether an engine runs.
#[utoipa::path(get, path = "/api/nodes/{node_id}/{backend}/stats", tag = "Node", params(EnginePath),
    responses((status = 200, body = BackendStats), (status = 404, description = "No such node, or it is disabled"),
              (status = 502, description = "The node does not answer")))]
#[handler]
async fn stats(state: &State, _: Sudo, Path(at): Path<EnginePath>) -> Result<Json<BackendStats>, ApiError> {
    let running = engines::is_running(&state.panel, at.node(), at.backend).await?;
    Ok(Json(BackendStats { running }))
}

/// Asks a node for an engine's configuration.
#[utoipa::path(get, path = "/api/nodes/{node_id}/{backend}/config", tag = "Node", params(EnginePath),
    responses((status = 200, body = BackendConfigResponse), (status = 404, description = "No such node, or it is disabled"),
              (status = 502, description = "The node does not answer")))]
#[handler]
async fn read_config(
    state: &State,
    _: Sudo,
    Path(at): Path<EnginePath>,
) -> Result<Json<BackendConfigResponse>, ApiError> {
    let (config, format) = engines::config(&state.panel, at.node(), at.backend).await?;
    Ok(Json(BackendConfigResponse { config, format }))
}

/// Restarts an engine with another configuration, then syncs its node anew.
#[utoipa::path(put, path = "/api/nodes/{node_id}/{backend}/config", tag = "Node", params(EnginePath),
    request_body = BackendConfig,
    responses((status = 200, body = Empty), (status = 404, description = "No such node, or it is disabled"),
              (status = 409, description = "Another admin is changing a configuration of this node"),
              (status = 502, description = "The node does not answer")))]
#[handler]
async fn reconfigure(
    state: &State,
    _: Sudo,
    Both(Path(at), Json(new)): Both<Path<EnginePath>, Json<BackendConfig>>,
) -> Result<Json<Empty>, ApiError> {
    let IntIn(format) = new.format;
    let format = ConfigFormat::from_number(format).unwrap_or(ConfigFormat::Plain);
    let new = EngineConfig { text: new.config, format };
    new.check().map_err(|fault| FieldErrors::one("config", fault))?;
    engines::reconfigure(&state.panel, at.node(), at.backend, new).await?;
    Ok(Json(Empty {}))
}

impl EnginePath {
    pub(in crate::api) const fn node(&self) -> NodeId {
        NodeId(self.node_id.0)
    }
}

impl From<EngineError> for ApiError {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Visit(VisitError::Unknown) => Self::not_found("The node"),
            EngineError::Visit(VisitError::Store(error)) => error.into(),
            EngineError::Visit(VisitError::Link(error)) => {
                Self::bad_gateway(format!("The node does not answer: {error}"))
            }
            EngineError::StillRestarting => Self::bad_gateway(format!("The node does not answer: {error}")),
            EngineError::Busy => {
                Self::conflict("Another admin is changing a configuration of this node; try again in a moment")
            }
            EngineError::Visit(VisitError::Certificate(_)) | EngineError::Broken(_) => Self::internal(error),
        }
    }
}
