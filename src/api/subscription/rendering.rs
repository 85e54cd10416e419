//! Responses with a rendered subscription: its headers, its entity tag, its body.

use std::borrow::Cow;

use poem::http::{HeaderName, HeaderValue, StatusCode, header};
use poem::{Body, Request as HttpRequest, Response};
use rand::Rng as _;

use super::turns::Turn;
use crate::actions::subscriptions::Sources;
use crate::api::http::client::Client as HttpClient;
use crate::api::http::etag::is_current;
use crate::api::state::State;
use crate::domain::user::User;
use crate::foundation::with_sources;
use crate::subscription::etag::etag;
use crate::subscription::headers::headers;
use crate::subscription::{Format, LeftOut, Request, render};

/// Headers of a response, including those that are added later.
const MAX_HEADERS: usize = 16;

impl State {
    /// Returns a subscription, or 304 if the client has it already.
    pub(super) fn subscription(
        &self,
        format: &Format,
        user: &User,
        sources: &Sources,
        client: &HttpClient,
        http: &HttpRequest,
        turn: &Turn,
    ) -> Response {
        let agent = user_agent(http);
        let request = self.rendering(user, sources, &agent, turn);
        // A subscription that is rendered with random values has no tag.
        let etag = etag(format, &request, sources.revision.wrapping_add(self.render_context_revision));
        let is_current = etag.as_ref().is_some_and(|etag| is_current(http, etag));
        let mut response = Response::default();
        let values = headers(user, &sources.settings, &self.own_url(user, client, http), request.client);
        let values = values.into_iter().map(|(name, value)| (HeaderName::from_static(name), value));
        response.headers_mut().reserve(MAX_HEADERS);
        for (name, value) in values.chain(etag.map(|etag| (header::ETAG, etag))) {
            // All values are ASCII, so none is dropped.
            if let Ok(value) = HeaderValue::try_from(value) {
                response.headers_mut().insert(name, value);
            }
        }
        if is_current {
            response.set_status(StatusCode::NOT_MODIFIED);
            return response;
        }
        let rendered = render(format, &request, &mut self.rng.fork());
        for LeftOut { host, reason } in rendered.left_out {
            tracing::debug!(
                user = user.id.0,
                host = host.0,
                format = format.client_type,
                "host left out of a subscription: {reason}"
            );
        }
        if let Some(error) = rendered.template_error {
            tracing::error!(
                error = with_sources(&error),
                "could not use the subscription template; used the built-in one"
            );
        }
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(format.content_type));
        response.set_body(Body::from_string(rendered.body));
        response
    }

    /// Returns everything that a rendering for this user depends on. Who renders has taken a turn, if that is expensive.
    pub(in crate::api) fn rendering<'a>(
        &'a self,
        user: &'a User,
        sources: &'a Sources,
        user_agent: &'a str,
        _: &'a Turn,
    ) -> Request<'a> {
        sources.request(&self.options.render_context, user, user_agent, self.panel.clock.now())
    }

    /// Returns the URL of the request. The prefix in the settings wins over that by which the client reached the panel.
    fn own_url(&self, user: &User, client: &HttpClient, request: &HttpRequest) -> String {
        let mut rng = self.rng.fork();
        let mut url = user.link_prefix(&self.options.subscription.url_prefix, || rng.next_u64());
        let uri = request.original_uri();
        url.push_str(uri.path_and_query().map_or(uri.path(), |path| path.as_str()));
        if url.starts_with('/') { client.url(&url) } else { url }
    }
}

/// Returns the User-Agent; empty if there is none.
pub(super) fn user_agent(request: &HttpRequest) -> Cow<'_, str> {
    let agent = request.headers().get(header::USER_AGENT).map(|agent| String::from_utf8_lossy(agent.as_bytes()));
    agent.unwrap_or_default()
}
