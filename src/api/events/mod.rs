//! `GET /api/events`: tells a signed-in client which resources changed, on any host, as server-sent events. What it tells is
//! a hint to read again: clients also poll, less often.

mod stream;

use poem::http::header;
use poem::{Body, Request, Response, handler};
use utoipa::OpenApi;

use stream::{Credentials, Following, ROUTE};

use super::http::auth::{Identity, bearer_token};
use super::http::client::Client;
use super::http::error::ApiError;
use super::http::routes::{Routes, get};
use super::state::State;

/// The operations of this folder.
#[derive(OpenApi)]
#[openapi(paths(follow))]
pub(super) struct Doc;

pub(super) fn routes(routes: Routes) -> Routes {
    routes.at(ROUTE, get(follow).without_permit())
}

/// Follows the changes of resources.
///
/// A stream of server-sent events. `ready` comes first: `{"resumed": true, "all_hosts": true}`. `resumed` is false if changes
/// may have been missed since the event that `Last-Event-ID` names, so that everything has to be read again. `all_hosts` is
/// false while changes that other processes make are not announced here, because Redis is off or away; `ready` comes again when
/// that changes. `changed` names what to read again: `[{"kind": "users", "id": 12}]`, with null for an id if any row may have
/// changed. Kinds: `users`, `services`, `admins`, `usage` (traffic, and when users were online), `sessions`, `api_tokens`, `roles`, `hosts`,
/// `nodes`, `node_status`, `subscription_settings`, `telegram_settings`, `notifications`, `leader_requests`. An admin receives changes of what it may
/// read, and of its own users, sessions and API tokens; with an API token, only of what its scopes may read. The stream ends after nine minutes, when the process stops, and when the token is not
/// valid any more; connect again with the id of the last event. An admin can have 64 streams of a process, and all admins
/// together 2,000.
#[utoipa::path(get, path = "/api/events", tag = "System",
    params(("Last-Event-ID" = Option<String>, Header, description = "Id of the last event that was received.")),
    responses((status = 200, body = String, content_type = "text/event-stream"),
              (status = 429, description = "The admin has too many streams"),
              (status = 503, description = "There are too many streams, or the process stops")))]
#[handler]
fn follow(request: &Request, state: &State, client: Client, identity: Identity) -> Result<Response, ApiError> {
    let token = bearer_token(request).ok_or_else(|| ApiError::unauthorized("Sign in first"))?.to_owned();
    if state.stopping.is_cancelled() {
        return Err(ApiError::unavailable("This process is stopping"));
    }
    let open = state.event_streams.open(identity.admin.id)?;
    let last = request.header("last-event-id").unwrap_or_default();
    let credentials = Credentials { token, client };
    let following = Following::new(State::of(request)?.clone(), credentials, &identity, open, last);
    // Proxies must pass each event on at once.
    Ok(Response::builder()
        .header(header::CONTENT_TYPE, "text/event-stream")
        .header(header::CACHE_CONTROL, "no-store")
        .header("x-accel-buffering", "no")
        .body(Body::from_bytes_stream(following.events())))
}
