//! Cross-origin headers. Written here because poem's `Cors` can't answer `*` to requests without a cookie, and because
//! preflights are answered before admission and errors get the headers too.
//!
//! All origins are allowed by default: the API is protected by bearer tokens, which browsers never send on their own.

use poem::http::{HeaderMap, HeaderValue, Method, header};
use poem::{Request, Response};

use crate::config::http::AllowedOrigins;

/// The properties of a request that its cross-origin headers depend on.
#[derive(Debug)]
pub(in crate::api) struct CrossOrigin {
    origin: HeaderValue,
    with_cookie: bool,
}

impl CrossOrigin {
    /// Returns `None` for a request without an origin, or with one that is not allowed: it gets no headers.
    pub(in crate::api) fn of(request: &Request, allowed: &AllowedOrigins) -> Option<Self> {
        let origin = request.headers().get(header::ORIGIN)?.clone();
        let is_allowed = match allowed {
            AllowedOrigins::Any => true,
            AllowedOrigins::These(list) => list.iter().any(|allowed| allowed.as_bytes() == origin.as_bytes()),
        };
        // With a list of origins the response depends on the origin, so it must name it.
        let with_cookie = request.headers().contains_key(header::COOKIE) || *allowed != AllowedOrigins::Any;
        is_allowed.then_some(Self { origin, with_cookie })
    }

    /// Returns the response to a preflight request, or `None` if the request is not one.
    pub(in crate::api) fn preflight(&self, request: &Request) -> Option<Response> {
        if request.method() != Method::OPTIONS || !request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
        {
            return None;
        }
        let mut response = Response::builder().content_type("text/plain; charset=utf-8").body("OK");
        let headers = response.headers_mut();
        headers.insert(
            header::ACCESS_CONTROL_ALLOW_METHODS,
            HeaderValue::from_static("DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"),
        );
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
        if let Some(requested) = request.headers().get(header::ACCESS_CONTROL_REQUEST_HEADERS) {
            headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, requested.clone());
        }
        self.allow_this_origin(headers);
        Some(response)
    }

    /// Adds the headers to a response.
    pub(in crate::api) fn allow(&self, headers: &mut HeaderMap) {
        if self.with_cookie {
            self.allow_this_origin(headers);
        } else {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
            headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
    }

    fn allow_this_origin(&self, headers: &mut HeaderMap) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, self.origin.clone());
        headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        headers.append(header::VARY, HeaderValue::from_static("Origin"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: Method, headers: &[(&str, &str)]) -> Request {
        let mut builder = Request::builder().method(method);
        for (name, value) in headers {
            builder = builder.header(*name, *value);
        }
        builder.finish()
    }

    fn allowed(headers: &[(&str, &str)], origins: &AllowedOrigins) -> Option<HeaderMap> {
        let cross = CrossOrigin::of(&request(Method::GET, headers), origins)?;
        let mut headers = HeaderMap::new();
        cross.allow(&mut headers);
        Some(headers)
    }

    #[test]
    fn response_names_the_origin_if_the_request_has_a_cookie() {
        let origin = ("origin", "https://a.example");
        let plain = allowed(&[origin], &AllowedOrigins::Any).expect("allowed");
        assert_eq!(plain["access-control-allow-origin"], "*");
        let named = allowed(&[origin, ("cookie", "a=b")], &AllowedOrigins::Any).expect("allowed");
        assert_eq!(named["access-control-allow-origin"], "https://a.example");
        assert_eq!(named["vary"], "Origin");
        assert_eq!(allowed(&[], &AllowedOrigins::Any), None);
    }

    #[test]
    fn listed_origins_are_matched_exactly() {
        let only = AllowedOrigins::These(vec!["https://a.example".to_owned()]);
        let named = allowed(&[("origin", "https://a.example")], &only).expect("allowed");
        assert_eq!(named["access-control-allow-origin"], "https://a.example");
        assert_eq!(allowed(&[("origin", "https://a.example.evil")], &only), None);
    }

    #[test]
    fn preflight_is_answered_and_other_options_requests_are_not() {
        let headers = [
            ("origin", "https://a.example"),
            ("access-control-request-method", "DELETE"),
            ("access-control-request-headers", "authorization,x-foo"),
        ];
        let preflight = request(Method::OPTIONS, &headers);
        let cross = CrossOrigin::of(&preflight, &AllowedOrigins::Any).expect("allowed");
        let answer = cross.preflight(&preflight).expect("a preflight");
        assert_eq!(answer.header("access-control-allow-headers"), Some("authorization,x-foo"));
        assert_eq!(answer.header("access-control-allow-origin"), Some("https://a.example"));
        assert!(cross.preflight(&request(Method::OPTIONS, &headers[..1])).is_none());
    }
}
