//! The web page of a subscription, which browsers get, and responses with pages.

use poem::http::header;
use poem::{Body, Response};

use super::turns::Turn;
use crate::actions::subscriptions::Sources;
use crate::api::http::client::Client;
use crate::api::http::security_headers::BUILT_IN_PAGE;
use crate::api::state::State;
use crate::domain::user::User;
use crate::foundation::with_sources;
use crate::subscription::headers::ascii;
use crate::subscription::pages::{PageError, Support};
use crate::subscription::{formats, render};

impl State {
    /// Returns the web page of a subscription.
    pub(in crate::api) fn user_page(&self, user: &User, sources: &Sources, client: &Client, turn: &Turn) -> Response {
        let now = self.panel.clock.now();
        // Inactive users get no links.
        let links = if user.is_active(now) {
            render(&formats::LINKS, &self.rendering(user, sources, "", turn), &mut self.rng.fork()).body
        } else {
            String::new()
        };
        let links: Vec<&str> = links.lines().collect();
        let settings = &sources.settings;
        let document = self.user_document(user.clone());
        let link = &document.subscription_url;
        // Without a prefix in the settings the link is a path, which apps can't fetch.
        let link = if link.starts_with('/') { ascii(&client.url(link)) } else { ascii(link) };
        let (profile_title, support_link) = (&settings.profile_title, &settings.support_link);
        let support = Support { profile_title, support_link, link: &link, now };
        let pages = &self.options.render_context.templates.pages;
        let (page, error) = pages.user(&document, &links, support);
        let is_own = pages.has_own_user_page() && error.is_none();
        response(page, error, self.page_policy(is_own))
    }

    /// Returns the Content-Security-Policy of a page: the operator's own ones may load from elsewhere.
    pub(in crate::api) fn page_policy(&self, is_own: bool) -> &str {
        if is_own { &self.options.subscription.own_page_policy } else { BUILT_IN_PAGE }
    }
}

/// Returns a page. `error` is that of the operator's own page, if the built-in one replaces it.
pub(in crate::api) fn response(page: String, error: Option<PageError>, policy: &str) -> Response {
    if let Some(error) = error {
        tracing::error!(error = with_sources(&error), "could not use the page template; used the built-in one");
    }
    // The URL of a subscription is a secret, so the page must not be cached.
    Response::builder()
        .content_type("text/html; charset=utf-8")
        .header(header::CACHE_CONTROL, "no-store")
        .header(header::CONTENT_SECURITY_POLICY, policy)
        .body(Body::from_string(page))
}
