//! `/api/inbounds/hosts/preview`: what clients would get of a host that is not stored.

use deserr::Deserr;
use poem::handler;
use serde::Serialize;
use utoipa::{IntoParams, OpenApi, ToSchema};

use super::body::HostBody;
use crate::actions::{Panel, secret_reads, users};
use crate::api::http::auth::Identity;
use crate::api::http::body::Json;
use crate::api::http::by::By;
use crate::api::http::error::ApiError;
use crate::api::http::field_errors::FieldErrors;
use crate::api::http::input::Inputs;
use crate::api::http::loose::LooseInt;
use crate::api::http::query::{Params, Query};
use crate::api::inbounds;
use crate::api::operations::Need;
use crate::api::state::State;
use crate::api::subscription::format_named;
use crate::domain::host::Host;
use crate::domain::ids::{HostId, InboundId, UserId};
use crate::domain::scope::{Action, Resource};
use crate::domain::user::User;
use crate::store;
use crate::subscription::catalogue::HostRow;
use crate::subscription::client::Client;
use crate::subscription::preview::{Preview, previews};
use crate::subscription::{Format, Request};

/// User-Agents of one request, at most: each is one rendering.
const MAX_AGENTS: usize = 16;
/// The user for whom a host is rendered unless one is named.
const SAMPLE: &str = "sample";
const SAMPLE_KEY: &str = "0123456789abcdef0123456789abcdef";

/// The operations of this file.
#[derive(OpenApi)]
#[openapi(paths(preview))]
pub(in crate::api) struct Doc;

/// For whom and in which format a host is shown.
#[derive(Debug, Deserr, IntoParams)]
#[deserr(error = FieldErrors)]
#[into_params(parameter_in = Query)]
pub struct PreviewQuery {
    /// Id of the inbound of the host. Without one, a host without an inbound.
    #[deserr(default)]
    #[param(value_type = Option<i64>)]
    inbound_id: Option<LooseInt>,
    /// Id of the host, if it is stored: its chain may name itself.
    #[deserr(default)]
    #[param(value_type = Option<i64>)]
    id: Option<LooseInt>,
    /// Format of the document: links, v2ray (base64 of links), xray, sing-box, clash, clash-meta or wireguard. Default: links.
    #[deserr(default)]
    #[param(value_type = Option<String>)]
    format: Option<String>,
    /// Name of the user for whom the host is rendered, who need not have it. The answer has the user's keys, so it needs `users:read`
    /// for that user, too. Without a name: an unlimited user `sample`.
    #[deserr(default)]
    #[param(value_type = Option<String>)]
    username: Option<String>,
    /// User-Agents of clients that are asked about, at most 16.
    #[deserr(default)]
    user_agent: Vec<String>,
}

impl Params for PreviewQuery {
    const REPEATABLE: &'static [&'static str] = &["user_agent"];
}

/// A host as clients would get it.
#[derive(Debug, Serialize, ToSchema)]
pub struct PreviewResponse {
    /// The requested document with this host alone. Null if the host is left out.
    document: Option<String>,
    /// Why the host is left out of the document.
    left_out: Option<&'static str>,
    /// The host in each format, for an unknown client.
    formats: Vec<FormatPreview>,
    /// The host for each User-Agent of the request, in its order.
    clients: Vec<ClientPreview>,
}

/// A host in one format.
#[derive(Debug, Serialize, ToSchema)]
pub struct FormatPreview {
    format: &'static str,
    /// Why the host is left out. Null if it is not.
    left_out: Option<&'static str>,
}

/// A host for one client.
#[derive(Debug, Serialize, ToSchema)]
pub struct ClientPreview {
    user_agent: String,
    /// Name of the client's program, if it is a known one.
    program: Option<&'static str>,
    /// Format that the client rules choose. Null if the client gets the web page or nothing.
    format: Option<&'static str>,
    /// Why the host is left out. Null if it is not.
    left_out: Option<&'static str>,
}

