//! The web page of a subscription, which browsers get, and responses with pages.

use poem::http::header;
use poem::{Body, Response};

use crate::actions::subscriptions::Sources;
use crate::api::http::client::Client;
use crate::api::state::State;
use crate::domain::user::User;
use crate::foundation::with_sources;
use crate::subscription::headers::ascii;
use crate::subscription::pages::{PageError, Support};
use crate::subscription::{formats, render};

impl State {
    /// Returns the web page of a subscription.
    pub(in crate::api) fn user_page(&self, user: &User, sources: &Sources, client: &Client) -> Response {
        let now = self.panel.clock.now();
        // Inactive users get no links.
        let links = if user.is_active(now) {
            render(&formats::LINKS, &self.rendering(user, sources, ""), &mut self.rng.fork()).body
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
        let (page, error) = self.options.render_context.templates.pages.user(&document, &links, support);
        response(page, error)
    }
}

/// Returns a page. `error` is that of the operator's own page, if the built-in one replaces it.
pub(in crate::api) fn response(page: String, error: Option<PageError>) -> Response {
    if let Some(error) = error {
        tracing::error!(error = with_sources(&error), "could not use the page template; used the built-in one");
    }
    // The URL of a subscription is a secret, so it must not be cached or sent as referrer.
    Response::builder()
        .content_type("text/html; charset=utf-8")
        .header(header::CACHE_CONTROL, "no-store")
        .header(header::REFERRER_POLICY, "no-referrer")
        .body(Body::from_string(page))
}
