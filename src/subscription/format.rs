//! The rules of one subscription format: how clients ask for it, which hosts it can express, and how it renders.

use crate::domain::client_rule::RuleResult;
use crate::domain::inbound::{Network, Protocol};
use crate::domain::programs::Core;

use super::entry::Entry;
use super::pages::PageError;
use super::refusal::Refusal;
use super::request::Request;

/// The rules of one format. Each format has a folder in `formats` and a line in [`super::formats::ALL`].
#[derive(Debug)]
pub struct Format {
    /// The last part of a subscription's URL, unique among the formats.
    pub client_type: &'static str,
    /// The result of a client rule that selects this format; `None`: only the URL does.
    pub rule_result: Option<RuleResult>,
    /// The media type of the document.
    pub content_type: &'static str,
    /// The order of the entries.
    pub(super) order: Order,
    /// True when an entry can be dialled through other entries.
    pub(super) has_chains: bool,
    /// True when an app with an empty document would connect directly.
    pub(super) needs_entry: bool,
    /// True when the format can express this protocol over this transport.
    pub(super) supports: fn(Protocol, Network) -> bool,
    /// The core whose version decides which reasons hold.
    pub(super) core: Option<Core>,
    /// Why a client would refuse the whole document because of this entry, or could never use the entry. Depends on the
    /// host alone if its texts are the same for all users.
    pub(super) refusals: fn(&Entry<'_>) -> Vec<Refusal>,
    /// Renders the entries.
    pub(super) render: fn(&[Entry<'_>], &Request<'_>) -> Document,
}

/// The order of a document's entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// By weight, or random when the settings say so.
    Weight,
    /// By the hosts' ids, whatever the settings say.
    HostId,
}

/// A rendered text.
#[derive(Debug)]
pub(super) struct Document {
    pub body: String,
    /// The error in the operator's template; the built-in template was rendered instead.
    pub template_error: Option<PageError>,
}

impl From<String> for Document {
    fn from(body: String) -> Self {
        Self { body, template_error: None }
    }
}

/// The `refusals` of formats whose clients skip an entry that they do not understand.
pub(super) fn never_refused(_entry: &Entry<'_>) -> Vec<Refusal> {
    Vec::new()
}
