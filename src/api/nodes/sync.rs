//! `/api/nodes/{node_id}/sync`: how far a node is in step with the panel's users.

use poem::handler;
use serde::Serialize;
use utoipa::{OpenApi, ToSchema};

use super::{NodePath, not_found};
use crate::api::http::auth::CurrentAdmin;
use crate::api::http::body::Json;
use crate::api::http::error::ApiError;
use crate::api::http::query::Path;
use crate::api::http::routes::{Routes, get};
use crate::api::state::State;
use crate::domain::moment::Moment;
use crate::store::nodes::sync_progress::{self, SyncProgress};

/// The operations of this file.
#[derive(OpenApi)]
#[openapi(paths(read_sync))]
pub(in crate::api) struct Doc;

pub(in crate::api) fn routes(routes: Routes) -> Routes {
    routes.at("/api/nodes/:node_id/sync", get(read_sync))
}

/// How far a node is in step with the panel's users.
#[derive(Debug, Serialize, ToSchema)]
pub struct NodeSyncResponse {
    /// True if the panel is connected and the node has confirmed everything that is in the database.
    in_step: bool,
    /// True if the panel is connected and the node has got its full list of users over this connection.
    connected: bool,
    /// When the node last confirmed a full list of users. UTC, ISO 8601; null: never.
    synced_at: Option<String>,
    /// Number of users with a change that the connected nodes have not all confirmed, at most 1000. The panel does not
    /// record which of the nodes has not.
    waiting_users: i64,
    /// Time of the oldest of these changes; null if there is none.
    waiting_since: Option<String>,
    /// SHA-256 of the certificate that the node must present, in hex; null: the next certificate seen is pinned.
    certificate_fingerprint: Option<String>,
}

/// Returns how far a node is in step with the panel's users.
#[utoipa::path(get, path = "/api/nodes/{node_id}/sync", tag = "Node", params(NodePath),
    responses((status = 200, body = NodeSyncResponse), (status = 404, description = "No such node")))]
#[handler]
async fn read_sync(
    state: &State,
    _: CurrentAdmin,
    Path(path): Path<NodePath>,
) -> Result<Json<NodeSyncResponse>, ApiError> {
    let progress = sync_progress::of_node(&state.panel.db, path.id()).await?;
    Ok(Json(progress.ok_or_else(not_found)?.into()))
}

impl From<SyncProgress> for NodeSyncResponse {
    fn from(progress: SyncProgress) -> Self {
        let iso = |micros: i64| Moment::from_micros(micros).utc_iso();
        Self {
            in_step: progress.in_step(),
            connected: progress.connected,
            synced_at: progress.synced_at.map(iso),
            waiting_users: progress.waiting_users,
            waiting_since: progress.waiting_since.map(iso),
            certificate_fingerprint: progress.certificate_pin,
        }
    }
}
