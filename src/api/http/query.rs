//! Path and query parameters: the same readers and the same error keys as for bodies.

use std::collections::BTreeMap;

use deserr::Deserr;
use poem::{FromRequest, Request, RequestBody};
use serde_json::{Map, Value};

use super::field_errors::FieldErrors;
use super::input::{Input, Refused, check, extract};

/// The query, read into `T`. Of a repeated parameter the last one counts, unless `T` lists it as repeatable.
#[derive(Clone, Copy, Debug)]
pub struct Query<T>(pub T);

/// The parameters of the path, read into `T`.
#[derive(Clone, Copy, Debug)]
pub struct Path<T>(pub T);

/// What a query may hold.
pub trait Params: Deserr<FieldErrors> {
    /// The parameters that may be given several times: a `Vec` in the struct, also when given once.
    const REPEATABLE: &'static [&'static str] = &[];
}

/// A parameter of the path that stands in the route itself: `/api/users/expired` serves what
/// `/api/users/:username` serves, too.
#[derive(Clone, Copy, Debug)]
pub(in crate::api) struct FixedParam {
    pub(in crate::api) name: &'static str,
    pub(in crate::api) value: &'static str,
}

impl<T: Params> Input for Query<T> {
    async fn read(request: &Request, _: &mut RequestBody) -> Result<Self, Refused> {
        let pairs: Vec<(String, String)> = request.params().unwrap_or_default();
        check(object(pairs, T::REPEATABLE)).map(Self).map_err(Refused::Fields)
    }
}

impl<T: Deserr<FieldErrors>> Input for Path<T> {
    async fn read(request: &Request, _: &mut RequestBody) -> Result<Self, Refused> {
        let mut params: BTreeMap<String, String> = request.path_params().unwrap_or_default();
        if let Some(fixed) = request.data::<FixedParam>() {
            params.insert(fixed.name.to_owned(), fixed.value.to_owned());
        }
        check(object(params, &[])).map(Self).map_err(Refused::Fields)
    }
}

impl<'a, T: Params> FromRequest<'a> for Query<T> {
    async fn from_request(request: &'a Request, body: &mut RequestBody) -> poem::Result<Self> {
        Ok(extract(request, body).await?)
    }
}

impl<'a, T: Deserr<FieldErrors>> FromRequest<'a> for Path<T> {
    async fn from_request(request: &'a Request, body: &mut RequestBody) -> poem::Result<Self> {
        Ok(extract(request, body).await?)
    }
}

/// Named texts as one JSON object.
pub(in crate::api) fn object(pairs: impl IntoIterator<Item = (String, String)>, repeatable: &[&str]) -> Value {
    let mut fields = Map::new();
    for (name, value) in pairs {
        let value = Value::String(value);
        if !repeatable.contains(&name.as_str()) {
            fields.insert(name, value);
        } else if let Value::Array(values) = fields.entry(name).or_insert_with(|| Value::Array(Vec::new())) {
            values.push(value);
        }
    }
    Value::Object(fields)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::http::error::ApiError;
    use crate::api::http::loose::{Flag, Int};

    #[derive(Debug, PartialEq, Deserr)]
    #[deserr(error = FieldErrors)]
    struct Filter {
        #[deserr(default)]
        username: Vec<String>,
        #[deserr(default)]
        is_active: Option<Flag>,
        #[deserr(default = Int(50))]
        size: Int,
    }

    impl Params for Filter {
        const REPEATABLE: &'static [&'static str] = &["username"];
    }

    async fn read(query: &str) -> Result<Filter, ApiError> {
        let request = Request::builder().uri_str(format!("/x?{query}")).finish();
        extract::<Query<Filter>>(&request, &mut RequestBody::default()).await.map(|Query(filter)| filter)
    }

    #[tokio::test]
    async fn the_last_of_repeated_parameters_counts_unless_all_do() {
        let filter = read("username=a&size=2&username=b%20c&size=3&is_active=yes&other=1").await.expect("right");
        let names = vec!["a".to_owned(), "b c".to_owned()];
        assert_eq!(filter, Filter { username: names, is_active: Some(Flag(true)), size: Int(3) });
        let once = read("username=a").await.expect("right");
        assert_eq!(once, Filter { username: vec!["a".to_owned()], is_active: None, size: Int(50) });
    }

    #[tokio::test]
    async fn wrong_parameters_are_named() {
        let error = read("size=abc&is_active=").await.expect_err("both are wrong");
        let answer = error.to_response().into_body().into_json::<Value>().await.expect("JSON");
        let keys: Vec<&String> = answer["detail"].as_object().expect("an object").keys().collect();
        assert_eq!(keys, ["is_active", "size"]);
    }
}
