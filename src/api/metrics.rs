//! `/metrics`, for Prometheus: for clients with `METRICS_TOKEN`, or without that setting for local clients only.

use poem::{Request, Response, handler};
use subtle::ConstantTimeEq as _;
use utoipa::OpenApi;

use super::http::auth::bearer_token;
use super::http::client::Client;
use super::http::error::ApiError;
use super::http::routes::{Routes, get};
use super::process_metrics;
use super::state::State;

/// The operations of this file.
#[derive(OpenApi)]
#[openapi(paths(metrics))]
pub(super) struct Doc;

pub(super) fn routes(routes: Routes) -> Routes {
    routes.at("/metrics", get(metrics).without_permit())
}

/// Returns the metrics of this process in the Prometheus text format.
///
/// With `METRICS_TOKEN` set, for clients that send it as a bearer token; otherwise for clients on the same machine.
#[utoipa::path(get, path = "/metrics", tag = "Health", security((), ("bearer" = [])),
    responses((status = 200, body = String, content_type = "text/plain"),
              (status = 401, description = "Missing or wrong METRICS_TOKEN"),
              (status = 403, description = "METRICS_TOKEN is not set, and the client is not on the same machine")))]
#[handler]
fn metrics(state: &State, client: Client, request: &Request) -> Result<Response, ApiError> {
    match &state.options.http.metrics_token {
        Some(token)
            if !bearer_token(request).is_some_and(|given| given.as_bytes().ct_eq(token.expose().as_bytes()).into()) =>
        {
            return Err(ApiError::unauthorized("Metrics require METRICS_TOKEN as bearer token"));
        }
        None if !client.is_local() => return Err(ApiError::forbidden()),
        _ => {}
    }
    process_metrics::measure();
    let text = state.metrics.render();
    Ok(Response::builder().content_type("text/plain; version=0.0.4; charset=utf-8").body(text))
}
