//! Subscriptions: renders a user's hosts as the documents that client programs read. Pure: time and randomness are
//! arguments.

pub mod catalogue;
pub mod client;
pub mod client_rules;
mod connection;
mod core_settings;
mod early_data;
mod entry;
pub mod etag;
pub mod explain;
mod format;
pub mod formats;
pub mod headers;
pub mod pages;
mod pattern_examples;
mod percent;
pub mod preview;
pub mod python_patterns;
pub mod recognition;
mod refusal;
mod request;
mod resolve;
pub mod rule_offer;
pub mod shared_part;
pub mod templates;
mod text_buffer;
mod transport_rules;
mod wireguard_address;
mod yaml;

use rand::Rng;

use crate::domain::credentials::Credentials;
use crate::domain::host::HostSpec;
use crate::domain::ids::HostId;

use catalogue::ENTRY_SIZE;
use format::Document;
use pages::PageError;
use refusal::Reason;
use resolve::Resolver;

pub use format::Format;
pub use request::Request;

pub use catalogue::MAX_HOPS;

/// Bytes of texts in a document, at most: thousands of ordinary hosts. Formats escape and encode them, so that a document
/// may be a few times as long.
const MAX_SIZE: usize = 4 << 20;
const FULL: Reason = "the hosts before it take as much as a subscription may have";
/// The name of the only entry when all hosts of a user are left out.
const NO_USABLE_SERVER: &str = "no server that this app can use";
/// The same when there are no hosts.
const NO_SERVER: &str = "no server yet";

/// A rendered subscription.
#[derive(Debug)]
pub struct Rendered {
    /// The document.
    pub body: String,
    /// The user's hosts that are not in the document.
    pub left_out: Vec<LeftOut>,
    /// The error in the operator's template; the built-in template was rendered instead.
    pub template_error: Option<PageError>,
}

/// A host that is not in a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// The host.
    pub host: HostId,
    /// The reason; completes the sentence "host 7 is left out: …".
    pub reason: Reason,
}

/// Renders a user's subscription.
pub fn render(format: &Format, request: &Request<'_>, rng: &mut dyn Rng) -> Rendered {
    let empty_spec = HostSpec::default();
    let credentials = Credentials::derive(&request.variables.user().key, request.derivation);
    let resolver = Resolver::new(format, request, &credentials, rng);
    let mut left_out = Vec::new();
    let mut entries: Vec<_> = if request.is_for_placeholder() {
        resolver.placeholder(&request.settings.placeholder_remark, &empty_spec).into_iter().collect()
    } else {
        let hosts = resolver.hosts(rng);
        let mut entries = Vec::with_capacity(hosts.len());
        let mut left = MAX_SIZE;
        for host in hosts {
            let entry = if left == 0 { Err(FULL) } else { resolver.entry(host, rng) };
            let size = entry.as_ref().map_or(0, |entry| entry.size() + ENTRY_SIZE);
            left = left.saturating_sub(size);
            match entry {
                Ok(entry) => entries.push(entry),
                Err(reason) => left_out.push(LeftOut { host: host.id, reason }),
            }
        }
        entries
    };
    // An app with no server at all would connect directly, and say nothing.
    if entries.is_empty() && (!left_out.is_empty() || format.needs_entry) {
        let reason = if left_out.is_empty() { NO_SERVER } else { NO_USABLE_SERVER };
        entries.extend(resolver.placeholder(reason, &empty_spec));
    }
    let Document { body, template_error } = (format.render)(&entries, request);
    Rendered { body, left_out, template_error }
}
