//! The home page, and the path of the dashboard.

use poem::http::header;
use poem::{Response, handler};
use utoipa::OpenApi;

use super::http::routes::{Routes, get};
use super::http::security_headers::BUILT_IN_PAGE;
use super::state::State;
use super::subscription::page;

/// The operations of this file.
#[derive(OpenApi)]
#[openapi(paths(front))]
pub(super) struct Doc;

pub(super) fn routes(routes: Routes) -> Routes {
    routes.at("/", get(front))
}

/// Adds the dashboard at `dashboard`, a path that begins and ends with a slash.
pub(super) fn routes_at(routes: Routes, dashboard: &str) -> Routes {
    routes.folder(dashboard, get(no_dashboard))
}

const NO_DASHBOARD: &str = r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>Sarban</title>
</head>
<body>
<p>This build has no dashboard. Set <code>DOCS=true</code> to try the API at <a href="/docs">/docs</a>. A dashboard hosted
elsewhere can call the API from any origin.</p>
</body>
</html>
"#;

/// Returns the home page.
#[utoipa::path(get, path = "/", tag = "Page", security(()),
    responses((status = 200, body = String, content_type = "text/html")))]
#[handler]
fn front(state: &State) -> Response {
    let pages = &state.options.render_context.templates.pages;
    let (page, error) = pages.home(state.panel.clock.now());
    let is_own = pages.has_own_home_page() && error.is_none();
    page::response(page, error, state.page_policy(is_own))
}

#[handler]
fn no_dashboard() -> Response {
    page(NO_DASHBOARD)
}

fn page(html: &'static str) -> Response {
    let response = Response::builder().content_type("text/html; charset=utf-8");
    response.header(header::CONTENT_SECURITY_POLICY, BUILT_IN_PAGE).body(html)
}
