//! `/api/nodes/{node_id}/stats`: what a node did lately.

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
use crate::store::nodes::statistics;

/// The operations of this file.
#[derive(OpenApi)]
#[openapi(paths(read_stats))]
pub(in crate::api) struct Doc;

pub(in crate::api) fn routes(routes: Routes) -> Routes {
    routes.at("/api/nodes/:node_id/stats", get(read_stats))
}

/// The latest numbers of a node. Times are UTC, ISO 8601. The counts are of this panel's version and later: older ones did not count.
#[derive(Debug, Serialize, ToSchema)]
pub struct NodeStats {
    /// Number of users in the last full list that the node has confirmed; null: not counted yet.
    users: Option<i64>,
    /// Number of users with traffic in the node's last reply; null: no reply within the last hour.
    active_users: Option<i64>,
    /// Raw bytes of these users.
    active_bytes: Option<i64>,
    /// When the node gave that reply.
    usage_at: Option<String>,
    /// When the status of the node last changed; null: never.
    status_since: Option<String>,
    /// How often the node has become unhealthy.
    failures: i64,
    /// How often the panel has restarted the node's engines because the node kept refusing its users.
    healings: i64,
    /// When it last did; null: never.
    healed_at: Option<String>,
}

/// Returns what a node did lately.
///
/// Its traffic over time is at `/api/nodes/{node_id}/usage`.
#[utoipa::path(get, path = "/api/nodes/{node_id}/stats", tag = "Node", params(NodePath),
    responses((status = 200, body = NodeStats), (status = 404, description = "No such node")))]
#[handler]
async fn read_stats(state: &State, _: CurrentAdmin, Path(path): Path<NodePath>) -> Result<Json<NodeStats>, ApiError> {
    let db = &state.panel.db;
    let counts = statistics::of_node(db, path.id()).await?.ok_or_else(not_found)?;
    let last = statistics::last_reply(db, path.id(), state.panel.clock.now()).await?;
    let iso = |micros: i64| Moment::from_micros(micros).utc_iso();
    Ok(Json(NodeStats {
        users: counts.synced_users,
        active_users: last.as_ref().map(|reply| reply.users),
        active_bytes: last.as_ref().map(|reply| reply.bytes),
        usage_at: last.as_ref().map(|reply| iso(reply.fetched_at)),
        status_since: counts.last_status_change.map(iso),
        failures: counts.failures,
        healings: counts.healings,
        healed_at: counts.healed_at.map(iso),
    }))
}
