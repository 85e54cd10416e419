//! Inputs of a handler. Each is an extractor; [`Inputs`] reads two and reports the wrong fields of both in one answer.

use deserr::{Deserr, ValuePointerRef};
use poem::{FromRequest, Request, RequestBody};
use serde_json::Value;

use super::error::ApiError;
use super::field_errors::FieldErrors;

/// A part of a request that is read and validated on its own.
pub trait Input: Sized {
    /// Reads the input. Only the JSON body and forms consume `body`.
    fn read(request: &Request, body: &mut RequestBody) -> impl Future<Output = Result<Self, InputError>> + Send;
}

/// The reason why an input was refused.
#[derive(Debug)]
pub enum InputError {
    /// Fields are wrong. Errors of other inputs are added to these.
    Fields(FieldErrors),
    /// The request is refused with this error, whatever the other inputs hold.
    Final(ApiError),
}

/// Two inputs, for example a path and a body, or a query and paging.
#[derive(Debug)]
pub struct Inputs<A, B>(pub A, pub B);

impl<A: Input + Send, B: Input + Send> Input for Inputs<A, B> {
    async fn read(request: &Request, body: &mut RequestBody) -> Result<Self, InputError> {
        match (A::read(request, body).await, B::read(request, body).await) {
            (Ok(a), Ok(b)) => Ok(Self(a, b)),
            (Err(InputError::Fields(a)), Err(InputError::Fields(b))) => Err(InputError::Fields(a.and(b))),
            (Err(InputError::Final(error)), _) | (_, Err(InputError::Final(error))) => Err(InputError::Final(error)),
            (Err(error), _) | (_, Err(error)) => Err(error),
        }
    }
}

impl<'a, A: Input + Send, B: Input + Send> FromRequest<'a> for Inputs<A, B> {
    async fn from_request(request: &'a Request, body: &mut RequestBody) -> poem::Result<Self> {
        Ok(extract(request, body).await?)
    }
}

/// Reads one input and turns its error into an answer, as the extractors do.
pub(in crate::api) async fn extract<T: Input>(request: &Request, body: &mut RequestBody) -> Result<T, ApiError> {
    T::read(request, body).await.map_err(|error| match error {
        InputError::Fields(fields) => ApiError::invalid(fields),
        InputError::Final(error) => error,
    })
}

/// Reads a `T` from parsed JSON. NUL characters are refused in every text, also in fields that `T` ignores, because
/// PostgreSQL can't store them.
pub(in crate::api) fn check<T: Deserr<FieldErrors>>(value: Value) -> Result<T, FieldErrors> {
    let mut nuls = FieldErrors::default();
    find_nuls(&value, ValuePointerRef::Origin, &mut nuls);
    match deserr::deserialize(value) {
        Ok(value) if nuls.as_map().is_empty() => Ok(value),
        Ok(_) => Err(nuls),
        Err(fields) => Err(nuls.and(fields)),
    }
}

fn find_nuls(value: &Value, location: ValuePointerRef<'_>, found: &mut FieldErrors) {
    match value {
        Value::String(text) if text.contains('\0') => {
            *found = std::mem::take(found).and(FieldErrors::at(location, "must not contain the NUL character"));
        }
        Value::Array(values) => {
            for (index, value) in values.iter().enumerate() {
                find_nuls(value, location.push_index(index), found);
            }
        }
        Value::Object(fields) => {
            for (key, value) in fields {
                find_nuls(value, location.push_key(key), found);
                if key.contains('\0') {
                    find_nuls(&Value::String(key.clone()), location.push_key(key), found);
                }
            }
        }
        _ => {}
    }
}
