//! `/api/system/settings`: settings that admins change at run time.

mod client_rules;
mod subscription;
mod telegram;

use utoipa::OpenApi;

use super::http::routes::Routes;

/// The operations of this folder.
pub(super) struct Doc;

impl Doc {
    pub(super) fn openapi() -> utoipa::openapi::OpenApi {
        let parts = [client_rules::Doc::openapi(), telegram::Doc::openapi()];
        parts.into_iter().fold(subscription::Doc::openapi(), utoipa::openapi::OpenApi::merge_from)
    }
}

pub(super) fn routes(routes: Routes) -> Routes {
    routes.and(subscription::routes).and(client_rules::routes).and(telegram::routes)
}
