//! `/sub/{username}/{key}`: what users' apps fetch. The key is the authentication.

pub mod page;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use poem::http::{HeaderName, HeaderValue, StatusCode, header};
use poem::{Body, FromRequest, Request as HttpRequest, RequestBody, Response, handler};
use subtle::ConstantTimeEq as _;
use tokio::time::Instant;
use utoipa::{IntoParams, OpenApi};

use super::state::State;
use crate::actions::attempt_limiter::Subject;
use crate::actions::subscriptions::Sources;
use crate::api::http::body::Json;
use crate::api::http::client::Client;
use crate::api::http::error::ApiError;
use crate::api::http::field_errors::FieldErrors;
use crate::api::http::routes::{Routes, get};
use crate::domain::host::variables::HostVariables;
use crate::domain::subscription_settings::RuleResult;
use crate::domain::user::User;
use crate::domain::user::document::UserDocument;
use crate::foundation::with_sources;
use crate::subscription::etag::etag;
use crate::subscription::headers::headers;
use crate::subscription::{Format, LeftOut, Request, render};

/// So long after its request a wrong link is answered: longer than finding out what is wrong with it takes.
const MISS_TIME: Duration = Duration::from_millis(25);

/// Headers of an answer, with those that are added on its way.
const MOST_HEADERS: usize = 12;

/// The operations of this file.
#[derive(OpenApi)]
#[openapi(paths(fetch, info, fetch_as))]
pub(in crate::api) struct Doc;

pub(in crate::api) fn routes(routes: Routes) -> Routes {
    routes
        .at("/sub/:username/:key", get(fetch))
        .at("/sub/:username/:key/info", get(info))
        .at("/sub/:username/:key/:client_type", get(fetch_as))
}

/// A subscription. Any text may be asked for: what is no user's link is answered as one that is wrong.
#[derive(Clone, Copy, IntoParams)]
#[into_params(parameter_in = Path)]
pub(in crate::api) struct Link<'a> {
    /// The user's name.
    pub username: &'a str,
    /// The user's key.
    pub key: &'a str,
}

/// A subscription in a given format.
#[derive(Clone, Copy, IntoParams)]
#[into_params(parameter_in = Path)]
struct LinkAs<'a> {
    /// The user's name.
    username: &'a str,
    /// The user's key.
    key: &'a str,
    /// links, v2ray (which is base64 of links), xray, sing-box, clash, clash-meta or wireguard.
    client_type: &'a str,
}

impl<'a> FromRequest<'a> for Link<'a> {
    async fn from_request(request: &'a HttpRequest, _: &mut RequestBody) -> poem::Result<Self> {
        Ok(Self { username: part(request, "username"), key: part(request, "key") })
    }
}

impl<'a> FromRequest<'a> for LinkAs<'a> {
    async fn from_request(request: &'a HttpRequest, body: &mut RequestBody) -> poem::Result<Self> {
        let Link { username, key } = Link::from_request(request, body).await?;
        Ok(Self { username, key, client_type: part(request, "client_type") })
    }
}

/// A part of the path, which the route says is there.
fn part<'a>(request: &'a HttpRequest, name: &str) -> &'a str {
    request.raw_path_param(name).unwrap_or_default()
}

/// Fetches a subscription in the format that suits the program: its User-Agent decides. Browsers get a page.
#[utoipa::path(get, path = "/sub/{username}/{key}", tag = "Subscription", security(()),
    params(Link, ("user-agent" = Option<String>, Header, description = "What the program calls itself.")),
    responses((status = 200, description = "The configuration, or the page",
               content((String = "text/plain"), (String = "application/json"), (String = "text/yaml"),
                       (String = "text/html"))),
              (status = 404, description = "No such subscription, or the program is blocked"),
              (status = 429, description = "Too many wrong links from this address")))]
#[handler]
async fn fetch(state: &State, client: Client, request: &HttpRequest, link: Link<'_>) -> Result<Response, ApiError> {
    let user = state.subscriber(link.username, link.key, &client).await?;
    let sources = state.sources.get(&state.panel.db, &state.panel.clock).await?;
    let agent = user_agent(request);
    if !state.options.http.read_only {
        state.fetches.note(user.id, state.panel.clock.now(), &agent);
    }
    let is_browser = request.header(header::ACCEPT).is_some_and(|accept| accept.contains("text/html"));
    if sources.settings.template_on_acceptance && is_browser {
        return Ok(state.user_page(&user, &sources, &client));
    }
    match sources.rules.result(&agent) {
        Some(RuleResult::Template) => Ok(state.user_page(&user, &sources, &client)),
        Some(result) => {
            let format = Format::from_rule(result).ok_or_else(nothing)?;
            Ok(state.subscription(format, &user, &sources, &client, request))
        }
        None => Err(nothing()),
    }
}

/// Shows the user of a subscription.
#[utoipa::path(get, path = "/sub/{username}/{key}/info", tag = "Subscription", security(()), params(Link),
    responses((status = 200, body = UserDocument), (status = 404, description = "No such subscription"),
              (status = 429, description = "Too many wrong links from this address")))]
#[handler]
async fn info(state: &State, client: Client, link: Link<'_>) -> Result<Json<UserDocument>, ApiError> {
    let user = state.subscriber(link.username, link.key, &client).await?;
    Ok(Json(state.user_document((*user).clone())))
}

