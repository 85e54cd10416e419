//! The web page that browsers get for a subscription, and how pages are answered.

use poem::http::header;
use poem::{Body, Response};

use crate::actions::subscriptions::Sources;
use crate::api::http::client::Client;
use crate::api::state::State;
use crate::domain::user::User;
use crate::foundation::with_sources;
use crate::subscription::headers::ascii;
use crate::subscription::pages::{PageError, Support};
use crate::subscription::{Format, render};

impl State {
    /// A subscription's page.
    pub(in crate::api) fn user_page(&self, user: &User, sources: &Sources, client: &Client) -> Response {
        let now = self.panel.clock.now();
        // A user whose account does not work has no use for them.
        let links = if user.is_active(now) {
            render(Format::Links, &self.rendering(user, sources, ""), &mut self.rng.fork()).body
        } else {
            String::new()
        };
        let links: Vec<&str> = links.lines().collect();
        let settings = &sources.settings;
        let document = self.user_document(user.clone());
        let link = &document.subscription_url;
        // Without a prefix in the settings it begins with a slash: nothing that an app could fetch.
        let link = if link.starts_with('/') { ascii(&client.url(link)) } else { ascii(link) };
        let (profile_title, support_link) = (&settings.profile_title, &settings.support_link);
        let support = Support { profile_title, support_link, link: &link, now };
        let (page, error) = self.options.render_context.templates.pages.user(&document, &links, support);
        response(page, error)
    }
}

/// A page; the error is that of the operator's own one, in whose place it is.
pub(in crate::api) fn response(page: String, error: Option<PageError>) -> Response {
    if let Some(error) = error {
        tracing::error!(error = with_sources(&error), "the built-in page is shown instead");
    }
    // The address of a subscription is a secret: it is told to nobody else and kept nowhere.
    Response::builder()
        .content_type("text/html; charset=utf-8")
        .header(header::CACHE_CONTROL, "no-store")
        .header(header::REFERRER_POLICY, "no-referrer")
        .body(Body::from_string(page))
}
