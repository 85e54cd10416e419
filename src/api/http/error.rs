//! The error of the HTTP API: a status and a text for the client, and a cause for the log only.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;

use poem::error::ResponseError;
use poem::http::{HeaderName, HeaderValue, StatusCode, header};
use poem::{Body, Response};
use serde_json::json;
use tokio::time::Instant;

use super::field_errors::FieldErrors;
use crate::foundation::chain;
use crate::store::{Condition, Fault, StoreError};

/// The body of every error response except 422.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
#[schema(as = Error)]
pub struct ErrorBody {
    /// Human-readable description of the error.
    detail: Cow<'static, str>,
    /// Name of the error for programs, if they may want to act on it: `otp_required`.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
}

/// The body of a 422 response.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub struct WrongFields {
    /// Error texts by field: the field's own name wherever it is nested, an index in a list, or `body`.
    detail: std::collections::BTreeMap<String, String>,
}

/// An error response. Its body is `{"detail": …}`: a text, or for 422 a text per field.
#[derive(Debug)]
pub struct ApiError {
    status: StatusCode,
    detail: Detail,
    code: Option<&'static str>,
    header: Option<Box<(HeaderName, HeaderValue)>>,
    cause: Option<Box<dyn StdError + Send + Sync>>,
    due: Option<Instant>,
}

#[derive(Debug)]
enum Detail {
    Text(Cow<'static, str>),
    Fields(FieldErrors),
}

impl ApiError {
    /// A status with a text for the client.
    pub fn new(status: StatusCode, text: impl Into<Cow<'static, str>>) -> Self {
        Self { status, detail: Detail::Text(text.into()), code: None, header: None, cause: None, due: None }
    }

    /// 400: the request can't be read.
    pub fn bad_request(text: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, text)
    }

    /// 401: the request has no valid token.
    pub fn unauthorized(text: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, text)
            .with_header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
    }

    /// 403: the admin lacks the right.
    pub fn forbidden() -> Self {
        Self::new(StatusCode::FORBIDDEN, "You are not allowed to do this")
    }

    /// 403: an admin can't give or change rights that it lacks.
    pub fn beyond(right: &impl fmt::Display) -> Self {
        let text = format!("You can't give or change rights that you lack yourself: {right}");
        Self::new(StatusCode::FORBIDDEN, text)
    }

    /// 404: `what` ("The user") does not exist.
    pub fn not_found(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, format!("{what} does not exist"))
    }

    /// 409: the request conflicts with existing data.
    pub fn conflict(text: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::CONFLICT, text)
    }

    /// 422: fields are wrong.
    pub fn invalid(fields: FieldErrors) -> Self {
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        Self { status, detail: Detail::Fields(fields), code: None, header: None, cause: None, due: None }
    }

    /// 429: too many attempts; the next one is allowed after this number of seconds.
    pub fn too_many_requests(retry_after_seconds: u32) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "Too many attempts, try again later")
            .with_header(header::RETRY_AFTER, HeaderValue::from(retry_after_seconds))
    }

    /// Delays the response until `due`.
    pub fn not_before(self, due: Instant) -> Self {
        Self { due: Some(due), ..self }
    }

    /// The moment before which the response must not be sent, if any.
    pub(in crate::api) const fn due(&self) -> Option<Instant> {
        self.due
    }

    /// 502: a node did not answer.
    pub fn bad_gateway(text: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_GATEWAY, text)
    }

    /// 503: the panel can't serve the request now; the text says why.
    pub fn unavailable(text: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, text).with_header(header::RETRY_AFTER, HeaderValue::from_static("1"))
    }

    /// 500: an internal error. The cause is logged with the request's id and never sent to the client.
    pub fn internal(cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "Internal error, see the panel's log").because(cause)
    }

    /// Adds a cause for the log.
    #[must_use]
    pub fn because(mut self, cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// Adds a name for programs.
    #[must_use]
    pub fn with_code(self, code: &'static str) -> Self {
        Self { code: Some(code), ..self }
    }

    /// Adds a header.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.header = Some(Box::new((name, value)));
        self
    }

    /// The status.
    pub const fn status(&self) -> StatusCode {
        self.status
    }

    /// The chain of causes on one line, outermost first, for the log.
    pub fn causes(&self) -> Option<String> {
        Some(chain(self.cause.as_deref()?))
    }

    /// The response.
    pub fn to_response(&self) -> Response {
        let detail = match &self.detail {
            Detail::Text(text) => json!(ErrorBody { detail: text.clone(), code: self.code }),
            Detail::Fields(fields) => json!(WrongFields { detail: fields.to_map() }),
        };
        let mut response = Response::builder()
            .status(self.status)
            .content_type("application/json")
            .body(Body::from_string(detail.to_string()));
        if let Some((name, value)) = self.header.as_deref().cloned() {
            response.headers_mut().insert(name, value);
        }
        response
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.detail {
            Detail::Text(text) => f.write_str(text),
            Detail::Fields(fields) => write!(f, "wrong fields: {fields:?}"),
        }
    }
}