/// Fetches a subscription in a given format.
#[utoipa::path(get, path = "/sub/{username}/{key}/{client_type}", tag = "Subscription", security(()), params(LinkAs),
    responses((status = 200, description = "The configuration",
               content((String = "text/plain"), (String = "application/json"), (String = "text/yaml"))),
              (status = 404, description = "No such subscription"),
              (status = 429, description = "Too many wrong links from this address")))]
#[handler]
async fn fetch_as(
    state: &State,
    client: Client,
    request: &HttpRequest,
    link: LinkAs<'_>,
) -> Result<Response, ApiError> {
    let format = Format::from_client_type(link.client_type).ok_or_else(|| {
        FieldErrors::one("client_type", "must be one of: links, v2ray, xray, sing-box, clash, clash-meta, wireguard")
    })?;
    let user = state.subscriber(link.username, link.key, &client).await?;
    let sources = state.sources.get(&state.panel.db, &state.panel.clock).await?;
    Ok(state.subscription(format, &user, &sources, &client, request))
}

impl State {
    /// The user whose link this is. Wrong links count against their sender; right ones never do, because many users
    /// may share an address.
    pub(in crate::api) async fn subscriber(
        &self,
        username: &str,
        key: &str,
        client: &Client,
    ) -> Result<Arc<User>, ApiError> {
        // Whatever is wrong, the answer comes at the same moment, so that its time tells nothing: not whether there is
        // such a user, nor whether somebody has just asked for it, nor how much of the key is right.
        let due = Instant::now() + MISS_TIME;
        let user = self.users.recent_user(username).await?;
        let known = user.as_ref().map_or("", |user| user.key.as_str());
        let is_right: bool = known.as_bytes().ct_eq(key.as_bytes()).into();
        // A key that is no hexadecimal text was given by hand, and opens nothing.
        let can_be = !key.is_empty() && key.bytes().all(|digit| digit.is_ascii_hexdigit());
        if let Some(user) = user.filter(|_| is_right && can_be) {
            return Ok(user);
        }
        let refusal = match client.address {
            None => nothing(),
            Some(address) => match self.misses.begin(vec![Subject::address(address)], self.panel.clock.boot()).await {
                // Dropped without a word, the attempt stays counted.
                Ok(_counted) => nothing(),
                Err(full) => ApiError::too_many_requests(full.retry_after),
            },
        };
        Err(refusal.not_before(due))
    }

    fn subscription(
        &self,
        format: Format,
        user: &User,
        sources: &Sources,
        client: &Client,
        http: &HttpRequest,
    ) -> Response {
        let agent = user_agent(http);
        let request = self.rendering(user, sources, &agent);
        // SharedRng makes each rendering another one: then there is no tag, and nothing to compare.
        let etag = etag(format, &request, sources.revision.wrapping_add(self.render_context_revision));
        let known = etag.as_ref().is_some_and(|etag| {
            let known = http.header(header::IF_NONE_MATCH).unwrap_or_default();
            // A proxy that compresses makes a tag weak.
            known.split(',').any(|known| known.trim().trim_start_matches("W/") == etag)
        });
        let mut response = Response::default();
        let said = headers(user, &sources.settings, &own_url(client, http));
        let said = said.into_iter().map(|(name, value)| (HeaderName::from_static(name), value));
        response.headers_mut().reserve(MOST_HEADERS);
        for (name, value) in said.chain(etag.map(|etag| (header::ETAG, etag))) {
            // All of them are plain ASCII.
            if let Ok(value) = HeaderValue::try_from(value) {
                response.headers_mut().insert(name, value);
            }
        }
        if known {
            response.set_status(StatusCode::NOT_MODIFIED);
            return response;
        }
        let rendered = render(format, &request, &mut self.rng.fork());
        for LeftOut { host, reason } in rendered.left_out {
            tracing::debug!(user = user.id.0, host = host.0, ?format, "the host is left out: {reason}");
        }
        if let Some(error) = rendered.template_error {
            tracing::error!(error = with_sources(&error), "the built-in template is used instead");
        }
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(format.content_type()));
        response.set_body(Body::from_string(rendered.body));
        response
    }

    /// What a rendering for this user depends on.
    pub(in crate::api) fn rendering<'a>(
        &'a self,
        user: &'a User,
        sources: &'a Sources,
        user_agent: &'a str,
    ) -> Request<'a> {
        let render_context = &self.options.render_context;
        Request {
            variables: HostVariables::of(user, &render_context.server_ip, self.panel.clock.now()),
            catalogue: &sources.catalogue,
            settings: &sources.settings,
            templates: &render_context.templates,
            derivation: render_context.derivation,
            user_agent,
        }
    }
}

/// The address of the request, as its sender wrote it.
fn own_url(client: &Client, request: &HttpRequest) -> String {
    let uri = request.original_uri();
    client.url(uri.path_and_query().map_or(uri.path(), |path| path.as_str()))
}

/// What the program calls itself; empty when it does not.
fn user_agent(request: &HttpRequest) -> Cow<'_, str> {
    let agent = request.headers().get(header::USER_AGENT).map(|agent| String::from_utf8_lossy(agent.as_bytes()));
    agent.unwrap_or_default()
}

fn nothing() -> ApiError {
    ApiError::not_found("The subscription")
}
