//! Validating readers of the fields of a user.

use deserr::{Deserr, IntoValue, Value, ValueKind, ValuePointerRef};

use crate::api::http::field_errors::{FieldErrors, wrong_kind};
use crate::api::http::loose::LooseInt;
use crate::domain::user::edit::{MAX_NOTE, MAX_USAGE_DURATION};
use crate::domain::user::username::Username;

/// Maximum length of a key, in characters. An index entry of PostgreSQL must hold it.
const MAX_KEY: usize = 500;
/// Minimum length of a key, in characters. Marzneshin has no minimum, and clients set keys of 3 characters.
const MIN_KEY: usize = 3;

/// A valid username.
#[derive(Debug)]
pub(in crate::api) struct UsernameField(pub Username);

/// A number of bytes, at least 0.
#[derive(Debug)]
pub(in crate::api) struct DataLimitField(pub i64);

/// A number of seconds within the allowed range, which includes negative values.
#[derive(Debug)]
pub(in crate::api) struct UsageDurationField(pub i64);

/// A note of at most [`MAX_NOTE`] characters.
#[derive(Debug)]
pub(in crate::api) struct NoteField(pub String);

/// A key; `None` if the field is missing. Null is refused.
#[derive(Debug, Default)]
pub(in crate::api) struct KeyField(pub Option<String>);

impl Deserr<FieldErrors> for UsernameField {
    fn deserialize_from_value<V: IntoValue>(
        value: Value<V>,
        location: ValuePointerRef<'_>,
    ) -> Result<Self, FieldErrors> {
        Username::parse(&text(value, location)?).map(Self).ok_or_else(|| {
            FieldErrors::at(
                location,
                "must be 3 to 32 letters, their marks, digits, underscores or joiners, of any script",
            )
        })
    }
}

impl Deserr<FieldErrors> for DataLimitField {
    fn deserialize_from_value<V: IntoValue>(
        value: Value<V>,
        location: ValuePointerRef<'_>,
    ) -> Result<Self, FieldErrors> {
        let LooseInt(bytes) = LooseInt::deserialize_from_value(value, location)?;
        if bytes >= 0 { Ok(Self(bytes)) } else { Err(FieldErrors::at(location, "must be at least 0")) }
    }
}

impl Deserr<FieldErrors> for UsageDurationField {
    fn deserialize_from_value<V: IntoValue>(
        value: Value<V>,
        location: ValuePointerRef<'_>,
    ) -> Result<Self, FieldErrors> {
        let LooseInt(seconds) = LooseInt::deserialize_from_value(value, location)?;
        if (-MAX_USAGE_DURATION..=MAX_USAGE_DURATION).contains(&seconds) {
            Ok(Self(seconds))
        } else {
            let message = format!("must be from -{MAX_USAGE_DURATION} to {MAX_USAGE_DURATION} seconds");
            Err(FieldErrors::at(location, message))
        }
    }
}

impl Deserr<FieldErrors> for NoteField {
    fn deserialize_from_value<V: IntoValue>(
        value: Value<V>,
        location: ValuePointerRef<'_>,
    ) -> Result<Self, FieldErrors> {
        short(value, location, MAX_NOTE).map(Self)
    }
}

impl Deserr<FieldErrors> for KeyField {
    fn deserialize_from_value<V: IntoValue>(
        value: Value<V>,
        location: ValuePointerRef<'_>,
    ) -> Result<Self, FieldErrors> {
        let key = short(value, location, MAX_KEY)?;
        if key.chars().count() < MIN_KEY {
            // The key is the only secret of the user's subscription link.
            return Err(FieldErrors::at(location, format!("must have at least {MIN_KEY} characters")));
        }
        Ok(Self(Some(key)))
    }
}

fn text<V: IntoValue>(value: Value<V>, location: ValuePointerRef<'_>) -> Result<String, FieldErrors> {
    match value {
        Value::String(text) => Ok(text),
        other => Err(wrong_kind(other, &[ValueKind::String], location)),
    }
}

fn short<V: IntoValue>(value: Value<V>, location: ValuePointerRef<'_>, most: usize) -> Result<String, FieldErrors> {
    let text = text(value, location)?;
    if text.chars().count() <= most {
        Ok(text)
    } else {
        Err(FieldErrors::at(location, format!("must have at most {most} characters")))
    }
}
