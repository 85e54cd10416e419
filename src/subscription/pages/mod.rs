//! Web pages and documents from Jinja templates, built in or the operator's. All texts are loaded at start, so that
//! rendering opens no file, and each rendering has a work limit, so that a loop in a template ends.

mod filters;
mod python;
mod sample;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, Value, context};
pub use sample::nobody;
use serde::Serialize;

use crate::domain::moment::{DAY, Moment};
use crate::domain::user::document::UserDocument;

const USER_PAGE: &str = "built-in/subscription.html";
const HOME_PAGE: &str = "built-in/home.html";

/// The work limit of a rendering, in instructions and in 64-byte pieces of output: enough for thousands of links.
const FUEL: u64 = 2_000_000;

/// The deepest nesting of templates and macros.
const MAX_DEPTH: usize = 50;

/// The names of the operator's templates; `None`: the built-in template.
#[derive(Clone, Debug, Default)]
pub struct PageNames {
    /// A user's page.
    pub user: Option<String>,
    /// The page at `/`.
    pub home: Option<String>,
    /// Clash configurations.
    pub clash: Option<String>,
}

/// All Jinja templates.
#[derive(Clone)]
pub struct Pages {
    environment: Environment<'static>,
    names: PageNames,
    texts: Arc<BTreeMap<String, String>>,
}

/// A template cannot be rendered.
#[derive(Debug, thiserror::Error)]
#[error("could not render the template {name}")]
pub struct PageError {
    name: String,
    #[source]
    source: Box<minijinja::Error>,
}

/// The values of a user's page besides the user.
#[derive(Clone, Copy, Debug)]
pub struct Support<'a> {
    /// The name of the subscription.
    pub profile_title: &'a str,
    /// The support link.
    pub support_link: &'a str,
    /// The user's subscription link, always with a host name.
    pub link: &'a str,
    /// The current time.
    pub now: Moment,
}

impl Pages {
    /// Loads texts by their path within the operator's folder. They can extend `built-in/subscription.html` and
    /// `built-in/home.html`.
    pub fn new(mut texts: BTreeMap<String, String>, names: PageNames) -> Self {
        texts.insert(USER_PAGE.to_owned(), include_str!("subscription.html").to_owned());
        texts.insert(HOME_PAGE.to_owned(), include_str!("home.html").to_owned());
        let texts = Arc::new(texts);
        let mut environment = Environment::new();
        let loaded = Arc::clone(&texts);
        environment.set_loader(move |name| loaded.get(name).map(|text| python::rewritten(text)).transpose());
        // Only pages are escaped: existing templates expect that.
        environment.set_auto_escape_callback(|name| match name.rsplit_once('.') {
            Some((_, "html" | "htm" | "xml")) => AutoEscape::Html,
            _ => AutoEscape::None,
        });
        environment.set_fuel(Some(FUEL));
        environment.set_recursion_limit(MAX_DEPTH);
        python::add_all(&mut environment);
        filters::add_all(&mut environment);
        Self { environment, names, texts }
    }

    /// Renders the operator's page of users for two samples, one with all optional values and one without. An error for one
    /// of them alone is second: the page serves for the others.
    pub fn check_user(&self) -> (Result<(), PageError>, Result<(), PageError>) {
        let Some(name) = self.names.user.as_deref() else { return (Ok(()), Ok(())) };
        let support = Support {
            profile_title: "title",
            support_link: "https://support.example",
            link: "https://panel.example/sub",
            now: sample::NOW,
        };
        let page = |user, links| self.user_page(name, &user, links, support).map(drop);
        match (page(nobody(), &["link"]), page(sample::newcomer(), &[])) {
            (Err(error), Err(_)) => (Err(error), Ok(())),
            (one, other) => (Ok(()), one.and(other)),
        }
    }

    /// Renders the operator's page at `/`.
    pub fn check_home(&self) -> Result<(), PageError> {
        self.names.home.as_deref().map_or(Ok(()), |name| self.home_page(name, sample::NOW).map(drop))
    }

