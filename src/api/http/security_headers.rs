//! Headers that tell browsers what a response may do. Every response has them; one without a policy of its own may load
//! nothing, run nothing, and be shown in no frame.

use poem::http::{HeaderMap, HeaderValue, header};

/// The policy of responses that are no pages.
const NOTHING: &str = "default-src 'none'; frame-ancestors 'none'";

/// The policy of the built-in pages, which have styles and no scripts, and load nothing.
pub(in crate::api) const BUILT_IN_PAGE: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:; base-uri 'none'; form-action 'none'; \
     frame-ancestors 'none'";

/// Part of a policy: no page may show the response in a frame.
const NO_FRAMES: &str = "frame-ancestors 'none'";

/// Adds the headers that a response does not have yet. No URL is sent as referrer, because those of subscriptions are
/// secret.
pub(super) fn complete(headers: &mut HeaderMap) {
    let policy = headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(HeaderValue::from_static(NOTHING));
    // For browsers that do not know `frame-ancestors`.
    let no_frames = policy.to_str().is_ok_and(|policy| policy.contains(NO_FRAMES));
    if no_frames {
        headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    }
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(header::REFERRER_POLICY).or_insert(HeaderValue::from_static("no-referrer"));
}
