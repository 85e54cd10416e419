//! `/api/users/{username}/nodes`: the nodes of a user, and if they have the user's latest state.

use poem::handler;
use serde::Serialize;
use utoipa::{OpenApi, ToSchema};

use super::input::UserPath;
use crate::actions::users;
use crate::api::http::auth::CurrentAdmin;
use crate::api::http::body::Json;
use crate::api::http::error::ApiError;
use crate::api::http::query::Path;
use crate::api::http::routes::{Routes, get};
use crate::api::state::State;
use crate::domain::moment::Moment;
use crate::store::users::node_status;
use crate::store::users::node_status::UserNode;

/// The operations of this file.
#[derive(OpenApi)]
#[openapi(paths(nodes_of))]
pub(in crate::api) struct Doc;

pub(in crate::api) fn routes(routes: Routes) -> Routes {
    routes.at("/api/users/:username/nodes", get(nodes_of))
}

/// A node that has at least one of the user's inbounds.
#[derive(Debug, Serialize, ToSchema)]
pub struct UserNodeResponse {
    node_id: i64,
    node_name: String,
    /// True if the panel is connected to the node and the node has confirmed all changes of the user.
    in_step: bool,
    /// Time of the user's last change or of the node's last full sync, whichever is later. UTC, ISO 8601.
    since: String,
}

/// Lists a user's nodes with their sync state.
///
/// For the owner, and for admins who may read all users. Returns for each node whether it has the user's latest state.
#[utoipa::path(get, path = "/api/users/{username}/nodes", tag = "User", params(UserPath),
    responses((status = 200, body = Vec<UserNodeResponse>), (status = 403, description = "The user belongs to another admin, or does not exist and the admin may not read all users"),
              (status = 404, description = "No such user")))]
#[handler]
async fn nodes_of(
    state: &State,
    CurrentAdmin(admin): CurrentAdmin,
    Path(path): Path<UserPath>,
) -> Result<Json<Vec<UserNodeResponse>>, ApiError> {
    let user = users::get(&state.panel, &admin, &path.username).await?;
    let nodes = node_status::of_user(&state.panel.db, user.id).await?;
    Ok(Json(nodes.into_iter().map(UserNodeResponse::from).collect()))
}

impl From<UserNode> for UserNodeResponse {
    fn from(node: UserNode) -> Self {
        let since = Moment::from_micros(node.since()).utc_iso();
        Self { node_id: node.node_id, node_name: node.node_name, in_step: node.in_step, since }
    }
}
