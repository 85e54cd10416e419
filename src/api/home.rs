//! The home page.

use poem::{Response, handler};
use utoipa::OpenApi;

use super::http::routes::{Routes, get};
use super::state::State;
use super::subscription::page;

/// The operations of this file.
#[derive(OpenApi)]
#[openapi(paths(front))]
pub(super) struct Doc;

pub(super) fn routes(routes: Routes) -> Routes {
    routes.at("/", get(front))
}

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
