//! Everything that is common to all requests: an id, a log line, two metrics, cross-origin headers, a time limit, and
//! error responses of one shape.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use metrics::SharedString;
use poem::http::{HeaderValue, Method, StatusCode};
use poem::{Endpoint, PathPattern, Request, Response};
use tokio::time::{sleep_until, timeout};
use tracing::Instrument;
use uuid::Uuid;

use super::admission::NotStarted;
use super::cors::CrossOrigin;
use super::error::ApiError;
use super::{head, security_headers};
use crate::api::state::State;

/// Header with the id of a request.
pub(super) const REQUEST_ID: &str = "x-request-id";

/// Time limit of a request that only reads.
const READ_TIME_LIMIT: Duration = Duration::from_secs(60);
/// Time limit of a request that may write: some change a hundred thousand users.
const WRITE_TIME_LIMIT: Duration = Duration::from_secs(600);

/// The endpoint of all requests, with all routes inside.
pub(in crate::api) struct Boundary<E> {
    pub(in crate::api) state: Arc<State>,
    pub(in crate::api) routes: E,
}

impl<E: Endpoint<Output = Response>> Endpoint for Boundary<E> {
    type Output = Response;

    async fn call(&self, mut request: Request) -> poem::Result<Response> {
        let clock = &self.state.panel.clock;
        let started = clock.boot();
        let id = request_id(&request);
        // As the log and the answer have it, for the audit log.
        request.headers_mut().insert(REQUEST_ID, id.clone());
        let method = request.method().clone();
        request.set_data(self.state.clone());
        let cross_origin = CrossOrigin::of(&request, &self.state.options.http.allowed_origins);
        let preflight = cross_origin.as_ref().and_then(|cross| cross.preflight(&request));
        let span = tracing::info_span!("request", id = id.to_str().unwrap_or_default());
        let (route, mut response) = match preflight {
            Some(response) => (None, response),
            None => {
                let (route, mut response) = self.answer(request).instrument(span.clone()).await;
                if let Some(cross_origin) = &cross_origin {
                    cross_origin.allow(response.headers_mut());
                }
                (route, response)
            }
        };
        if method == Method::HEAD {
            head::remove_body(&mut response);
        }
        security_headers::complete(response.headers_mut());
        response.headers_mut().insert(REQUEST_ID, id);
        let micros = clock.boot().micros() - started.micros();
        span.in_scope(|| record(&method, route, response.status(), micros));
        Ok(response)
    }
}

impl<E: Endpoint<Output = Response>> Boundary<E> {
    /// Returns the pattern of the matched route, if any, and the response.
    async fn answer(&self, request: Request) -> (Option<Arc<str>>, Response) {
        if self.state.options.http.read_only && writes(&request) {
            return (None, ApiError::unavailable("The panel is read-only: SARBAN_READ_ONLY is on").to_response());
        }
        let (limit, late) = if request.method().is_safe() {
            (READ_TIME_LIMIT, "The request took too long, try again")
        } else {
            (WRITE_TIME_LIMIT, "The request took too long: the change may or may not have been made")
        };
        let answering = AssertUnwindSafe(timeout(limit, self.routes.call(request)));
        match answering.catch_unwind().await {
            Ok(Err(_)) => {
                tracing::warn!(seconds = limit.as_secs(), "request aborted: it exceeded its time limit");
                (None, ApiError::unavailable(late).to_response())
            }
            Ok(Ok(Ok(response))) => (response.data().map(|PathPattern(pattern)| pattern.clone()), response),
            Ok(Ok(Err(error))) if error.data::<NotStarted>().is_some() => (None, error_response(error)),
            Ok(Ok(Err(error))) => {
                let route = error.data().map(|PathPattern(pattern)| pattern.clone());
                let due = error.downcast_ref::<ApiError>().and_then(ApiError::due);
                let response = error_response(error);
                if let Some(due) = due {
                    sleep_until(due).await;
                }
                (route, response)
            }
            Err(_) => {
                // The panic hook has logged the panic itself, on this thread.
                tracing::error!("request aborted: its handler panicked");
                (None, ApiError::internal("panic").to_response())
            }
        }
    }
}

/// Returns true if a request may change data. Signing in does not.
fn writes(request: &Request) -> bool {
    !request.method().is_safe() && request.uri().path() != "/api/admins/token"
}

/// Logs the cause of an error and returns the response.
fn error_response(error: poem::Error) -> Response {
    let error = match error.downcast::<ApiError>() {
        Ok(error) => error,
        Err(error) if error.status() == StatusCode::NOT_FOUND => ApiError::new(StatusCode::NOT_FOUND, "Not found"),
        Err(error) if error.is_from_response() => return error.into_response(),
        Err(error) if error.status().is_server_error() => ApiError::internal(error.to_string()),
        Err(error) => ApiError::new(error.status(), "The request was refused"),
    };
    if let Some(causes) = error.causes() {
        if error.status() == StatusCode::INTERNAL_SERVER_ERROR {
            tracing::error!(causes, "request failed");
        } else {
            tracing::warn!(causes, status = error.status().as_u16(), "request not served");
        }
    }
    error.to_response()
}

/// Returns the id that the client sent, if it is valid, or a new one.
fn request_id(request: &Request) -> HeaderValue {
    let given = request.headers().get(REQUEST_ID).filter(|id| {
        let bytes = id.as_bytes();
        (1..=128).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_graphic)
    });
    given.cloned().unwrap_or_else(|| {
        let mut text = Uuid::encode_buffer();
        let id = Uuid::now_v7().hyphenated().encode_lower(&mut text);
        HeaderValue::from_str(id).unwrap_or(HeaderValue::from_static("none"))
    })
}

/// Writes the log line and the metrics of a request. They carry the route's pattern and never its path: a path may hold a
/// subscription key, and labels must have few values.
fn record(method: &Method, route: Option<Arc<str>>, status: StatusCode, micros: i64) {
    let method = match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        Method::PATCH => "PATCH",
        _ => "other",
    };
    let route = route.map_or(SharedString::const_str("none"), SharedString::from);
    let class = match status.as_u16() / 100 {
        1 => "1xx",
        2 => "2xx",
        3 => "3xx",
        4 => "4xx",
        _ => "5xx",
    };
    tracing::debug!(method, route = &*route, status = status.as_u16(), ms = micros / 1_000, "request");
    metrics::counter!("http_requests_total", "method" => method, "route" => route.clone(), "status" => class)
        .increment(1);
    metrics::histogram!("http_request_duration_seconds", "method" => method, "route" => route)
        .record(micros as f64 / 1e6);
}
