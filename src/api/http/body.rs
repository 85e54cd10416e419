//! JSON request and response bodies.

use std::time::Duration;

use deserr::Deserr;
use poem::error::ReadBodyError;
use poem::http::StatusCode;
use poem::{Body, FromRequest, IntoResponse, Request, RequestBody, Response};
use serde::Serialize;
use serde_json::Value;
use tokio::time::timeout;

use super::error::ApiError;
use super::field_errors::{BODY, FieldErrors};
use super::input::{Input, InputError, check, extract};
use super::not_a_number::quoted;

/// Far more than the largest legitimate request, and little enough to hold in memory.
const MAX_BYTES: usize = 4 * 1024 * 1024;
/// Time enough for the largest body over a slow line.
const MAX_WAIT: Duration = Duration::from_secs(60);

/// A JSON body: as an extractor it reads a `T`, as a response it writes one.
#[derive(Clone, Copy, Debug)]
pub struct Json<T>(pub T);

/// An empty response: `{}`.
#[derive(Clone, Copy, Debug, Serialize, utoipa::ToSchema)]
pub struct Empty {}

impl<T: Deserr<FieldErrors>> Input for Json<T> {
    async fn read(request: &Request, body: &mut RequestBody) -> Result<Self, InputError> {
        let bytes = read_bytes(body).await.map_err(InputError::Final)?;
        if !is_json(request.content_type()) {
            return Err(InputError::Fields(FieldErrors::one(BODY, "must be sent as application/json")));
        }
        match parse(&bytes) {
            Ok(value) => check(value).map(Self).map_err(InputError::Fields),
            Err(error) => Err(wrong_numbers::<T>(&bytes).map_or(error, InputError::Fields)),
        }
    }
}

impl<'a, T: Deserr<FieldErrors>> FromRequest<'a> for Json<T> {
    async fn from_request(request: &'a Request, body: &mut RequestBody) -> poem::Result<Self> {
        Ok(extract(request, body).await?)
    }
}

impl<T: Serialize + Send> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        match serde_json::to_vec(&self.0) {
            Ok(bytes) => Response::builder().content_type("application/json").body(Body::from_vec(bytes)),
            Err(error) => ApiError::internal(error).to_response(),
        }
    }
}

/// Reads the body, up to a maximum size and time.
pub(in crate::api) async fn read_bytes(body: &mut RequestBody) -> Result<Vec<u8>, ApiError> {
    read_within(body, MAX_WAIT).await
}

async fn read_within(body: &mut RequestBody, wait: Duration) -> Result<Vec<u8>, ApiError> {
    let body = body.take().map_err(ApiError::internal)?;
    match timeout(wait, body.into_bytes_limit(MAX_BYTES)).await {
        Ok(Ok(bytes)) => Ok(bytes.into()),
        Ok(Err(ReadBodyError::PayloadTooLarge)) => {
            Err(ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "The body is larger than 4 MiB"))
        }
        Ok(Err(_)) => Err(ApiError::bad_request("The connection closed before the end of the body")),
        Err(_) => Err(ApiError::new(StatusCode::REQUEST_TIMEOUT, "The body did not arrive within a minute")),
    }
}

/// A missing content type counts as JSON.
fn is_json(content_type: Option<&str>) -> bool {
    let Some(content_type) = content_type else { return true };
    let media_type = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    media_type == "application/json" || (media_type.starts_with("application/") && media_type.ends_with("+json"))
}

fn parse(bytes: &[u8]) -> Result<Value, InputError> {
    let text = std::str::from_utf8(bytes)
        .map_err(|_| InputError::Final(ApiError::bad_request("The body is not valid UTF-8")))?;
    let missing = || InputError::Fields(FieldErrors::one(BODY, "is missing"));
    if text.is_empty() {
        return Err(missing());
    }
    match serde_json::from_str(text) {
        Ok(Value::Null) => Err(missing()),
        Ok(value) => Ok(value),
        Err(error) => {
            Err(InputError::Fields(FieldErrors::one(offset(text, &error).to_string(), "invalid JSON at this position")))
        }
    }
}

/// The errors of fields that hold `NaN` or `Infinity`, if nothing else makes the body invalid JSON.
fn wrong_numbers<T: Deserr<FieldErrors>>(bytes: &[u8]) -> Option<FieldErrors> {
    let text = quoted(std::str::from_utf8(bytes).ok()?)?;
    check::<T>(serde_json::from_str(&text).ok()?).err()
}

