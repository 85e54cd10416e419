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

/// Characters of a text, at most. No field needs more, except those that name another limit.
pub(in crate::api) const MAX_TEXT: usize = 4_096;
/// Elements of a list, at most.
pub(in crate::api) const MAX_LIST: usize = 10_000;
/// Characters of a name in an object, at most.
const MAX_KEY: usize = 256;

/// Reads a `T` from parsed JSON. Texts and lists that are too long are refused, also in fields that `T` ignores. So are NUL
/// characters, because PostgreSQL can't store them.
pub(in crate::api) fn check<T: Deserr<FieldErrors>>(value: Value) -> Result<T, FieldErrors> {
    check_with(value, MAX_TEXT)
}

/// Reads a `T` whose texts have at most `max_text` characters.
pub(in crate::api) fn check_with<T: Deserr<FieldErrors>>(value: Value, max_text: usize) -> Result<T, FieldErrors> {
    let mut wrong = FieldErrors::default();
    inspect(&value, ValuePointerRef::Origin, max_text, &mut wrong);
    match deserr::deserialize(value) {
        Ok(value) if wrong.is_empty() => Ok(value),
        Ok(_) => Err(wrong),
        Err(fields) => Err(wrong.and(fields)),
    }
}

fn inspect(value: &Value, location: ValuePointerRef<'_>, max_text: usize, wrong: &mut FieldErrors) {
    match value {
        Value::String(text) => {
            if text.contains('\0') {
                wrong.add(FieldErrors::at(location, "must not contain the NUL character"));
            }
            if is_longer(text, max_text) {
                wrong.add(FieldErrors::at(location, format!("must have at most {max_text} characters")));
            }
        }
        Value::Array(values) if values.len() > MAX_LIST => {
            wrong.add(FieldErrors::at(location, format!("must have at most {MAX_LIST} elements")));
        }
        Value::Array(values) => {
            for (index, value) in values.iter().enumerate() {
                inspect(value, location.push_index(index), max_text, wrong);
            }
        }
        Value::Object(fields) => {
            for (key, value) in fields {
                inspect(value, location.push_key(key), max_text, wrong);
                if key.contains('\0') {
                    wrong.add(FieldErrors::at(location.push_key(key), "must not contain the NUL character"));
                }
                if is_longer(key, MAX_KEY) {
                    let text = format!("the name must have at most {MAX_KEY} characters");
                    wrong.add(FieldErrors::at(location.push_key(key), text));
                }
            }
        }
        _ => {}
    }
}

fn is_longer(text: &str, most: usize) -> bool {
    text.len() > most && text.chars().count() > most
}
