//! The HTTP API: one file or folder per resource on top of a shared `http` folder.
//!
//! A resource's file holds its request and response types, its handlers, `routes`, which `all_routes` below adds, and
//! `Doc`, which `api/docs/openapi.rs` merges. A test compares the two:
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
//!         // GET `/api/things/current` has a handler of its own. For other methods `current` is the name of a thing.
//!         .at_literal_or_param("/api/things/:name", "current", get(current), one())
//! }
//!
//! #[utoipa::path(put, path = "/api/things/{name}", tag = "Thing", params(…), responses(…))] // or security(())
//! #[handler]
//! async fn modify(
//!     state: &State,
//!     CurrentAdmin(by): CurrentAdmin, // 401; the route has checked the right of `operations.rs`: 403
//!     Inputs(Path(path), Json(change)): Inputs<Path<ThingPath>, Json<ThingChange>>, // then all wrong fields at once: 422
//! ) -> Result<Json<ThingResponse>, ApiError> { … } // then 404, 409
//! ```
//!
//! | for | see |
//! |---|---|
//! | errors, including those of the store | [`http::error::ApiError`] |
//! | JSON bodies and responses | [`http::body::Json`] |
//! | forms | [`http::form::Form`] |
//! | path and query parameters | [`http::query::Path`], [`http::query::Query`] |
//! | several inputs with their errors in one response | [`http::input::Inputs`] |
//! | integers, booleans and dates in all accepted spellings | [`http::loose`] |
//! | enums as text | [`http::enum_text`] |
//! | paged lists | [`http::paging::Paging`], [`http::paging::Page`] |
//! | the signed-in admin | [`http::auth::CurrentAdmin`]; [`operations`] has the right that each operation needs |
//! | the client's address, and absolute URLs | [`http::client::Client`] |
//! | limits of a route: permits, size of the body | [`http::routes::Methods`] |
//!
//! Request types derive `Deserr` with `#[deserr(error = FieldErrors)]`. A field that may be missing has
//! `#[deserr(default)]`. In a change, null or a missing field leaves the value unchanged: `Option<T>`.

use std::sync::Arc;

use poem::{Endpoint, Response};

mod admin_pages;
pub mod admins;
mod api_tokens;
mod audit;
pub mod back_up;
mod backlog;
pub mod charts;
pub mod cluster;
mod cluster_edges;
mod cluster_members;
mod dashboard;
pub mod docs;
mod edge;
pub mod events;
pub mod health;
pub mod health_report;
mod home;
pub mod hosts;
pub mod http;
pub mod inbounds;
mod metrics;
pub mod nodes;
mod notifications;
pub mod operations;
mod process_metrics;
pub mod roles;
mod saved_views;
mod second_factor;
pub mod services;
mod sessions;
pub mod settings;
mod setup;
pub mod state;
pub mod stats;
mod subscription;
mod usage;
mod users;
mod waiting;

pub use waiting::waiting_routes;

use http::boundary::Boundary;
use http::routes::Routes;
use state::State;

/// The endpoint of all requests.
pub fn routes(state: Arc<State>) -> impl Endpoint<Output = Response> + 'static {
    let routes = dashboard::routes_at(all_routes(), state.options.http.dashboard_path.as_str());
    Boundary { state, routes: routes.into_endpoint() }
}

/// The endpoint of all requests to an edge: subscriptions, probes and metrics.
pub fn edge_routes(state: Arc<State>) -> impl Endpoint<Output = Response> + 'static {
    Boundary { state, routes: edge_endpoints().into_endpoint() }
}

fn edge_endpoints() -> Routes {
    Routes::default().and(subscription::routes).and(health::routes).and(metrics::routes)
}

/// Method and path of every endpoint, for example `(GET, /api/users/:username)`.
pub fn endpoints() -> Vec<(String, String)> {
    let routes = all_routes();
    routes.registered().iter().map(|(method, path)| (method.to_string(), path.clone())).collect()
}

