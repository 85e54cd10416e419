//! The liveness and readiness probes.

use poem::http::StatusCode;
use poem::{IntoResponse, Response, handler};
use utoipa::OpenApi;

use super::health_report::{HealthReport, Status};
use super::http::body::{Empty, Json};
use super::http::routes::{Routes, get};
use super::state::State;

/// The operations of this file.
#[derive(OpenApi)]
#[openapi(paths(live, ready))]
pub(super) struct Doc;

pub(super) fn routes(routes: Routes) -> Routes {
    routes.at("/health/live", get(live).without_permit()).at("/health/ready", get(ready).without_permit())
}

/// Liveness probe. Answers 200 while the process is running.
#[utoipa::path(get, path = "/health/live", tag = "Health", security(()), responses((status = 200, body = Empty)))]
#[handler]
fn live() -> Json<Empty> {
    Json(Empty {})
}

/// Readiness probe. Answers 200 if the panel can serve requests, otherwise 503.
#[utoipa::path(get, path = "/health/ready", tag = "Health", security(()),
    responses((status = 200, body = HealthReport), (status = 503, body = HealthReport)))]
#[handler]
fn ready(state: &State) -> Response {
    let report = state.health.report();
    let status = if report.status == Status::Unavailable { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    Json(report).with_status(status).into_response()
}
