//! `/api/system/stats/backlog`: work that is waiting.

use poem::handler;
use serde::Serialize;
use utoipa::{OpenApi, ToSchema};

use super::http::auth::CurrentAdmin;
use super::http::body::Json;
use super::http::error::ApiError;
use super::http::routes::{Routes, get};
use super::state::State;
use crate::domain::moment::Moment;
use crate::store::backlog::{self, OutOfStep};

/// The operations of this file.
#[derive(OpenApi)]
#[openapi(paths(read))]
pub(super) struct Doc;

pub(super) fn routes(routes: Routes) -> Routes {
    routes.at("/api/system/stats/backlog", get(read))
}

/// Work that is waiting. Counts are at most 1000.
#[derive(Debug, Serialize, ToSchema)]
pub struct BacklogResponse {
    /// Users with a change that the connected nodes have not all confirmed.
    waiting_users: i64,
    /// Time of the oldest of these changes. UTC, ISO 8601; null if there is none.
    waiting_users_since: Option<String>,
    /// Connected nodes that wait for their full list of users.
    nodes_out_of_step: Vec<NodeOutOfStep>,
    /// Usage replies of nodes that are stored and not counted yet.
    waiting_usage: i64,
    /// Time of the oldest of these replies. UTC, ISO 8601; null if there is none.
    waiting_usage_since: Option<String>,
    /// Usage replies that can't be counted: damaged, or refused by the database. They wait for a person.
    quarantined_usage: i64,
}

/// A connected node that waits for its full list of users.
#[derive(Debug, Serialize, ToSchema)]
pub struct NodeOutOfStep {
    node_id: i64,
    node_name: String,
    /// When the node last confirmed a full list of users. UTC, ISO 8601; null: never.
    synced_at: Option<String>,
}

/// Returns work that is waiting.
///
/// Changes of users on their way to nodes, nodes that wait for their list of users, and usage that is not
/// counted yet. A moment after a change, some of it is usual.
#[utoipa::path(get, path = "/api/system/stats/backlog", operation_id = "backlog", tag = "System",
    responses((status = 200, body = BacklogResponse)))]
#[handler]
async fn read(state: &State, _: CurrentAdmin) -> Result<Json<BacklogResponse>, ApiError> {
    let waiting = backlog::waiting(&state.panel.db).await?;
    let out_of_step = backlog::out_of_step(&state.panel.db).await?;
    Ok(Json(BacklogResponse {
        waiting_users: waiting.users,
        waiting_users_since: waiting.users_since.map(iso),
        nodes_out_of_step: out_of_step.into_iter().map(NodeOutOfStep::from).collect(),
        waiting_usage: waiting.usage,
        waiting_usage_since: waiting.usage_since.map(iso),
        quarantined_usage: waiting.quarantined,
    }))
}

fn iso(micros: i64) -> String {
    Moment::from_micros(micros).utc_iso()
}

impl From<OutOfStep> for NodeOutOfStep {
    fn from(node: OutOfStep) -> Self {
        Self { node_id: node.id, node_name: node.name, synced_at: node.synced_at.map(iso) }
    }
}
