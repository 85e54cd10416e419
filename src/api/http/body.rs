//! JSON request and response bodies.

use deserr::Deserr;
use poem::{Body, FromRequest, IntoResponse, Request, RequestBody, Response};
use serde::Serialize;
use serde_json::Value;

use super::error::ApiError;
use super::field_errors::{BODY, FieldErrors};
use super::input::{Input, InputError, MAX_TEXT, check_with, extract};
use super::json_size::{MAX_VALUES, values};
use super::not_a_number::quoted;
use super::receive::NotReceived;

/// A JSON body: as an extractor it reads a `T`, whose texts have at most `TEXT` characters; as a response it writes one.
#[derive(Clone, Copy, Debug)]
pub struct Json<T, const TEXT: usize = MAX_TEXT>(pub T);

/// An empty response: `{}`.
#[derive(Clone, Copy, Debug, Serialize, utoipa::ToSchema)]
pub struct Empty {}

impl<T: Deserr<FieldErrors>, const TEXT: usize> Input for Json<T, TEXT> {
    async fn read(request: &Request, body: &mut RequestBody) -> Result<Self, InputError> {
        let bytes = read_bytes(request, body).await.map_err(InputError::Final)?;
        if !is_json(request.content_type()) {
            return Err(InputError::Fields(FieldErrors::one(BODY, "must be sent as application/json")));
        }
        match parse(&bytes) {
            Ok(value) => check_with(value, TEXT).map(Self).map_err(InputError::Fields),
            Err(error) => Err(wrong_numbers::<T>(&bytes, TEXT).map_or(error, InputError::Fields)),
        }
    }
}

