//! Texts that are unique in the database: PostgreSQL can't index very long ones.

use deserr::{Deserr, IntoValue, Value, ValuePointerRef};

use super::field_errors::FieldErrors;

const MAX_CHARACTERS: usize = 256;

/// A text of at most 256 characters, also an empty one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShortText(pub String);

impl Deserr<FieldErrors> for ShortText {
    fn deserialize_from_value<V: IntoValue>(value: Value<V>, place: ValuePointerRef<'_>) -> Result<Self, FieldErrors> {
        let text = String::deserialize_from_value(value, place)?;
        if text.chars().count() <= MAX_CHARACTERS {
            Ok(Self(text))
        } else {
            Err(FieldErrors::at(place, format!("must not be longer than {MAX_CHARACTERS} characters")))
        }
    }
}
