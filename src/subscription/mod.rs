//! Subscriptions: from a user and the hosts to what client programs read. Pure; time and chance are arguments.

pub mod catalogue;
mod clash;
pub mod client;
mod early_data;
mod entry;
pub mod etag;
pub mod headers;
mod json;
mod links;
pub mod pages;
mod percent;
mod shadowsocks;
mod sing_box;
pub mod templates;
mod unique;
mod vmess_link;
mod wireguard;
mod wireguard_address;
mod xmux;
mod xray;
mod yaml;

use rand::Rng;

use crate::domain::credentials::{Credentials, KeyDerivation};
use crate::domain::host::HostSpec;
use crate::domain::host::variables::HostVariables;
use crate::domain::ids::HostId;
use crate::domain::subscription_settings::{RuleResult, SubscriptionSettings};

use catalogue::Catalogue;
use clash::Dialect;
use pages::PageError;
use templates::Templates;

/// What a subscription can look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Share links, one a line.
    Links,
    /// The same in base64.
    Base64Links,
    /// A JSON list of whole Xray configurations.
    Xray,
    /// sing-box's configuration.
    SingBox,
    /// Clash's configuration.
    Clash,
    /// Clash.Meta's (Mihomo's) configuration.
    ClashMeta,
    /// A JSON list of WireGuard's configuration files.
    WireGuard,
}

/// Everything that a rendering depends on, but chance.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// Whose subscription, when, and what hosts' templates can say of that.
    pub variables: HostVariables<'a>,
    /// The hosts to choose from.
    pub catalogue: &'a Catalogue,
    /// Order and placeholder.
    pub settings: &'a SubscriptionSettings,
    /// The fixed parts.
    pub templates: &'a Templates,
    /// How credentials come from keys.
    pub derivation: KeyDerivation,
    /// What the program that asks calls itself. Some need another document than their elders; empty: nothing known.
    pub user_agent: &'a str,
}

impl Request<'_> {
    /// Whether all that there is to show is why the account does not work.
    fn is_for_placeholder(&self) -> bool {
        self.settings.placeholder_if_disabled && !self.variables.user().is_active(self.variables.now())
    }
}

/// A subscription, rendered.
#[derive(Debug)]
pub struct Rendered {
    /// The document.
    pub body: String,
    /// The hosts that the user has and the document does not.
    pub left_out: Vec<LeftOut>,
    /// What is wrong with the operator's template, in whose place the built-in one was taken.
    pub template_error: Option<PageError>,
}

/// A host that is not in a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// The host.
    pub host: HostId,
    /// Why, in words that follow "host 7 is left out:".
    pub reason: &'static str,
}

impl Format {
    /// The words that end a subscription's URL, with what they give.
    const BY_CLIENT_TYPE: [(&'static str, Self); 7] = [
        ("links", Self::Links),
        ("v2ray", Self::Base64Links),
        ("xray", Self::Xray),
        ("sing-box", Self::SingBox),
        ("clash", Self::Clash),
        ("clash-meta", Self::ClashMeta),
        ("wireguard", Self::WireGuard),
    ];

    /// All words that [`Self::from_client_type`] knows.
    pub fn client_types() -> [&'static str; 7] {
        Self::BY_CLIENT_TYPE.map(|(word, _)| word)
    }

    /// From the last part of a subscription's URL.
    pub fn from_client_type(word: &str) -> Option<Self> {
        Self::BY_CLIENT_TYPE.into_iter().find(|(known, _)| *known == word).map(|(_, format)| format)
    }

    /// From a rule's result; `None`: the web page, or nothing.
    pub const fn from_rule(result: RuleResult) -> Option<Self> {
        match result {
            RuleResult::Links => Some(Self::Links),
            RuleResult::Base64Links => Some(Self::Base64Links),
            RuleResult::Xray => Some(Self::Xray),
            RuleResult::SingBox => Some(Self::SingBox),
            RuleResult::Clash => Some(Self::Clash),
            RuleResult::ClashMeta => Some(Self::ClashMeta),
            RuleResult::Template | RuleResult::Block => None,
        }
    }

    /// The media type.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Links | Self::Base64Links => "text/plain; charset=utf-8",
            Self::Clash | Self::ClashMeta => "text/yaml; charset=utf-8",
            Self::Xray | Self::SingBox | Self::WireGuard => "application/json",
        }
    }
}

/// Renders a user's subscription.
pub fn render(format: Format, request: &Request<'_>, chance: &mut dyn Rng) -> Rendered {
    let blank = HostSpec::default();
    let credentials = Credentials::derive(&request.variables.user().key, request.derivation);
    let (entries, left_out) = entry::entries(format, request, &credentials, &blank, chance);
    let templates = request.templates;
    let mut template_error = None;
    let mut clash = |dialect| {
        let (text, error) = clash::render(dialect, &entries, &templates.clash, &templates.pages);
        template_error = error;
        text
    };
    let body = match format {
        Format::Links => links::render(&entries),
        Format::Base64Links => links::render_base64(&entries),
        Format::Xray => xray::render(&entries, &templates.xray),
        Format::SingBox => sing_box::render(&entries, &templates.sing_box, request.user_agent),
        Format::Clash => clash(Dialect::Clash),
        Format::ClashMeta => clash(Dialect::Meta),
        Format::WireGuard => wireguard::render(&entries),
    };
    Rendered { body, left_out, template_error }
}
