//! The routes of a panel whose start waits for the database: subscriptions from the local copy, probes and metrics. Everything else
//! is answered with the reason.

use std::sync::Arc;

use poem::error::NotFoundError;
use poem::{Endpoint, EndpointExt, Response, handler};

use super::edge_endpoints;
use super::http::boundary::Boundary;
use super::http::error::ApiError;
use super::http::routes::get;
use super::state::State;

/// The endpoint of all requests while the start waits.
pub fn waiting_routes(state: Arc<State>) -> impl Endpoint<Output = Response> + 'static {
    // It would be taken for a format.
    let routes =
        edge_endpoints().hidden("/sub/:username/:key/usage", get(needs_the_database).for_everybody().without_permit());
    let routes = routes.into_endpoint().catch_error(async |_: NotFoundError| waits().to_response());
    Boundary { state, routes }
}

#[handler]
fn needs_the_database() -> Result<Response, ApiError> {
    Err(waits())
}

fn waits() -> ApiError {
    ApiError::unavailable(
        "The panel waits for the database; until it answers, only subscriptions are served, from the local copy",
    )
}
