//! Subscriptions: from a user and the hosts to what client programs read. Pure; time and chance are arguments.

pub mod catalogue;
pub mod client;
mod early_data;
pub mod entry;
pub mod headers;
mod links;
mod percent;
pub mod templates;
mod unique;
mod vmess_link;
mod wireguard_address;
mod xmux;
mod xray;

use rand::Rng;

use crate::domain::credentials::KeyDerivation;
use crate::domain::host::HostSpec;
use crate::domain::moment::Moment;
use crate::domain::subscription_settings::{RuleResult, SubscriptionSettings};
use crate::domain::user::User;

use catalogue::Catalogue;
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
}

/// Everything that a rendering depends on, but chance.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Whose subscription.
    pub user: &'a User,
    /// The hosts to choose from.
    pub catalogue: &'a Catalogue,
    /// Order and placeholder.
    pub settings: &'a SubscriptionSettings,
    /// The fixed parts.
    pub templates: &'a Templates,
    /// How credentials come from keys.
    pub derivation: KeyDerivation,
    /// The panel's own address, for hosts that name it.
    pub server_ip: &'a str,
    /// When.
    pub now: Moment,
}

impl Format {
    /// From the last part of a subscription's URL.
    pub fn from_client_type(word: &str) -> Option<Self> {
        Some(match word {
            "links" => Self::Links,
            "v2ray" => Self::Base64Links,
            "xray" => Self::Xray,
            _ => return None,
        })
    }

    /// From a rule's result; `None`: the web page, or nothing.
    pub const fn from_rule(result: RuleResult) -> Option<Self> {
        match result {
            RuleResult::Links => Some(Self::Links),
            RuleResult::Base64Links => Some(Self::Base64Links),
            RuleResult::Xray => Some(Self::Xray),
            _ => None,
        }
    }

    /// The media type.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Links | Self::Base64Links => "text/plain; charset=utf-8",
            Self::Xray => "application/json",
        }
    }
}

/// Renders a user's subscription.
pub fn render(format: Format, request: &Request<'_>, chance: &mut dyn Rng) -> String {
    let blank = HostSpec::default();
    let credentials = crate::domain::credentials::Credentials::derive(&request.user.key, request.derivation);
    let entries = entry::entries(format, request, &credentials, &blank, chance);
    match format {
        Format::Links => links::render(&entries),
        Format::Base64Links => links::render_base64(&entries),
        Format::Xray => xray::render(&entries, &request.templates.xray),
    }
}