impl StdError for ApiError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.cause.as_deref().map(|cause| cause as &(dyn StdError + 'static))
    }
}

impl ResponseError for ApiError {
    fn status(&self) -> StatusCode {
        self.status
    }

    fn as_response(&self) -> Response {
        self.to_response()
    }
}

impl From<FieldErrors> for ApiError {
    fn from(fields: FieldErrors) -> Self {
        Self::invalid(fields)
    }
}

/// The text of an error after a commit that was sent and not confirmed.
const OUTCOME_UNKNOWN: &str = "The database did not confirm the change: it may or may not have been made. Check before \
                               you try again";

/// The state of the database as a sentence for clients: "The database is read-only, try again later".
fn sentence(condition: Condition) -> String {
    let reason = condition.reason();
    let (first, rest) = reason.split_at(1);
    format!("{}{rest}, try again later", first.to_uppercase())
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        if error.outcome_is_unknown() {
            return Self::unavailable(OUTCOME_UNKNOWN).because(error);
        }
        match error.fault() {
            Fault::Unavailable(condition) => Self::unavailable(sentence(condition)).because(error),
            Fault::Retry => Self::unavailable("The database is busy, try again").because(error),
            Fault::Unique(_) => Self::conflict("This already exists"),
            Fault::Reference => Self::conflict("A referenced object has been deleted"),
            Fault::Data | Fault::Other => Self::internal(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("outer cause")]
    struct Outer(#[source] Inner);

    #[derive(Debug, thiserror::Error)]
    #[error("inner cause")]
    struct Inner;

    #[tokio::test]
    async fn causes_are_chained_for_the_log_and_not_sent() {
        let error = ApiError::internal(Outer(Inner));
        assert_eq!(error.causes().as_deref(), Some("outer cause: inner cause"));
        let answer = error.to_response().into_body().into_string().await.expect("text");
        assert!(!answer.contains("cause"), "{answer}");
    }

    #[test]
    fn every_state_of_the_database_is_503_with_its_reason_and_retry_after() {
        for condition in Condition::ALL {
            let text = sentence(condition);
            assert!(text.starts_with("The ") && text.ends_with(", try again later"), "{text}");
            assert!(text.contains(&condition.reason()[4..]), "{text}");
        }
        let response = ApiError::from(StoreError::timed_out("a statement")).to_response();
        assert_eq!(response.status().as_u16(), 503);
        assert_eq!(response.header("retry-after"), Some("1"));
    }

    #[tokio::test]
    async fn detail_is_an_object_for_wrong_fields_and_text_otherwise() {
        let fields = FieldErrors::one("name", "is missing").and(FieldErrors::one("0", "is null"));
        let body = ApiError::invalid(fields).to_response().into_body().into_string().await.expect("text");
        assert_eq!(body, r#"{"detail":{"0":"is null","name":"is missing"}}"#);
        let response = ApiError::unauthorized("Sign in first").to_response();
        assert_eq!(response.header("www-authenticate"), Some("Bearer"));
        assert_eq!(response.into_body().into_string().await.expect("text"), r#"{"detail":"Sign in first"}"#);
    }
}
