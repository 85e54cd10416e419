//! Texts with a unique index in the database. Their length is limited, because PostgreSQL can't index very long texts.

use deserr::{Deserr, IntoValue, Value, ValuePointerRef};

use super::field_errors::FieldErrors;

const MAX_CHARACTERS: usize = 256;

/// A text of 0 to 256 characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShortText(pub String);

impl Deserr<FieldErrors> for ShortText {
    fn deserialize_from_value<V: IntoValue>(
        value: Value<V>,
        location: ValuePointerRef<'_>,
    ) -> Result<Self, FieldErrors> {
        let text = String::deserialize_from_value(value, location)?;
        if text.chars().count() <= MAX_CHARACTERS {
            Ok(Self(text))
        } else {
            Err(FieldErrors::at(location, format!("must have at most {MAX_CHARACTERS} characters")))
        }
    }
}