    /// Renders the operator's template for Clash, and returns the document.
    pub fn check_clash(&self) -> Result<Option<String>, PageError> {
        let conf = serde_json::json!({"mode": "rule", "rules": [], "proxies": [{"name": "a", "type": "ss"}],
            "proxy-groups": [{"name": "b", "type": "select", "proxies": ["a"]}]});
        self.names.clash.as_deref().map(|name| self.clash(name, &conf, &["a"], sample::NOW)).transpose()
    }

    /// Renders a template that has no values but `now()`.
    pub fn plain(&self, name: &str) -> Result<String, PageError> {
        self.home_page(name, sample::NOW)
    }

    /// The same templates, of which others are used.
    pub fn with_names(self, names: PageNames) -> Self {
        Self { names, ..self }
    }

    /// The names of the templates that are used.
    pub const fn names(&self) -> &PageNames {
        &self.names
    }

    /// Renders a user's page with its share links. With an error in the operator's template, returns the built-in page and
    /// the error.
    pub fn user(&self, user: &UserDocument, links: &[&str], support: Support<'_>) -> (String, Option<PageError>) {
        Self::or_built_in(self.names.user.as_deref(), USER_PAGE, |name| self.user_page(name, user, links, support))
    }

    /// Renders the page at `/`, with the same fallback.
    pub fn home(&self, now: Moment) -> (String, Option<PageError>) {
        Self::or_built_in(self.names.home.as_deref(), HOME_PAGE, |name| self.home_page(name, now))
    }

    /// True if users get the operator's own page.
    pub const fn has_own_user_page(&self) -> bool {
        self.names.user.is_some()
    }

    /// True if `/` is the operator's own page.
    pub const fn has_own_home_page(&self) -> bool {
        self.names.home.is_some()
    }

    /// The name of the operator's template for Clash configurations, if there is one.
    pub(super) fn clash_page(&self) -> Option<&str> {
        self.names.clash.as_deref()
    }

    /// Renders the operator's template for Clash configurations. `conf` is the configuration that is rendered without
    /// a template; `names` are those of its proxies.
    pub(super) fn clash(
        &self,
        page: &str,
        conf: &impl Serialize,
        names: &[&str],
        now: Moment,
    ) -> Result<String, PageError> {
        let now = python::now(now.into());
        self.render(page, context! { conf => Serde(conf), proxy_remarks => Serde(names), now => now })
    }

    fn home_page(&self, name: &str, now: Moment) -> Result<String, PageError> {
        self.render(name, context! { now => python::now(now.into()) })
    }

    fn user_page(
        &self,
        name: &str,
        user: &UserDocument,
        links: &[&str],
        support: Support<'_>,
    ) -> Result<String, PageError> {
        // Rounded up; negative when the date has passed.
        let days_left = user.expire_date.map(|at| at.since(support.now).div_euclid(DAY) + 1);
        let Support { profile_title, support_link, link, now } = support;
        self.render(
            name,
            context! {
                user => python::user(user),
                link => link,
                links => Serde(links),
                support => context! { profile_title, support_link, link, now => Value::from_object(python::Date::from(now)) },
                days_left => days_left,
                now => python::now(now.into()),
            },
        )
    }

    fn or_built_in(
        own: Option<&str>,
        built_in: &str,
        render: impl Fn(&str) -> Result<String, PageError>,
    ) -> (String, Option<PageError>) {
        let error = match own.map(&render) {
            Some(Ok(page)) => return (page, None),
            Some(Err(error)) => Some(error),
            None => None,
        };
        match render(built_in) {
            Ok(page) => (page, error),
            // Tests cover the built-in pages. If one fails nevertheless, the page is empty and the error is returned.
            Err(wrong) => (String::new(), error.or(Some(wrong))),
        }
    }

