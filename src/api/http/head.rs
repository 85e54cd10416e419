//! Answers to HEAD: the headers of GET without its body.

use poem::Response;
use poem::http::{HeaderValue, StatusCode, header};

/// Removes the body of a response and leaves its length in the headers.
pub(super) async fn remove_body(response: &mut Response) {
    // All bodies are in memory, so reading one takes no time and can't fail.
    let length = response.take_body().into_bytes().await.map_or(0, |body| body.len());
    if response.status() != StatusCode::NOT_MODIFIED {
        response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
}
