//! What a handler takes from a request. Each input is an extractor of its own; [`Both`] reads two and reports what is
//! wrong in either at once.

use deserr::{Deserr, ValuePointerRef};
use poem::{FromRequest, Request, RequestBody};
use serde_json::Value;

use super::error::ApiError;
use super::field_errors::FieldErrors;

/// A part of a request that is read and checked as a whole.
pub trait Input: Sized {
    /// Reads it. Only the JSON body and forms touch `body`.
    fn read(request: &Request, body: &mut RequestBody) -> impl Future<Output = Result<Self, Refused>> + Send;
}

/// Why an input was refused.
#[derive(Debug)]
pub enum Refused {
    /// These fields are wrong; others may be wrong too.
    Fields(FieldErrors),
    /// There is nothing more to be said, whatever the other inputs are.
    AtOnce(ApiError),
}

/// Two inputs: path and body, paging and query, …
#[derive(Debug)]
pub struct Both<A, B>(pub A, pub B);

impl<A: Input + Send, B: Input + Send> Input for Both<A, B> {
    async fn read(request: &Request, body: &mut RequestBody) -> Result<Self, Refused> {
        match (A::read(request, body).await, B::read(request, body).await) {
            (Ok(a), Ok(b)) => Ok(Self(a, b)),
            (Err(Refused::Fields(a)), Err(Refused::Fields(b))) => Err(Refused::Fields(a.and(b))),
            (Err(Refused::AtOnce(error)), _) | (_, Err(Refused::AtOnce(error))) => Err(Refused::AtOnce(error)),
            (Err(refused), _) | (_, Err(refused)) => Err(refused),
        }
    }
}

impl<'a, A: Input + Send, B: Input + Send> FromRequest<'a> for Both<A, B> {
    async fn from_request(request: &'a Request, body: &mut RequestBody) -> poem::Result<Self> {
        Ok(extract(request, body).await?)
    }
}

/// Reads one input on its own: what the extractors do.
pub(in crate::api) async fn extract<T: Input>(request: &Request, body: &mut RequestBody) -> Result<T, ApiError> {
    T::read(request, body).await.map_err(|refused| match refused {
        Refused::Fields(fields) => ApiError::invalid(fields),
        Refused::AtOnce(error) => error,
    })
}

/// Checks a value that was parsed, whole: its own NUL characters first (PostgreSQL can't store them), then the fields.
pub(in crate::api) fn check<T: Deserr<FieldErrors>>(value: Value) -> Result<T, FieldErrors> {
    let mut nuls = FieldErrors::default();
    find_nuls(&value, ValuePointerRef::Origin, &mut nuls);
    match deserr::deserialize(value) {
        Ok(value) if nuls.as_map().is_empty() => Ok(value),
        Ok(_) => Err(nuls),
        Err(fields) => Err(nuls.and(fields)),
    }
}

fn find_nuls(value: &Value, place: ValuePointerRef<'_>, found: &mut FieldErrors) {
    match value {
        Value::String(text) if text.contains('\0') => {
            *found = std::mem::take(found).and(FieldErrors::at(place, "must not contain the NUL character"));
        }
        Value::Array(values) => {
            for (index, value) in values.iter().enumerate() {
                find_nuls(value, place.push_index(index), found);
            }
        }
        Value::Object(fields) => {
            for (key, value) in fields {
                find_nuls(value, place.push_key(key), found);
                if key.contains('\0') {
                    find_nuls(&Value::String(key.clone()), place.push_key(key), found);
                }
            }
        }
        _ => {}
    }
}
