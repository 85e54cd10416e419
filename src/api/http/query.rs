//! Path and query parameters, with the same readers and error keys as bodies.

use std::collections::BTreeMap;

use deserr::Deserr;
use poem::{FromRequest, Request, RequestBody};
use serde_json::{Map, Value};

use super::field_errors::FieldErrors;
use super::input::{Input, InputError, check, extract};

/// The query, read into `T`. The last value of a repeated parameter wins, unless `T` lists it as repeatable.
#[derive(Clone, Copy, Debug)]
pub struct Query<T>(pub T);

/// The parameters of the path, read into `T`.
#[derive(Clone, Copy, Debug)]
pub struct Path<T>(pub T);

/// The parameters of a query.
pub trait Params: Deserr<FieldErrors> {
    /// Parameters that may be repeated. In the struct they are a `Vec`, also when given once.
    const REPEATABLE: &'static [&'static str] = &[];
}

/// The value of a path parameter where the route has a literal instead: `/api/users/expired` also serves the methods of
/// `/api/users/:username`, with `expired` as the username.
#[derive(Clone, Copy, Debug)]
pub(in crate::api) struct LiteralParam {
    pub(in crate::api) name: &'static str,
    pub(in crate::api) value: &'static str,
}

impl<T: Params> Input for Query<T> {
    async fn read(request: &Request, _: &mut RequestBody) -> Result<Self, InputError> {
        let pairs: Vec<(String, String)> = request.params().unwrap_or_default();
        check(object(pairs, T::REPEATABLE)).map(Self).map_err(InputError::Fields)
    }
}

impl<T: Deserr<FieldErrors>> Input for Path<T> {
    async fn read(request: &Request, _: &mut RequestBody) -> Result<Self, InputError> {
        let mut params: BTreeMap<String, String> = request.path_params().unwrap_or_default();
        if let Some(literal) = request.data::<LiteralParam>() {
            params.insert(literal.name.to_owned(), literal.value.to_owned());
        }
        check(object(params, &[])).map(Self).map_err(InputError::Fields)
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

/// Builds a JSON object from names and texts.
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
    use crate::api::http::loose::{LooseBool, LooseInt};

    #[derive(Debug, PartialEq, Deserr)]
    #[deserr(error = FieldErrors)]
    struct Filter {
        #[deserr(default)]
        username: Vec<String>,
        #[deserr(default)]
        is_active: Option<LooseBool>,
        #[deserr(default = LooseInt(50))]
        size: LooseInt,
    }

    impl Params for Filter {
        const REPEATABLE: &'static [&'static str] = &["username"];
    }

    async fn read(query: &str) -> Result<Filter, ApiError> {
        let request = Request::builder().uri_str(format!("/x?{query}")).finish();
        extract::<Query<Filter>>(&request, &mut RequestBody::default()).await.map(|Query(filter)| filter)
    }

    #[tokio::test]
    async fn the_last_value_of_a_repeated_parameter_wins_unless_it_is_repeatable() {
        let filter = read("username=a&size=2&username=b%20c&size=3&is_active=yes&other=1").await.expect("right");
        let names = vec!["a".to_owned(), "b c".to_owned()];
        assert_eq!(filter, Filter { username: names, is_active: Some(LooseBool(true)), size: LooseInt(3) });
        let once = read("username=a").await.expect("right");
        assert_eq!(once, Filter { username: vec!["a".to_owned()], is_active: None, size: LooseInt(50) });
    }

    #[tokio::test]
    async fn all_wrong_parameters_are_reported_by_name() {
        let error = read("size=abc&is_active=").await.expect_err("both are wrong");
        let answer = error.to_response().into_body().into_json::<Value>().await.expect("JSON");
        let keys: Vec<&String> = answer["detail"].as_object().expect("an object").keys().collect();
        assert_eq!(keys, ["is_active", "size"]);
    }
}
