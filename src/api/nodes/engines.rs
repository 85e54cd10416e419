//! `/api/nodes/{node_id}/{backend}/…`: status and configuration of a node's engines, read from the node.

use deserr::Deserr;
use poem::handler;
use serde::Serialize;
use utoipa::{IntoParams, OpenApi, ToSchema};

use crate::actions::engines::{self, EngineError, Former};
use crate::api::http::auth::CurrentAdmin;
use crate::api::http::body::{Empty, Json};
use crate::api::http::by::By;
use crate::api::http::error::ApiError;
use crate::api::http::field_errors::FieldErrors;
use crate::api::http::input::Inputs;
use crate::api::http::loose::{LooseInt, LooseIntIn};
use crate::api::http::query::Path;
use crate::api::http::receive;
use crate::api::http::routes::{Routes, get, post};
use crate::api::state::State;
use crate::domain::engine_config::{ConfigFormat, EngineConfig};
use crate::domain::ids::NodeId;
use crate::nodes::one_off::ConnectError;
use crate::store::nodes::engine_configs::StoredConfig;

/// The operations of this file.
#[derive(OpenApi)]
#[openapi(paths(stats, read_config, reconfigure, last_good, restore, restart))]
pub(in crate::api) struct Doc;

pub(in crate::api) fn routes(routes: Routes) -> Routes {
    let config = get(read_config).put(reconfigure).without_permit().with_body_limit(receive::LARGE);
    routes
        .at("/api/nodes/:node_id/:backend/stats", get(stats).without_permit())
        .at("/api/nodes/:node_id/:backend/config", config)
        .at("/api/nodes/:node_id/:backend/config/last-good", get(last_good))
        .at("/api/nodes/:node_id/:backend/config/restore", post(restore).without_permit())
        .at("/api/nodes/:node_id/:backend/restart", post(restart).without_permit())
}

/// The path of an engine.
#[derive(Debug, Deserr, IntoParams)]
#[deserr(error = FieldErrors)]
#[into_params(parameter_in = Path)]
pub struct EnginePath {
    /// Id of the node.
    #[param(value_type = i64)]
    pub node_id: LooseInt,
    /// Name of the engine on the node.
    pub backend: String,
}

/// Status of an engine.
#[derive(Debug, Serialize, ToSchema)]
pub struct BackendStats {
    running: bool,
}

/// Configuration of an engine.
#[derive(Debug, Serialize, ToSchema)]
pub struct BackendConfigResponse {
    config: String,
    /// 0: plain text, 1: JSON, 2: YAML.
    format: i32,
}

/// Configuration with which an engine ran.
#[derive(Debug, Serialize, ToSchema)]
pub struct StoredConfigResponse {
    config: String,
    /// 0: plain text, 1: JSON, 2: YAML.
    format: i32,
    /// Time when the engine ran with it.
    stored_at: String,
}

/// New configuration of an engine.
#[derive(Debug, Deserr, ToSchema)]
#[deserr(error = FieldErrors)]
pub struct BackendConfig {
    /// Text of the configuration. JSON may contain comments and trailing commas.
    config: String,
    /// 0: plain text, 1: JSON, 2: YAML.
    #[schema(value_type = i64, minimum = 0, maximum = 2)]
    format: LooseIntIn<0, 2>,
}

/// Returns the status of an engine.
///
/// The panel asks the node.
#[utoipa::path(get, path = "/api/nodes/{node_id}/{backend}/stats", tag = "Node", params(EnginePath),
    responses((status = 200, body = BackendStats), (status = 404, description = "No such node, or the node is disabled"),
              (status = 502, description = "The node does not answer")))]
#[handler]
async fn stats(state: &State, _: CurrentAdmin, Path(path): Path<EnginePath>) -> Result<Json<BackendStats>, ApiError> {
    let running = engines::is_running(&state.panel, path.node(), path.backend).await?;
    Ok(Json(BackendStats { running }))
}

/// Returns the configuration of an engine.
///
/// The panel asks the node.
#[utoipa::path(get, path = "/api/nodes/{node_id}/{backend}/config", tag = "Node", params(EnginePath),
    responses((status = 200, body = BackendConfigResponse), (status = 404, description = "No such node, or the node is disabled"),
              (status = 502, description = "The node does not answer")))]
#[handler]
async fn read_config(
    state: &State,
    _: CurrentAdmin,
    Path(path): Path<EnginePath>,
) -> Result<Json<BackendConfigResponse>, ApiError> {
    let (config, format) = engines::config(&state.panel, path.node(), path.backend).await?;
    Ok(Json(BackendConfigResponse { config, format }))
}

