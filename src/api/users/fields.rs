//! The fields of a user as admins write them: each reads one value and says what is wrong with it.

use deserr::{Deserr, IntoValue, Value, ValueKind, ValuePointerRef};

use crate::api::http::field_errors::{FieldErrors, wrong_kind};
use crate::api::http::loose::Int;
use crate::domain::user::edit::{MAX_NOTE, MAX_USAGE_DURATION};
use crate::domain::user::username::Username;

/// The most characters of a key: an index entry of PostgreSQL must hold it.
const MAX_KEY: usize = 500;

/// A name that may be one.
#[derive(Debug)]
pub(in crate::api) struct Name(pub Username);

/// Bytes, at least 0.
#[derive(Debug)]
pub(in crate::api) struct Limit(pub i64);

/// Seconds, possibly negative, but not too many.
#[derive(Debug)]
pub(in crate::api) struct Duration(pub i64);

/// A remark that is not too long.
#[derive(Debug)]
pub(in crate::api) struct Note(pub String);

/// A key; null is none, but missing is.
#[derive(Debug, Default)]
pub(in crate::api) struct Key(pub Option<String>);

impl Deserr<FieldErrors> for Name {
    fn deserialize_from_value<V: IntoValue>(value: Value<V>, place: ValuePointerRef<'_>) -> Result<Self, FieldErrors> {
        Username::parse(&text(value, place)?)
            .map(Self)
            .ok_or_else(|| FieldErrors::at(place, "must be 3 to 32 letters, digits or underscores"))
    }
}

impl Deserr<FieldErrors> for Limit {
    fn deserialize_from_value<V: IntoValue>(value: Value<V>, place: ValuePointerRef<'_>) -> Result<Self, FieldErrors> {
        let Int(bytes) = Int::deserialize_from_value(value, place)?;
        if bytes >= 0 { Ok(Self(bytes)) } else { Err(FieldErrors::at(place, "must be at least 0")) }
    }
}

impl Deserr<FieldErrors> for Duration {
    fn deserialize_from_value<V: IntoValue>(value: Value<V>, place: ValuePointerRef<'_>) -> Result<Self, FieldErrors> {
        let Int(seconds) = Int::deserialize_from_value(value, place)?;
        if (-MAX_USAGE_DURATION..=MAX_USAGE_DURATION).contains(&seconds) {
            Ok(Self(seconds))
        } else {
            let right = format!("must be from -{MAX_USAGE_DURATION} to {MAX_USAGE_DURATION} seconds");
            Err(FieldErrors::at(place, right))
        }
    }
}

impl Deserr<FieldErrors> for Note {
    fn deserialize_from_value<V: IntoValue>(value: Value<V>, place: ValuePointerRef<'_>) -> Result<Self, FieldErrors> {
        short(value, place, MAX_NOTE).map(Self)
    }
}

impl Deserr<FieldErrors> for Key {
    fn deserialize_from_value<V: IntoValue>(value: Value<V>, place: ValuePointerRef<'_>) -> Result<Self, FieldErrors> {
        short(value, place, MAX_KEY).map(Some).map(Self)
    }
}

fn text<V: IntoValue>(value: Value<V>, place: ValuePointerRef<'_>) -> Result<String, FieldErrors> {
    match value {
        Value::String(text) => Ok(text),
        other => Err(wrong_kind(other, &[ValueKind::String], place)),
    }
}

fn short<V: IntoValue>(value: Value<V>, place: ValuePointerRef<'_>, most: usize) -> Result<String, FieldErrors> {
    let text = text(value, place)?;
    if text.chars().count() <= most {
        Ok(text)
    } else {
        Err(FieldErrors::at(place, format!("must have at most {most} characters")))
    }
}
