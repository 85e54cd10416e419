//! `/sub/{username}/{key}`: subscriptions, which users' apps fetch. The key in the link is the authentication.

pub mod link;
pub mod page;
mod rendering;
mod subscriber;
pub mod turns;

use poem::http::{Method, header};
use poem::{IntoResponse, Request as HttpRequest, Response, handler};
use utoipa::OpenApi;

use super::state::State;
use crate::api::http::body::Json;
use crate::api::http::client::Client;
use crate::api::http::error::ApiError;
use crate::api::http::field_errors::FieldErrors;
use crate::api::http::routes::{Routes, get};
use crate::domain::client_rule::RuleResult;
use crate::domain::user::document::UserDocument;
use crate::subscription::Format;
use link::{Link, LinkAs, not_found};
use rendering::user_agent;
use subscriber::Subscriber;

/// The operations of this file.
#[derive(OpenApi)]
#[openapi(paths(fetch, info, fetch_as))]
pub(in crate::api) struct Doc;

pub(in crate::api) fn routes(routes: Routes) -> Routes {
    routes
        .at("/sub/:username/:key", get(fetch).for_subscribers())
        .at("/sub/:username/:key/info", get(info).for_subscribers())
        .at("/sub/:username/:key/:client_type", get(fetch_as).for_subscribers())
}

/// Returns a subscription in the format of the client.
///
/// Needs no token: the key in the link is the authentication. The rules of the subscription settings choose the format by
/// User-Agent. Browsers get a web page.
#[utoipa::path(get, path = "/sub/{username}/{key}", tag = "Subscription", security(()),
    params(Link, ("user-agent" = Option<String>, Header, description = "Name and version of the client.")),
    responses((status = 200, description = "The configuration or the web page",
               content((String = "text/plain"), (serde_json::Value = "application/json"), (String = "text/yaml"),
                       (String = "text/html"))),
              (status = 404, description = "No such subscription, or the client is blocked"),
              (status = 429, description = "Too many wrong links from this address; Retry-After has the number of seconds to wait")))]
#[handler]
async fn fetch(state: &State, client: Client, request: &HttpRequest, link: Link<'_>) -> Result<Response, ApiError> {
    let subscriber = state.subscriber(link.username, link.key, &client).await?;
    let Subscriber { user, sources, .. } = &subscriber;
    let agent = user_agent(request);
    if !state.options.http.read_only && request.method() != Method::HEAD {
        state.caches.fetches.record(user.id, state.panel.clock.now(), &agent);
    }
    let turn = state.turns.take(sources.has_many_rules || sources.has_many_hosts(user)).await?;
    let is_browser = request.header(header::ACCEPT).is_some_and(|accept| accept.contains("text/html"));
    if sources.settings.template_on_acceptance && is_browser {
        return Ok(subscriber.mark(state.user_page(user, sources, &client, &turn)));
    }
    match sources.rules.result(&agent) {
        Some(RuleResult::Template) => Ok(subscriber.mark(state.user_page(user, sources, &client, &turn))),
        Some(result) => {
            let format = Format::from_rule_result(result).ok_or_else(not_found)?;
            Ok(subscriber.mark(state.subscription(format, user, sources, &client, request, &turn)))
        }
        None => Err(not_found()),
    }
}

/// Returns the user of a subscription.
///
/// Needs no token: the key in the link is the authentication.
#[utoipa::path(get, path = "/sub/{username}/{key}/info", tag = "Subscription", security(()), params(Link),
    responses((status = 200, body = UserDocument), (status = 404, description = "No such subscription"),
              (status = 429, description = "Too many wrong links from this address; Retry-After has the number of seconds to wait")))]
#[handler]
async fn info(state: &State, client: Client, link: Link<'_>) -> Result<Response, ApiError> {
    let subscriber = state.subscriber(link.username, link.key, &client).await?;
    Ok(subscriber.mark(Json(state.user_document((*subscriber.user).clone())).into_response()))
}

/// Returns a subscription in a given format.
///
/// Needs no token: the key in the link is the authentication.
#[utoipa::path(get, path = "/sub/{username}/{key}/{client_type}", tag = "Subscription", security(()), params(LinkAs),
    responses((status = 200, description = "The configuration",
               content((String = "text/plain"), (serde_json::Value = "application/json"), (String = "text/yaml"))),
              (status = 404, description = "No such subscription"),
              (status = 429, description = "Too many wrong links from this address; Retry-After has the number of seconds to wait")))]
#[handler]
async fn fetch_as(
    state: &State,
    client: Client,
    request: &HttpRequest,
    link: LinkAs<'_>,
) -> Result<Response, ApiError> {
    let format = format_named("client_type", link.client_type)?;
    let subscriber = state.subscriber(link.username, link.key, &client).await?;
    let Subscriber { user, sources, .. } = &subscriber;
    let turn = state.turns.take(sources.has_many_hosts(user)).await?;
    Ok(subscriber.mark(state.subscription(format, user, sources, &client, request, &turn)))
}

/// The format of this name; an error of `field` if there is none.
pub(in crate::api) fn format_named(field: &str, name: &str) -> Result<&'static Format, FieldErrors> {
    Format::from_client_type(name).ok_or_else(|| {
        let known: Vec<_> = Format::client_types().collect();
        FieldErrors::one(field, format!("must be one of: {}", known.join(", ")))
    })
}