/// The position, in characters, at which the text stops being valid JSON.
fn offset(text: &str, error: &serde_json::Error) -> usize {
    let before: usize = text.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum();
    // The column counts from 1. At the end of the text it is that of the last character, otherwise that of the wrong one.
    let bytes = before + if error.is_eof() { error.column() } else { error.column().saturating_sub(1) };
    text.char_indices().take_while(|(at, _)| *at < bytes).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::http::loose::{LooseBool, LooseInt};

    #[derive(Debug, PartialEq, Deserr)]
    #[deserr(error = FieldErrors)]
    struct Service {
        #[deserr(default)]
        name: Option<String>,
        #[deserr(default)]
        inbound_ids: Vec<LooseInt>,
        #[deserr(default = LooseBool(true))]
        enabled: LooseBool,
    }

    async fn read(content_type: Option<&str>, body: impl Into<Vec<u8>>) -> Result<Service, ApiError> {
        let mut builder = Request::builder();
        if let Some(content_type) = content_type {
            builder = builder.content_type(content_type);
        }
        let (request, mut body) = builder.body(body.into()).split();
        extract::<Json<Service>>(&request, &mut body).await.map(|Json(service)| service)
    }

    async fn keys(content_type: Option<&str>, body: &str) -> Vec<String> {
        let error = read(content_type, body).await.expect_err("the body is wrong");
        assert_eq!(error.status(), StatusCode::UNPROCESSABLE_ENTITY, "{error}");
        let answer = error.to_response().into_body().into_json::<Value>().await.expect("JSON");
        answer["detail"].as_object().expect("an object").keys().cloned().collect()
    }

    #[tokio::test]
    async fn json_media_types_and_a_missing_one_are_accepted() {
        for content_type in
            [None, Some("application/json"), Some("application/json; charset=utf-8"), Some("application/vnd.api+json")]
        {
            let service = read(content_type, r#"{"name": "x", "unknown": 1}"#).await.expect("readable");
            assert_eq!(
                service,
                Service { name: Some("x".to_owned()), inbound_ids: Vec::new(), enabled: LooseBool(true) }
            );
        }
        assert_eq!(keys(Some("text/plain"), r#"{"name":"x"}"#).await, ["body"]);
        assert_eq!(keys(Some("application/jsonx"), r#"{"name":"x"}"#).await, ["body"]);
    }

    #[tokio::test]
    async fn errors_have_the_key_of_the_wrong_field_or_position() {
        for (body, expected) in [
            ("", vec!["body"]),
            ("null", vec!["body"]),
            ("[]", vec!["body"]),
            (r#"{"name": "#, vec!["9"]),
            ("{\"é\":\n x}", vec!["7"]),
            (r#"{"name": 5, "enabled": ""}"#, vec!["enabled", "name"]),
            (r#"{"enabled": NaN, "inbound_ids": [1, -Infinity]}"#, vec!["1", "enabled"]),
            (r#"{"enabled": NaN, x}"#, vec!["12"]),
            (r#"{"name": NaN}"#, vec!["9"]),
            (r#"{"inbound_ids": ["x", 1.5, null]}"#, vec!["0", "1", "2"]),
            (r#"{"inbound_ids": null}"#, vec!["inbound_ids"]),
            (r#"{"name": "a\u0000b", "inbound_ids": "x"}"#, vec!["inbound_ids", "name"]),
        ] {
            assert_eq!(keys(None, body).await, expected, "{body}");
        }
    }

    #[tokio::test]
    async fn invalid_utf8_and_too_large_bodies_are_refused() {
        let error = read(None, vec![b'"', 0xff, b'"']).await.expect_err("not UTF-8");
        assert_eq!(error.status(), StatusCode::BAD_REQUEST);
        let error = read(None, vec![b' '; MAX_BYTES + 1]).await.expect_err("too large");
        assert_eq!(error.status(), StatusCode::PAYLOAD_TOO_LARGE);
    }

    #[tokio::test]
    async fn a_body_that_never_ends_times_out() {
        let never = futures_util::stream::pending::<std::io::Result<Vec<u8>>>();
        let mut body = RequestBody::new(Body::from_bytes_stream(never));
        let error = read_within(&mut body, Duration::from_millis(1)).await.expect_err("it never ends");
        assert_eq!(error.status(), StatusCode::REQUEST_TIMEOUT);
    }
}
