//! The HTTP API: one file per resource over a small foundation.
//!
//! A resource's file holds its request and response types, its handlers, `routes`, which `all_routes` below adds, and
//! `Doc`, which `openapi.rs` merges (a test compares the two):
//!
//! ```ignore
//! #[derive(OpenApi)]
//! #[openapi(paths(list, create, current, read, modify, remove))]
//! pub(super) struct Doc;
//!
//! pub(super) fn routes(routes: Routes) -> Routes {
//!     routes
//!         .at("/api/things", get(list).post(create))
//!         .at("/api/things/:name", one())
//!         // `/api/things/current` is a route of its own for GET and a thing of that name for all else.
//!         .beside("/api/things/:name", "current", get(current), one())
//! }
//!
//! #[utoipa::path(put, path = "/api/things/{name}", tag = "Thing", params(…), responses(…))] // or security(())
//! #[handler]
//! async fn modify(
//!     state: &State,
//!     Sudo(by): Sudo,                                      // rights first: 401, 403
//!     Both(Path(at), Json(change)): Both<Path<ThingName>, Json<ThingChange>>, // then all wrong fields at once: 422
//! ) -> Result<Json<ThingResponse>, ApiError> { … }         // then 404, 409
//! ```
//!
//! | for | see |
//! |---|---|
//! | errors; `StoreError` turns into one | [`http::error::ApiError`] |
//! | JSON in and out | [`http::body::Json`] |
//! | forms | [`http::form::Form`] |
//! | path and query parameters | [`http::query::Path`], [`http::query::Query`] |
//! | several inputs, their errors together | [`http::input::Both`] |
//! | integers, booleans, moments, words, as lenient as the contract | [`http::loose`] |
//! | pages | [`http::paging::Paging`], [`http::paging::Page`] |
//! | who is asking | [`http::auth::CurrentAdmin`], [`http::auth::Sudo`] |
//! | from where, and absolute addresses | [`http::client::Client`] |
//!
//! Request types derive `Deserr` with `#[deserr(error = FieldErrors)]`; a field that may be missing says
//! `#[deserr(default)]`; in a change, `Option<T>` is "null or missing = unchanged".

use std::sync::Arc;

use poem::{Endpoint, Response};

pub mod admins;
pub mod cluster;
pub mod docs;
pub mod health;
pub mod health_report;
mod home;
pub mod hosts;
pub mod http;
pub mod inbounds;
mod metrics;
pub mod nodes;
mod notifications;
pub mod services;
pub mod settings;
pub mod state;
pub mod stats;
mod subscription;
mod usage;
mod users;

use http::boundary::Boundary;
use http::routes::Routes;
use state::State;

/// The whole API, ready to be served.
pub fn routes(state: Arc<State>) -> impl Endpoint<Output = Response> + 'static {
    let routes = home::routes_at(all_routes(), state.options.http.dashboard_path.as_str());
    Boundary { state, routes: routes.into_endpoint() }
}

/// Method and path of every endpoint, as `(GET, /api/users/:username)`.
pub fn endpoints() -> Vec<(String, String)> {
    let routes = all_routes();
    routes.registered().iter().map(|(method, path)| (method.to_string(), path.clone())).collect()
}

/// Every route.
fn all_routes() -> Routes {
    Routes::default()
        .and(admins::routes)
        .and(cluster::routes)
        .and(docs::routes)
        .and(nodes::engine_logs::routes)
        .and(nodes::engines::routes)
        .and(health::routes)
        .and(home::routes)
        .and(hosts::routes)
        .and(inbounds::routes)
        .and(metrics::routes)
        .and(nodes::routes)
        .and(notifications::routes)
        .and(docs::openapi::routes)
        .and(services::routes)
        .and(settings::routes)
        .and(stats::routes)
        .and(subscription::routes)
        .and(usage::routes)
        .and(users::node_status::routes)
        .and(users::routes)
}
