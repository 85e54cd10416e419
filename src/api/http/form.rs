//! Forms, URL-encoded or multipart, as browsers and OAuth clients send them.

use deserr::Deserr;
use poem::web::Multipart;
use poem::{Body, FromRequest, Request, RequestBody};
use serde_json::Value;

use super::body::read_bytes;
use super::error::ApiError;
use super::field_errors::FieldErrors;
use super::input::{Input, InputError, check, extract};
use super::query::object;

/// A form, read into `T`. A body of any other media type counts as an empty form.
#[derive(Clone, Copy, Debug)]
pub struct Form<T>(pub T);

impl<T: Deserr<FieldErrors>> Input for Form<T> {
    async fn read(request: &Request, body: &mut RequestBody) -> Result<Self, InputError> {
        let fields = fields(request, body).await.map_err(InputError::Final)?;
        check(fields).map(Self).map_err(InputError::Fields)
    }
}

impl<'a, T: Deserr<FieldErrors>> FromRequest<'a> for Form<T> {
    async fn from_request(request: &'a Request, body: &mut RequestBody) -> poem::Result<Self> {
        Ok(extract(request, body).await?)
    }
}

async fn fields(request: &Request, body: &mut RequestBody) -> Result<Value, ApiError> {
    let unreadable = |_| ApiError::bad_request("The form is malformed");
    let mut body = RequestBody::new(Body::from_vec(read_bytes(request, body).await?));
    let media_type = request.content_type().unwrap_or_default().split(';').next().unwrap_or_default().trim();
    let mut pairs = Vec::new();
    if media_type.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        let form = poem::web::Form::<Vec<(String, String)>>::from_request(request, &mut body).await;
        pairs = form.map_err(unreadable)?.0;
    } else if media_type.eq_ignore_ascii_case("multipart/form-data") {
        let mut parts = Multipart::from_request(request, &mut body).await.map_err(unreadable)?;
        while let Some(part) = parts.next_field().await.map_err(|error| unreadable(error.into()))? {
            let name = part.name().unwrap_or_default().to_owned();
            pairs.push((name, part.text().await.map_err(|error| unreadable(error.into()))?));
        }
    }
    Ok(object(pairs, &[]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Deserr)]
    #[deserr(error = FieldErrors)]
    struct Login {
        username: String,
        password: String,
    }

    async fn read(content_type: &str, body: &'static str) -> Result<Login, ApiError> {
        let (request, mut body) =
            Request::builder().method(poem::http::Method::POST).content_type(content_type).body(body).split();
        extract::<Form<Login>>(&request, &mut body).await.map(|Form(login)| login)
    }

    #[tokio::test]
    async fn url_encoded_and_multipart_forms_are_read() {
        let expected = Login { username: "root".to_owned(), password: "a b".to_owned() };
        let encoded = read("application/x-www-form-urlencoded", "username=root&password=a+b&scope=x").await;
        assert_eq!(encoded.expect("readable"), expected);
        let parts = "--b\r\nContent-Disposition: form-data; name=\"username\"\r\n\r\nroot\r\n\
                     --b\r\nContent-Disposition: form-data; name=\"password\"\r\n\r\na b\r\n--b--\r\n";
        assert_eq!(read("multipart/form-data; boundary=b", parts).await.expect("readable"), expected);
    }

    #[tokio::test]
    async fn another_media_type_is_an_empty_form() {
        let error = read("application/json", r#"{"username": "root"}"#).await.expect_err("no form");
        let answer = error.to_response().into_body().into_json::<Value>().await.expect("JSON");
        let keys: Vec<&String> = answer["detail"].as_object().expect("an object").keys().collect();
        assert_eq!(keys, ["password", "username"]);
    }
}
