//! `/api/edge/…`: what edges follow and report. An edge is a process that serves subscriptions from a copy, without access to the
//! database (`sarban edge`). It needs an API token with the scopes `edge:read` and `edge:write`.
//!
//! Users and changes are in the protocol buffers of `domain/copy`, because a copy of a million users is read through here.

mod changes;
mod report;
mod start;

use utoipa::OpenApi;

use super::http::routes::{Routes, get, post};

/// The operations of this folder.
#[derive(OpenApi)]
#[openapi(paths(changes::changes, changes::shared, changes::users, report::report, start::start))]
pub(super) struct Doc;

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .at("/api/edge/changes", post(changes::changes))
        .at("/api/edge/report", post(report::report))
        .at("/api/edge/shared", get(changes::shared))
        .at("/api/edge/start", get(start::start))
        .at("/api/edge/users", get(changes::users))
}