    fn render(&self, name: &str, values: minijinja::Value) -> Result<String, PageError> {
        let rendered = self.environment.get_template(name).and_then(|template| template.render(values));
        rendered.map_err(|source| PageError { name: name.to_owned(), source: Box::new(source) })
    }
}

impl Default for Pages {
    fn default() -> Self {
        Self::new(BTreeMap::new(), PageNames::default())
    }
}

/// Shows the texts, without the environment made from them.
impl fmt::Debug for Pages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pages").field("names", &self.names).field("texts", &self.texts).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pages(text: &str) -> Pages {
        let names = PageNames { user: Some("own/page.html".to_owned()), ..PageNames::default() };
        let texts = [("own/page.html", text), ("own/part.html", "part of {{ user.username }}")];
        Pages::new(texts.map(|(name, text)| (name.to_owned(), text.to_owned())).into(), names)
    }

    fn page(text: &str) -> (String, Option<PageError>) {
        let user = UserDocument { username: "<ann>".to_owned(), used_traffic: 1536, ..nobody() };
        pages(text).user(
            &user,
            &["vless://a?b&c"],
            Support {
                profile_title: "title",
                support_link: "t.me/x",
                link: "https://panel.example/sub",
                now: sample::NOW,
            },
        )
    }

    #[test]
    fn operators_page_shows_user_and_links() {
        let own = "{{ user.username }} {{ user.used_traffic | bytesformat }} {{ links | join }} {{ support.profile_title }} \
                   {% include 'own/part.html' %} {{ user.created_at | datetime }} {{ missing }}";
        let (text, error) = page(own);
        assert!(error.is_none());
        assert_eq!(text, "&lt;ann&gt; 1.5 KB vless://a?b&amp;c title part of &lt;ann&gt; 2026-11-23 20:36:25 ");
        let (extended, error) = page("{% extends 'built-in/subscription.html' %}");
        assert!(error.is_none() && extended.contains("&lt;ann&gt;"));
    }

    #[test]
    fn broken_page_is_reported_and_replaced_by_the_built_in_one() {
        for broken in [
            "{{",
            "{% include '../../etc/passwd' %}",
            "{% include '/etc/passwd' %}",
            "{{ user.username.nothing.further }}",
            "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}",
            "{{ 'a' * 1000000000 }}",
            "{% include 'own/page.html' %}",
            "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
            "{{ 1 | nothing }}",
        ] {
            let (text, error) = page(broken);
            assert!(error.unwrap().to_string().contains("own/page.html"), "{broken}");
            assert!(text.contains("&lt;ann&gt;"), "{broken}");
            assert!(pages(broken).check_user().0.is_err(), "{broken}");
        }
        for right in [pages("{{ user.username }}"), Pages::default()] {
            assert!(matches!(right.check_user(), (Ok(()), Ok(()))));
        }
        let for_some = pages("{{ user.expire_date.strftime('%Y') }}").check_user();
        assert!(matches!(for_some, (Ok(()), Err(_))), "{for_some:?}");
    }

    #[test]
    fn built_in_pages_load_nothing_external() {
        let user = UserDocument { data_limit: Some(3072), used_traffic: 1536, ..nobody() };
        let (profile_title, support_link) = ("My <title>", "javascript:alert(1)");
        let support = Support { profile_title, support_link, link: "https://panel.example/sub/a", now: sample::NOW };
        let (text, error) = Pages::default().user(&user, &["vless://a"], support);
        assert!(error.is_none(), "{error:?}");
        assert!(text.contains("<svg") && text.contains("1.5 KB") && text.contains("vless://a"), "{text}");
        assert!(text.contains("<code>https://panel.example/sub/a</code>"), "{text}");
        for elsewhere in ["src=", "url(", "@import", "<script", "My <title>", "href=\"javascript:"] {
            assert!(!text.contains(elsewhere), "{elsewhere}");
        }
        let (home, error) = Pages::default().home(sample::NOW);
        assert!(error.is_none() && home.starts_with("<!doctype html>"));
    }
}
