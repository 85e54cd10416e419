//! What happens to every request, whatever its route: an id, one log line, two metrics, cross-origin headers, and an
//! answer in the contract's shape for whatever went wrong.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use metrics::SharedString;
use poem::http::{HeaderValue, Method, StatusCode};
use poem::{Endpoint, PathPattern, Request, Response};
use tokio::time::{sleep_until, timeout};
use tracing::Instrument;
use uuid::Uuid;

use super::cors::CrossOrigin;
use super::error::ApiError;
use crate::api::state::State;

const REQUEST_ID: &str = "x-request-id";

/// With the answer to a request that no handler has seen.
#[derive(Clone, Copy)]
struct NotBegun;

/// All routes, behind the boundary.
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
        let method = request.method().clone();
        request.set_data(self.state.clone());
        let cross_origin = CrossOrigin::of(&request, &self.state.options.http.allowed_origins);
        let preflight = cross_origin.as_ref().and_then(|cross| cross.preflight(&request));
        let (changes, changes_sources) = (writes(&request), may_change_sources(&request));
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
        // What was refused at the door has changed nothing; ringing for it would add to the load that it was refused for.
        let begun = response.data::<NotBegun>().is_none();
        if begun && changes_sources {
            self.state.sources.forget();
        }
        if begun && changes {
            // For whoever keeps what was read before, here and on other hosts.
            self.state.panel.wakeup.notify();
        }
        response.headers_mut().insert(REQUEST_ID, id);
        let micros = clock.boot().micros() - started.micros();
        span.in_scope(|| observe(&method, route, response.status(), micros));
        Ok(response)
    }
}

impl<E: Endpoint<Output = Response>> Boundary<E> {
    /// The route's pattern, if one matched, and the answer.
    async fn answer(&self, request: Request) -> (Option<Arc<str>>, Response) {
        if self.state.options.http.read_only && writes(&request) {
            return (
                None,
                ApiError::unavailable("The panel is read-only: SARBAN_READ_ONLY is on, so nothing is changed")
                    .to_response(),
            );
        }
        let admitted = match self.state.admission.admit(&request).await {
            Ok(admitted) => admitted,
            Err(refused) => {
                let mut response = refused.to_response();
                response.set_data(NotBegun);
                return (None, response);
            }
        };
        let answering = AssertUnwindSafe(timeout(admitted.time, self.routes.call(request)));
        match answering.catch_unwind().await {
            Ok(Err(_)) => {
                tracing::warn!(seconds = admitted.time.as_secs(), "a request was broken off: it took too long");
                (None, ApiError::unavailable("This took too long, try again").to_response())
            }
            Ok(Ok(Ok(response))) => (response.data().map(|PathPattern(pattern)| pattern.clone()), response),
            Ok(Ok(Err(error))) => {
                let route = error.data().map(|PathPattern(pattern)| pattern.clone());
                let due = error.downcast_ref::<ApiError>().and_then(ApiError::due);
                let refusal = refuse(error);
                // Waiting takes no capacity: others have its place meanwhile.
                drop(admitted);
                if let Some(due) = due {
                    sleep_until(due).await;
                }
                (route, refusal)
            }
            Err(_) => {
                // The panic itself has been reported by the panic hook, on this thread.
                tracing::error!("a request was broken off by a panic");
                (None, ApiError::internal("panic").to_response())
            }
        }
    }
}

/// Whether a request may change something. Signing in does not.
fn writes(request: &Request) -> bool {
    let only_reads = [Method::GET, Method::HEAD, Method::OPTIONS].contains(request.method());
    !only_reads && request.uri().path() != "/api/admins/token"
}

/// The answer to an error, and its cause for the log.
fn refuse(error: poem::Error) -> Response {
    let error = match error.downcast::<ApiError>() {
        Ok(error) => error,
        Err(error) if error.status() == StatusCode::NOT_FOUND => {
            ApiError::new(StatusCode::NOT_FOUND, "There is nothing at this address")
        }
        Err(error) if error.is_from_response() => return error.into_response(),
        Err(error) if error.status().is_server_error() => ApiError::internal(error.to_string()),
        Err(error) => ApiError::new(error.status(), "The request can't be served"),
    };
    if let Some(causes) = error.causes() {
        if error.status() == StatusCode::INTERNAL_SERVER_ERROR {
            tracing::error!(causes, "a request failed");
        } else {
            tracing::warn!(causes, status = error.status().as_u16(), "a request was not served");
        }
    }
    error.to_response()
}

/// Whether subscriptions may look different afterwards for other reasons than their user. Decided here for all routes:
/// one that forgot to say so would serve old configurations.
fn may_change_sources(request: &Request) -> bool {
    let reads = [Method::GET, Method::HEAD, Method::OPTIONS].contains(request.method());
    let path = request.uri().path();
    !reads && path.starts_with("/api/") && !path.starts_with("/api/users") && !path.starts_with("/api/admins")
}

/// The id that the request came with, or a new one.
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

/// One log line and two metrics. The pattern of the route, never its path: paths hold subscription keys, and labels
/// must be finite.
fn observe(method: &Method, route: Option<Arc<str>>, status: StatusCode, micros: i64) {
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