impl<'a, T: Deserr<FieldErrors>, const TEXT: usize> FromRequest<'a> for Json<T, TEXT> {
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

/// Returns the body, which has been received before the handler was called, or the reason why it has not.
pub(in crate::api) async fn read_bytes(request: &Request, body: &mut RequestBody) -> Result<Vec<u8>, ApiError> {
    if let Some(reason) = request.data::<NotReceived>() {
        return Err((*reason).into());
    }
    let body = body.take().map_err(ApiError::internal)?;
    body.into_vec().await.map_err(ApiError::internal)
}

/// A missing or empty content type counts as JSON. Its parameters are ignored: JSON is UTF-8 (RFC 8259).
fn is_json(content_type: Option<&str>) -> bool {
    let Some(content_type) = content_type.filter(|text| !text.trim().is_empty()) else { return true };
    let media_type = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let subtype = media_type.strip_prefix("application/").filter(|subtype| !subtype.contains('/'));
    subtype.is_some_and(|subtype| subtype == "json" || subtype.ends_with("+json"))
}

/// Some editors and Windows programs write a byte order mark first.
fn without_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

fn parse(bytes: &[u8]) -> Result<Value, InputError> {
    let text = std::str::from_utf8(bytes)
        .map_err(|_| InputError::Final(ApiError::bad_request("The body is not valid UTF-8")))?;
    let missing = || InputError::Fields(FieldErrors::one(BODY, "is missing"));
    if text.is_empty() {
        return Err(missing());
    }
    let text = without_mark(text);
    if values(text) > MAX_VALUES {
        return Err(InputError::Fields(FieldErrors::one(BODY, format!("has more than {MAX_VALUES} values"))));
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
fn wrong_numbers<T: Deserr<FieldErrors>>(bytes: &[u8], max_text: usize) -> Option<FieldErrors> {
    let text = std::str::from_utf8(bytes).ok().map(without_mark).filter(|text| values(text) <= MAX_VALUES)?;
    check_with::<T>(serde_json::from_str(&quoted(text)?).ok()?, max_text).err()
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
    use poem::http::StatusCode;

    use super::*;
    use crate::api::http::input::MAX_LIST;
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

    #[tokio::test]
    async fn body_with_a_wrong_number_is_limited_like_any_other() {
        let many = format!(r#"{{"name":NaN,"inbound_ids":[{}0]}}"#, "0,".repeat(MAX_VALUES));
        let error = read(None, many).await.expect_err("too many values");
        assert!(error.to_string().contains("values") || format!("{error:?}").contains("values"), "{error:?}");
    }

    async fn keys(content_type: Option<&str>, body: &str) -> Vec<String> {
        let error = read(content_type, body).await.expect_err("the body is wrong");
        assert_eq!(error.status(), StatusCode::UNPROCESSABLE_ENTITY, "{error}");
        let answer = error.to_response().into_body().into_json::<Value>().await.expect("JSON");
        answer["detail"].as_object().expect("an object").keys().cloned().collect()
    }

    #[tokio::test]
    async fn json_media_types_and_a_missing_one_are_accepted() {
        for content_type in [
            None,
            Some(""),
            Some("  "),
            Some("application/json"),
            Some("Application/JSON"),
            Some("application/json; charset=utf-8"),
            Some("application/json;charset=windows-1256"),
            Some("application/json ; charset=\"utf-16\"; x"),
            Some("application/vnd.api+json"),
        ] {
            for body in
                ["{\"name\": \"x\", \"unknown\": 1}", "\u{feff}{\"name\": \"x\"}", "\u{feff} \n{\"name\": \"x\"}\n"]
            {
                let service = read(content_type, body).await.expect("readable");
                assert_eq!(service.name.as_deref(), Some("x"), "{content_type:?} {body:?}");
            }
        }
        for other in ["text/plain", "application/jsonx", "application/x/y+json", "application/json, text/plain", "json"]
        {
            assert_eq!(keys(Some(other), r#"{"name":"x"}"#).await, ["body"], "{other}");
        }
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
            ("\u{feff}", vec!["0"]),
            ("\u{feff}{x}", vec!["1"]),
            ("\u{feff}{\"enabled\": NaN}", vec!["enabled"]),
            ("{\u{feff}}", vec!["1"]),
            (r#"{"name": NaN}"#, vec!["9"]),
            (r#"{"inbound_ids": ["x", 1.5, null]}"#, vec!["0", "1", "2"]),
            (r#"{"inbound_ids": null}"#, vec!["inbound_ids"]),
            (r#"{"name": "a\u0000b", "inbound_ids": "x"}"#, vec!["inbound_ids", "name"]),
        ] {
            assert_eq!(keys(None, body).await, expected, "{body}");
        }
    }

    #[tokio::test]
    async fn invalid_utf8_is_refused() {
        let error = read(None, vec![b'"', 0xff, b'"']).await.expect_err("not UTF-8");
        assert_eq!(error.status(), StatusCode::BAD_REQUEST);
    }

    #[tokio::test]
    async fn bodies_with_too_many_values_long_lists_and_long_texts_are_refused() {
        let many = format!(r#"{{"unknown": [{}0]}}"#, "[0],".repeat(MAX_VALUES / 2 + 1));
        assert_eq!(keys(None, &many).await, ["body"]);
        let long = format!(r#"{{"inbound_ids": [{}0]}}"#, "0,".repeat(MAX_LIST));
        assert_eq!(keys(None, &long).await, ["inbound_ids"]);
        assert_eq!(keys(None, &format!(r#"{{"name": "{}"}}"#, "ü".repeat(MAX_TEXT + 1))).await, ["name"]);
        let fits =
            format!(r#"{{"name": "{}", "inbound_ids": [{}0]}}"#, "ü".repeat(MAX_TEXT), "0,".repeat(MAX_LIST - 1));
        read(None, fits).await.expect("exactly the limits");
    }

    #[tokio::test]
    async fn many_wrong_elements_are_reported_in_a_short_answer() {
        let error =
            read(None, format!(r#"{{"inbound_ids": [{}"x"]}}"#, r#""x","#.repeat(5_000))).await.expect_err("ids");
        let answer = error.to_response().into_body().into_json::<Value>().await.expect("JSON");
        let detail = answer["detail"].as_object().expect("an object");
        assert_eq!((detail.len(), detail["body"].as_str()), (101, Some("4901 more values are wrong")));
    }
}
