//! Conditional requests.

use poem::Request;
use poem::http::header;

/// True if the client has the version with this tag, in quotes.
pub(in crate::api) fn is_current(request: &Request, tag: &str) -> bool {
    let known = request.header(header::IF_NONE_MATCH).unwrap_or_default();
    // Proxies that compress make tags weak.
    known.split(',').any(|known| known.trim().trim_start_matches("W/") == tag)
}
