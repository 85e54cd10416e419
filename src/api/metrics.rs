//! `/metrics`, for Prometheus: with a token of its own, or for local peers only.

use poem::{Request, Response, handler};
use utoipa::OpenApi;

use super::http::auth::bearer_token;
use super::http::client::Client;
use super::http::error::ApiError;
use super::http::routes::{Routes, get};
use super::state::State;

/// The operations of this file.
#[derive(OpenApi)]
#[openapi(paths(metrics))]
pub(super) struct Doc;

pub(super) fn routes(routes: Routes) -> Routes {
    routes.at("/metrics", get(metrics))
}

/// What was counted and measured, as Prometheus reads it.
#[utoipa::path(get, path = "/metrics", tag = "Health", security((), ("bearer" = [])),
    responses((status = 200, body = String, content_type = "text/plain"),
              (status = 401, description = "The token of METRICS_TOKEN is needed"),
              (status = 403, description = "Without METRICS_TOKEN: only the panel's own machine may ask")))]
#[handler]
fn metrics(state: &State, client: Client, request: &Request) -> Result<Response, ApiError> {
    match &state.options.http.metrics_token {
        Some(token) if !bearer_token(request).is_some_and(|given| same(given, token.expose())) => {
            return Err(ApiError::unauthorized("The metrics ask for their own token"));
        }
        None if !client.is_local() => return Err(ApiError::forbidden()),
        _ => {}
    }
    let text = state.metrics.render();
    Ok(Response::builder().content_type("text/plain; version=0.0.4; charset=utf-8").body(text))
}

/// Compares without telling by the time it takes how much of a guess was right.
fn same(given: &str, expected: &str) -> bool {
    let differences = given.bytes().zip(expected.bytes()).fold(0, |sum, (a, b)| sum | (a ^ b));
    given.len() == expected.len() && differences == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_compared_whole() {
        assert!(same("abc", "abc"));
        for (given, expected) in [("abd", "abc"), ("ab", "abc"), ("abcd", "abc"), ("", "abc")] {
            assert!(!same(given, expected), "{given}");
        }
    }
}
