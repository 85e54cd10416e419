//! The edges of the cluster, as the API shows them.

use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::edge::{AWAY, Edge};
use crate::domain::moment::Moment;

/// An edge: a process that serves subscriptions from a copy, without access to the database.
#[derive(Debug, Serialize, ToSchema)]
pub struct EdgeResponse {
    /// The edge's own id, the same after a restart.
    id: String,
    host: String,
    version: String,
    /// By the edge's clock.
    started_at: String,
    last_seen: String,
    /// False if it has not reported for half a minute: it is stopped, or reaches no panel.
    is_connected: bool,
    /// False until the copy is complete: the edge serves nobody yet.
    is_complete: bool,
    /// Users in its copy.
    users: i64,
    /// Fetches of subscriptions that it has not sent yet.
    waiting_fetches: i64,
}

impl EdgeResponse {
    pub(super) fn new(edge: &Edge, last_seen: Moment, now: Moment) -> Self {
        Self {
            id: edge.id.to_string(),
            host: edge.host.clone(),
            version: edge.version.clone(),
            started_at: edge.started_at.utc_iso(),
            last_seen: last_seen.utc_iso(),
            is_connected: last_seen.plus(AWAY) >= now,
            is_complete: edge.report.is_complete,
            users: edge.report.users,
            waiting_fetches: edge.report.waiting_fetches,
        }
    }
}
