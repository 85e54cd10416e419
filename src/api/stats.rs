//! `/api/system/stats`: counts of admins, nodes and users. Traffic over time is in [`super::usage`].

use poem::handler;
use serde::Serialize;
use utoipa::{OpenApi, ToSchema};

use super::http::auth::CurrentAdmin;
use super::http::body::Json;
use super::http::error::ApiError;
use super::http::routes::{Routes, get};
use super::state::State;
use crate::domain::scope::{Action, Resource};
use crate::store::{self, stats};

/// The operations of this file.
#[derive(OpenApi)]
#[openapi(paths(admins, nodes, users))]
pub(super) struct Doc;

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .at("/api/system/stats/admins", get(admins))
        .at("/api/system/stats/nodes", get(nodes))
        .at("/api/system/stats/users", get(users))
}

/// Number of admins.
#[derive(Debug, Serialize, ToSchema)]
pub struct AdminsStats {
    total: i64,
}

/// Numbers of nodes. Nodes that are neither healthy nor unhealthy are disabled.
#[derive(Debug, Serialize, ToSchema)]
pub struct NodesStats {
    total: i64,
    healthy: i64,
    unhealthy: i64,
}

/// Numbers of users. A user may be counted in several fields.
#[derive(Debug, Serialize, ToSchema)]
pub struct UsersStats {
    total: i64,
    /// Users with `is_active`.
    active: i64,
    /// Users whose time starts with their first use, which has not happened yet.
    on_hold: i64,
    /// Users whose fixed expiry date has passed.
    expired: i64,
    /// Users that have reached their data limit.
    limited: i64,
    /// Users with traffic within the last 30 seconds.
    online: i64,
}

/// Counts admins.
#[utoipa::path(get, path = "/api/system/stats/admins", tag = "System", responses((status = 200, body = AdminsStats)))]
#[handler]
async fn admins(state: &State, _: CurrentAdmin) -> Result<Json<AdminsStats>, ApiError> {
    Ok(Json(AdminsStats { total: store::access::admins::count(&state.panel.db, "").await? }))
}

/// Counts nodes by status.
#[utoipa::path(get, path = "/api/system/stats/nodes", tag = "System", responses((status = 200, body = NodesStats)))]
#[handler]
async fn nodes(state: &State, _: CurrentAdmin) -> Result<Json<NodesStats>, ApiError> {
    let stats::NodeCounts { total, healthy, unhealthy } = stats::nodes(&state.panel.db).await?;
    Ok(Json(NodesStats { total, healthy, unhealthy }))
}

/// Counts users by state.
///
/// Counts all users, or the own ones of an admin who has the right only for these.
#[utoipa::path(get, path = "/api/system/stats/users", tag = "System", responses((status = 200, body = UsersStats)))]
#[handler]
async fn users(state: &State, CurrentAdmin(by): CurrentAdmin) -> Result<Json<UsersStats>, ApiError> {
    let owner = by.only_own(Resource::Stats, Action::Read);
    let counts = state.caches.user_counts(owner).await?;
    let stats::UserCounts { total, active, on_hold, expired, limited, online } = counts;
    Ok(Json(UsersStats { total, active, on_hold, expired, limited, online }))
}