/// Restarts an engine with a new configuration.
///
/// The panel watches the engine for some seconds. If the engine does not run with the new configuration,
/// the panel puts the former one back and answers with 422 and the engine's own words. The node gets a full user sync
/// afterwards.
#[utoipa::path(put, path = "/api/nodes/{node_id}/{backend}/config", tag = "Node", params(EnginePath),
    request_body = BackendConfig,
    responses((status = 200, body = Empty), (status = 404, description = "No such node, or the node is disabled"),
              (status = 409, description = "Another admin is changing a configuration of this node"),
              (status = 502, description = "The node does not answer, or the former configuration could not be put back")))]
#[handler]
async fn reconfigure(
    By(panel): By,
    _: CurrentAdmin,
    Inputs(Path(path), Json(new)): Inputs<Path<EnginePath>, Json<BackendConfig, { receive::LARGE }>>,
) -> Result<Json<Empty>, ApiError> {
    let LooseIntIn(format) = new.format;
    let format = ConfigFormat::from_number(format).unwrap_or(ConfigFormat::Plain);
    let new = EngineConfig { text: new.config, format };
    new.check().map_err(|fault| FieldErrors::one("config", fault))?;
    engines::reconfigure(&panel, path.node(), path.backend, new).await?;
    Ok(Json(Empty {}))
}

/// Returns the last configuration with which an engine ran.
///
/// The panel stores it, so the node need not answer.
#[utoipa::path(get, path = "/api/nodes/{node_id}/{backend}/config/last-good", tag = "Node", params(EnginePath),
    responses((status = 200, body = StoredConfigResponse), (status = 404, description = "No configuration is stored")))]
#[handler]
async fn last_good(
    state: &State,
    _: CurrentAdmin,
    Path(path): Path<EnginePath>,
) -> Result<Json<StoredConfigResponse>, ApiError> {
    let stored = engines::last_good::read(&state.panel, path.node(), &path.backend).await?;
    let StoredConfig { config, format, stored_at } = stored.ok_or_else(|| ApiError::not_found("The configuration"))?;
    Ok(Json(StoredConfigResponse { config, format, stored_at: stored_at.utc_iso() }))
}

/// Restarts an engine with the last configuration with which it ran.
///
/// Otherwise like a new configuration.
#[utoipa::path(post, path = "/api/nodes/{node_id}/{backend}/config/restore", tag = "Node", params(EnginePath),
    responses((status = 200, body = Empty),
              (status = 404, description = "No such node, the node is disabled, or no configuration is stored"),
              (status = 409, description = "Another admin is changing a configuration of this node"),
              (status = 502, description = "The node does not answer, or the former configuration could not be put back")))]
#[handler]
async fn restore(By(panel): By, _: CurrentAdmin, Path(path): Path<EnginePath>) -> Result<Json<Empty>, ApiError> {
    engines::restore(&panel, path.node(), path.backend).await?;
    Ok(Json(Empty {}))
}

/// Restarts an engine with the configuration that it has.
///
/// Starts an engine that has stopped; the node protocol has no way to stop one. Connections of its users
/// break for a moment. Returns when the engine runs; if it does not, the answer is 422 with its own words.
#[utoipa::path(post, path = "/api/nodes/{node_id}/{backend}/restart", tag = "Node", params(EnginePath),
    responses((status = 200, body = Empty), (status = 404, description = "No such node, or the node is disabled"),
              (status = 409, description = "Another admin is changing a configuration of this node, or the engine has no configuration"),
              (status = 502, description = "The node does not answer")))]
#[handler]
async fn restart(By(panel): By, _: CurrentAdmin, Path(path): Path<EnginePath>) -> Result<Json<Empty>, ApiError> {
    engines::restart(&panel, path.node(), path.backend).await?;
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
            EngineError::Connect(ConnectError::Unknown) => Self::not_found("The node"),
            EngineError::Connect(ConnectError::Store(error)) => error.into(),
            EngineError::Connect(ConnectError::Node(error)) => {
                Self::bad_gateway(format!("The node does not answer: {error}"))
            }
            EngineError::Refused(refusal) if matches!(refusal.former, Former::Lost(_) | Former::TakenOver) => {
                Self::bad_gateway(refusal.to_string())
            }
            EngineError::Refused(refusal) => FieldErrors::one("config", refusal.to_string()).into(),
            EngineError::Invalid(fault) => FieldErrors::one("config", fault).into(),
            EngineError::NoneStored => Self::not_found("The configuration"),
            EngineError::Lost { .. } | EngineError::StillRestarting | EngineError::StillWatching => {
                Self::bad_gateway(format!("The node does not answer: {error}"))
            }
            EngineError::Overtaken | EngineError::NoConfiguration => Self::conflict(error.to_string()),
            EngineError::Busy => Self::conflict("Another admin is changing a configuration of this node, try again"),
            EngineError::Connect(ConnectError::Certificate(_)) | EngineError::Broken(_) => Self::internal(error),
        }
    }
}
