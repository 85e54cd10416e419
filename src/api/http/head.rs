//! Answers to HEAD: the headers of GET without its body.

use hyper::body::Body;
use poem::Response;
use poem::http::{HeaderValue, StatusCode, header};

/// Removes the body of a response. Its length stays in the headers, unless it is a stream of unknown length.
pub(super) fn remove_body(response: &mut Response) {
    let length = hyper::Response::from(Response::builder().body(response.take_body())).size_hint().exact();
    if let Some(length) = length.filter(|_| response.status() != StatusCode::NOT_MODIFIED) {
        response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
}