/// Shows what clients would get of a host, without storing it.
///
/// The body is that of a change, and refused like one. Returns the document with this host alone, and for
/// each format and each named client why the host would be left out. The host counts as enabled. Nothing is stored.
#[utoipa::path(post, path = "/api/inbounds/hosts/preview", tag = "Host", params(PreviewQuery), request_body = HostBody,
    responses((status = 200, body = PreviewResponse), (status = 403, description = "The user may not be read"),
              (status = 404, description = "No such inbound, or no such user")))]
#[handler]
pub(super) async fn preview(
    state: &State,
    By(panel): By,
    identity: Identity,
    Inputs(Query(query), Json(body)): Inputs<Query<PreviewQuery>, Json<HostBody>>,
) -> Result<Json<PreviewResponse>, ApiError> {
    if query.user_agent.len() > MAX_AGENTS {
        return Err(FieldErrors::one("user_agent", format!("must be given at most {MAX_AGENTS} times")).into());
    }
    let asked = query.format.as_deref().filter(|name| !name.is_empty()).unwrap_or("links");
    let asked = format_named("format", asked)?;
    let host = Host { id: HostId(query.id.map_or(0, |id| id.0)), ..body.checked()? };
    let row = row(state, host, query.inbound_id).await?;
    let user = match query.username.as_deref().filter(|name| !name.is_empty()) {
        Some(name) => named(state, &panel, &identity, name).await?,
        None => User::bare(UserId(1), SAMPLE, SAMPLE_KEY, state.panel.clock.now()),
    };
    let sources = state.caches.sources().await?;
    // One host is rendered, and the rules are for each client.
    let turn = state.turns.take(sources.has_many_rules).await?;
    let request = |agent| state.rendering(&user, &sources, agent, &turn);

    let chosen = |agent: &str| Format::from_rule_result(sources.rules.result(agent)?);
    let clients: Vec<(&String, Option<&'static Format>)> =
        query.user_agent.iter().map(|agent| (agent, chosen(agent))).collect();
    let unknown = std::iter::once(asked).chain(Format::all()).map(|format| (format, request("")));
    let known = clients.iter().filter_map(|(agent, format)| Some(((*format)?, request(agent))));
    let renderings: Vec<(&'static Format, Request<'_>)> = unknown.chain(known).collect();

    let mut shown = previews(row, renderings, &mut state.rng.fork()).into_iter();
    let Preview { document, left_out } = shown.next().ok_or_else(|| ApiError::internal("nothing was rendered"))?;
    let mut reason = || shown.next().and_then(|preview| preview.left_out);
    let formats =
        Format::all().map(|format| FormatPreview { format: format.client_type, left_out: reason() }).collect();
    let clients = clients.into_iter().map(|(agent, format)| ClientPreview {
        user_agent: agent.clone(),
        program: Client::of(agent).program().map(|program| program.name),
        format: format.map(|format| format.client_type),
        left_out: format.and_then(|_| reason()),
    });
    Ok(Json(PreviewResponse { document, left_out, formats, clients: clients.collect() }))
}

/// The host with its inbound; its services do not matter.
async fn row(state: &State, host: Host, inbound: Option<LooseInt>) -> Result<HostRow, ApiError> {
    let Some(LooseInt(id)) = inbound else { return Ok(HostRow { host, inbound: None, service_ids: Vec::new() }) };
    let view = store::hosts::inbounds::by_id(&state.panel.db, InboundId(id)).await?;
    let inbound = view.ok_or_else(inbounds::not_found)?.inbound;
    let host = Host { inbound_id: Some(inbound.id), ..host };
    Ok(HostRow { host, inbound: Some(inbound), service_ids: Vec::new() })
}

/// The user, if it may be read; the read is entered like others of keys.
async fn named(state: &State, panel: &Panel, identity: &Identity, name: &str) -> Result<User, ApiError> {
    identity.may(Need::Own(Resource::Users, Action::Read))?;
    let user = state.caches.users.recent_user(name).await?;
    let user = users::visible(&identity.admin, user)?;
    if state.options.audit_reads && !state.options.http.read_only {
        secret_reads::record(panel, "user.read", &format!("/api/users/{name}")).await?;
    }
    Ok((*user).clone())
}
