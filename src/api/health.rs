//! How the panel is, as far as it matters to those who send it requests. The app knows; the API asks.

use std::sync::Arc;

use poem::http::StatusCode;
use poem::{IntoResponse, Response, handler};
use serde::Serialize;
use utoipa::OpenApi;

use super::State;
use super::http::body::{Empty, Json};
use super::http::routes::{Routes, get};

/// The operations of this file.
#[derive(OpenApi)]
#[openapi(paths(live, ready))]
pub(super) struct Doc;

pub(super) fn routes(routes: Routes) -> Routes {
    routes.at("/health/live", get(live)).at("/health/ready", get(ready))
}

/// Asks for a report. Cheap: it is called for every probe.
#[derive(Clone)]
pub struct Health(Arc<dyn Fn() -> HealthReport + Send + Sync>);

/// How the panel is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct HealthReport {
    /// The whole.
    pub status: Status,
    /// The database.
    pub database: Part,
    /// Redis.
    pub redis: Part,
    /// This process's place among the schedulers.
    pub scheduler: Place,
}

/// How the whole is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// All is well.
    Ok,
    /// Requests are served; something else is wrong.
    Degraded,
    /// Send requests elsewhere: the database is gone, or this process is stopping.
    Unavailable,
}

/// How something that the panel needs is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// It answers.
    Ok,
    /// It is not in use.
    Off,
    /// It does not answer.
    Down,
}

/// The place of this process among the schedulers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// It holds the lease.
    Leader,
    /// Another one holds it.
    Follower,
    /// Nobody is known to hold it.
    None,
}

impl Health {
    /// From whatever knows.
    pub fn new(report: impl Fn() -> HealthReport + Send + Sync + 'static) -> Self {
        Self(Arc::new(report))
    }

    /// How the panel is now.
    pub fn report(&self) -> HealthReport {
        (self.0)()
    }
}

/// Answers while the process turns.
#[utoipa::path(get, path = "/health/live", tag = "Health", security(()), responses((status = 200, body = Empty)))]
#[handler]
fn live() -> Json<Empty> {
    Json(Empty {})
}

/// Whether requests should be sent here.
#[utoipa::path(get, path = "/health/ready", tag = "Health", security(()),
    responses((status = 200, body = HealthReport), (status = 503, body = HealthReport)))]
#[handler]
fn ready(state: &State) -> Response {
    let report = state.health.report();
    let status = if report.status == Status::Unavailable { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    Json(report).with_status(status).into_response()
}

impl std::fmt::Debug for Health {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Health({:?})", self.report())
    }
}
