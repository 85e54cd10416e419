//! The liveness and readiness probes.

use deserr::Deserr;
use poem::http::StatusCode;
use poem::{IntoResponse, Response, handler};
use utoipa::{IntoParams, OpenApi};

use super::health_report::{HealthReport, Part, Status};
use super::http::body::{Empty, Json};
use super::http::field_errors::FieldErrors;
use super::http::loose::LooseBool;
use super::http::query::{Params, Query};
use super::http::routes::{Routes, get};
use super::state::State;
use crate::actions::copy::LocalCopy;

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

/// How a readiness probe understands a panel that is stopping.
#[derive(Debug, Deserr, IntoParams)]
#[deserr(error = FieldErrors)]
#[into_params(parameter_in = Query)]
pub struct ReadyQuery {
    /// Answer 404, not 503, while the panel is stopping: the proxy then sends it no new requests and lets it finish those in
    /// flight (HAProxy's `disable-on-404`).
    #[deserr(default = LooseBool(false))]
    #[param(required = false, value_type = bool, default = false)]
    drain: LooseBool,
    /// Answer 200 also while the database is away and subscriptions are served from the local copy: for a proxy's rule of `/sub/`.
    #[deserr(default = LooseBool(false))]
    #[param(required = false, value_type = bool, default = false)]
    subscriptions: LooseBool,
}

impl Params for ReadyQuery {}

/// Readiness probe. Answers 200 if the panel can serve requests, otherwise 503.
#[utoipa::path(get, path = "/health/ready", tag = "Health", security(()), params(ReadyQuery),
    responses((status = 200, body = HealthReport), (status = 404, body = HealthReport),
        (status = 503, body = HealthReport)))]
#[handler]
fn ready(state: &State, Query(query): Query<ReadyQuery>) -> Response {
    let report = state.health.report();
    let status = match report.status {
        _ if query.drain.0 && state.health.is_draining() => StatusCode::NOT_FOUND,
        Status::Unavailable if query.subscriptions.0 && serves_subscriptions(state, &report) => StatusCode::OK,
        Status::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Status::Ok | Status::Degraded => StatusCode::OK,
    };
    Json(report).with_status(status).into_response()
}

/// True if the local copy stands in for a database that is away.
fn serves_subscriptions(state: &State, report: &HealthReport) -> bool {
    let can_serve = || state.options.copy.as_ref().is_some_and(LocalCopy::can_serve);
    report.database == Part::Down && !state.stopping.is_cancelled() && can_serve()
}
