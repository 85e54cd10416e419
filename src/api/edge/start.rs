//! Where an edge begins to follow, and the settings of the panel that it must have, too: otherwise links differ.

use poem::web::WithHeader;
use poem::{IntoResponse as _, handler};
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::http::auth::CurrentAdmin;
use crate::api::http::body::Json;
use crate::api::http::error::ApiError;
use crate::api::state::State;
use crate::domain::edge::{FORMAT, FORMAT_HEADER};
use crate::store::copy::source;

/// The position of now, and settings of the panel that answers.
#[derive(Debug, Serialize, ToSchema)]
pub struct EdgeStart {
    /// The position of now. What is read later has all changes before it.
    position: String,
    /// Version of the program.
    version: &'static str,
    /// `AUTH_GENERATION_ALGORITHM`.
    auth_generation_algorithm: &'static str,
    /// `SUBSCRIPTION_URL_PREFIX`, without a final slash.
    subscription_url_prefix: String,
    /// Hash of the templates.
    templates: String,
}

/// Returns the position of now, and settings that edges compare with their own.
#[utoipa::path(get, path = "/api/edge/start", tag = "Edge",
    responses((status = 200, body = EdgeStart,
               headers(("x-edge-format" = u32, description = "Format of the answer; an edge that does not read it asks another panel")))))]
#[handler]
pub(super) async fn start(state: &State, _: CurrentAdmin) -> Result<WithHeader<Json<EdgeStart>>, ApiError> {
    let context = &state.options.render_context;
    let start = EdgeStart {
        position: source::position(&state.panel.db).await?.text(),
        version: env!("CARGO_PKG_VERSION"),
        auth_generation_algorithm: context.derivation.word(),
        subscription_url_prefix: state.options.subscription.url_prefix.clone(),
        templates: context.templates_digest(),
    };
    Ok(Json(start).with_header(FORMAT_HEADER, FORMAT))
}
