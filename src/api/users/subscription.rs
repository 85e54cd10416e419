//! `/api/users/{username}/subscription`: what one client gets from a user's link, and why.

use deserr::Deserr;
use poem::handler;
use serde::Serialize;
use utoipa::{IntoParams, OpenApi, ToSchema};

use super::input::UserPath;
use crate::actions::users;
use crate::api::http::auth::CurrentAdmin;
use crate::api::http::body::Json;
use crate::api::http::error::ApiError;
use crate::api::http::field_errors::FieldErrors;
use crate::api::http::input::Inputs;
use crate::api::http::loose::LooseBool;
use crate::api::http::query::{Params, Path, Query};
use crate::api::http::routes::{Routes, get};
use crate::api::state::State;
use crate::api::subscription::format_named;
use crate::subscription::explain::{ExplainedHost, Explanation, explain};

/// The operations of this file.
#[derive(OpenApi)]
#[openapi(paths(explained))]
pub(in crate::api) struct Doc;

pub(in crate::api) fn routes(routes: Routes) -> Routes {
    routes.at("/api/users/:username/subscription", get(explained))
}

/// The client to explain.
#[derive(Debug, Deserr, IntoParams)]
#[deserr(error = FieldErrors)]
#[into_params(parameter_in = Query)]
pub struct ClientQuery {
    /// User-Agent of the client. Without one, an unknown client.
    #[deserr(default)]
    #[param(value_type = Option<String>)]
    user_agent: Option<String>,
    /// Format: links, v2ray (base64 of links), xray, sing-box, clash, clash-meta or wireguard. Without one, the format that
    /// the client rules choose.
    #[deserr(default)]
    #[param(value_type = Option<String>)]
    format: Option<String>,
    /// True: also returns the document. It contains the user's credentials.
    #[deserr(default)]
    #[param(value_type = Option<bool>)]
    document: Option<LooseBool>,
}

impl Params for ClientQuery {}

/// One client's subscription, host by host.
#[derive(Debug, Serialize, ToSchema)]
pub struct ExplanationResponse {
    /// Format of the document. Null if the client gets the web page or nothing.
    format: Option<&'static str>,
    /// Name of the client's program, if it is a known one.
    program: Option<&'static str>,
    /// Version of the program's core, if the client tells it.
    core_version: Option<String>,
    /// Hosts of the user.
    hosts: Vec<ExplainedHostResponse>,
    /// The document as the client gets it, if it was asked for and the client gets one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    document: Option<String>,
    /// Media type of the document, if it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    content_type: Option<&'static str>,
}

/// One host of a user.
#[derive(Debug, Serialize, ToSchema)]
pub struct ExplainedHostResponse {
    id: i64,
    remark: String,
    /// Why the host is not in the document. Null if it is.
    left_out: Option<&'static str>,
}

/// Explains a user's subscription.
///
/// For the owner, and for admins who may read all users. Returns for each host of the user if the client gets it, and why not. This is no fetch of the
/// subscription.
#[utoipa::path(get, path = "/api/users/{username}/subscription", tag = "User", params(UserPath, ClientQuery),
    responses((status = 200, body = ExplanationResponse),
              (status = 403, description = "The user belongs to another admin, or does not exist and the admin may not read all users"),
              (status = 404, description = "No such user")))]
#[handler]
async fn explained(
    state: &State,
    CurrentAdmin(admin): CurrentAdmin,
    Inputs(Path(path), Query(query)): Inputs<Path<UserPath>, Query<ClientQuery>>,
) -> Result<Json<ExplanationResponse>, ApiError> {
    let named = query.format.as_deref().filter(|format| !format.is_empty());
    let format = named.map(|name| format_named("format", name)).transpose()?;
    let user = users::visible(&admin, state.caches.users.recent_user(&path.username).await?)?;
    let sources = state.caches.sources().await?;
    let user_agent = query.user_agent.unwrap_or_default();
    let turn = state.turns.take(sources.has_many_rules || sources.has_many_hosts(&user)).await?;
    let request = state.rendering(&user, &sources, &user_agent, &turn);
    let explanation = explain(format, &sources.rules, &request, &mut state.rng.fork());
    let with_document = query.document.is_some_and(|wanted| wanted.0);
    Ok(Json(ExplanationResponse::new(explanation, with_document)))
}

impl ExplanationResponse {
    fn new(explanation: Explanation, with_document: bool) -> Self {
        let document = explanation.document.filter(|_| with_document);
        Self {
            content_type: explanation.format.filter(|_| with_document).map(|format| format.content_type),
            document,
            format: explanation.format.map(|format| format.client_type),
            program: explanation.program.map(|program| program.name),
            core_version: explanation.core_version,
            hosts: explanation.hosts.into_iter().map(ExplainedHostResponse::from).collect(),
        }
    }
}

impl From<ExplainedHost> for ExplainedHostResponse {
    fn from(host: ExplainedHost) -> Self {
        Self { id: host.id.0, remark: host.remark, left_out: host.left_out }
    }
}