/// The routes of all resources.
fn all_routes() -> Routes {
    Routes::default()
        .and(admins::routes)
        .and(audit::routes)
        .and(admins::owner::routes)
        .and(admins::quota::routes)
        .and(api_tokens::routes)
        .and(roles::routes)
        .and(cluster::routes)
        .and(docs::routes)
        .and(edge::routes)
        .and(events::routes)
        .and(nodes::engine_logs::routes)
        .and(nodes::engines::routes)
        .and(health::routes)
        .and(home::routes)
        .and(hosts::routes)
        .and(inbounds::routes)
        .and(metrics::routes)
        .and(nodes::routes)
        .and(nodes::statistics::routes)
        .and(nodes::sync::routes)
        .and(notifications::routes)
        .and(docs::openapi::routes)
        .and(saved_views::routes)
        .and(second_factor::routes)
        .and(second_factor::passkeys::routes)
        .and(services::routes)
        .and(sessions::routes)
        .and(settings::routes)
        .and(setup::routes)
        .and(backlog::routes)
        .and(stats::routes)
        .and(subscription::routes)
        .and(usage::routes)
        .and(users::diagnosis::routes)
        .and(users::node_status::routes)
        .and(users::subscription::routes)
        .and(users::routes)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::api::http::receive::USUAL;
    use crate::api::http::routes::Limits;
    use crate::config::http::PANEL_PATHS;

    #[test]
    fn every_registered_route_is_in_the_openapi_document_and_no_other() {
        let document = serde_json::to_value(docs::openapi::document()).expect("JSON");
        let registered: BTreeSet<String> = endpoints()
            .iter()
            .map(|(method, path)| {
                let parts = path.split('/').map(|part| match part.strip_prefix(':') {
                    Some(name) => format!("{{{name}}}"),
                    None => part.to_owned(),
                });
                format!("{method} {}", parts.collect::<Vec<_>>().join("/"))
            })
            .collect();
        let paths = document["paths"].as_object().expect("paths").iter();
        let described: BTreeSet<String> = paths
            .flat_map(|(path, methods)| {
                let methods = methods.as_object().expect("methods").keys();
                methods.map(move |method| format!("{} {path}", method.to_uppercase()))
            })
            .collect();
        assert_eq!(described.difference(&registered).collect::<Vec<_>>(), Vec::<&String>::new(), "without a route");
        assert_eq!(registered.difference(&described).collect::<Vec<_>>(), Vec::<&String>::new(), "not described");
        assert_eq!(document["openapi"], "3.1.0");
    }

    #[test]
    fn dashboard_can_be_at_any_path_without_a_panel_s_own_beginning() {
        let routes = all_routes();
        for (_, path, _) in routes.limits() {
            let first = path.split('/').nth(1).unwrap_or_default();
            assert!(first.is_empty() || PANEL_PATHS.contains(&first), "{path}");
        }
        for name in PANEL_PATHS {
            assert!(routes.limits().iter().any(|(_, path, _)| path.split('/').nth(1) == Some(name)), "{name}");
        }
    }

    /// Method and path of the routes whose limits match.
    fn routes_with(matching: fn(&Limits) -> bool) -> Vec<String> {
        let routes = all_routes();
        let matching = routes.limits().iter().filter(|(_, _, limits)| matching(limits));
        let mut matching: Vec<String> = matching.map(|(method, path, _)| format!("{method} {path}")).collect();
        matching.sort();
        matching
    }

    #[test]
    fn probes_sign_in_and_requests_that_mostly_wait_need_no_permit() {
        assert_eq!(
            routes_with(|limits| !limits.needs_permit),
            [
                "GET /api/events",
                "GET /api/nodes/:node_id/:backend/config",
                "GET /api/nodes/:node_id/:backend/logs",
                "GET /api/nodes/:node_id/:backend/stats",
                "GET /health/live",
                "GET /health/ready",
                "GET /metrics",
                "POST /api/admins/token",
                "POST /api/nodes/:node_id/:backend/config/restore",
                "POST /api/nodes/:node_id/:backend/restart",
                "POST /api/second-factor/passkey-options",
                "POST /api/second-factor/passkeys/:id/remove",
                "POST /api/second-factor/recovery-codes",
                "POST /api/second-factor/totp",
                "POST /api/second-factor/totp/remove",
                "POST /api/system/settings/telegram/test",
                "PUT /api/nodes/:node_id/:backend/config",
                "PUT /api/password",
                "PUT /api/second-factor/totp",
            ]
        );
    }

    #[test]
    fn only_sign_in_and_setup_take_a_body_from_strangers_and_only_configurations_are_large() {
        assert_eq!(
            routes_with(|limits| limits.before_sign_in),
            [
                "POST /api/admins/token",
                "POST /api/passkey-sign-in",
                "POST /api/passkey-sign-in/options",
                "POST /api/setup",
            ]
        );
        assert_eq!(routes_with(|limits| limits.body > USUAL), ["PUT /api/nodes/:node_id/:backend/config"]);
    }
}
