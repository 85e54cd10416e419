//! Validation errors by field: the body of every 422.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use deserr::{DeserializeError, ErrorKind, IntoValue, MergeWithError, ValueKind, ValuePointerRef, take_cf_content};

/// The key of an error that belongs to no single field.
pub const BODY: &str = "body";

/// Fields of one answer, at most; the others are counted.
const MAX_FIELDS: usize = 100;
/// Bytes of a key, at most. Keys may come from the request.
const MAX_KEY: usize = 128;
/// Bytes of a text, at most: two quotations of an engine's log.
const MAX_TEXT: usize = 2_048;

/// Error texts by field. The key is the last element of the field's location: its name however deep it is nested, its
/// index in a list as text, or [`BODY`] for the body itself. The last text of a key wins. After a hundred keys, further
/// ones are only counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldErrors {
    texts: BTreeMap<String, String>,
    more: usize,
}

impl FieldErrors {
    /// One wrong field.
    pub fn one(key: impl Into<String>, text: impl Into<String>) -> Self {
        let texts = BTreeMap::from([(cut(key.into(), MAX_KEY), cut(text.into(), MAX_TEXT))]);
        Self { texts, more: 0 }
    }

    /// An error of the value at `location`.
    pub fn at(location: ValuePointerRef<'_>, text: impl Into<String>) -> Self {
        let key = match location {
            ValuePointerRef::Origin => BODY.to_owned(),
            ValuePointerRef::Key { key, .. } => key.to_owned(),
            ValuePointerRef::Index { index, .. } => index.to_string(),
        };
        Self::one(key, text)
    }

    /// Adds other errors.
    #[must_use]
    pub fn and(mut self, more: Self) -> Self {
        self.add(more);
        self
    }

    /// Adds other errors.
    pub fn add(&mut self, more: Self) {
        self.more += more.more;
        for (key, text) in more.texts {
            if self.texts.len() < MAX_FIELDS || self.texts.contains_key(&key) {
                self.texts.insert(key, text);
            } else {
                self.more += 1;
            }
        }
    }

    /// Returns true if no field is wrong.
    pub fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }

    /// The texts by key, for an answer. If there were more, the text of [`BODY`] says how many.
    pub fn to_map(&self) -> BTreeMap<String, String> {
        let mut texts = self.texts.clone();
        if self.more > 0 {
            let more = format!("{} more values are wrong", self.more);
            texts.entry(BODY.to_owned()).and_modify(|text| *text = format!("{text}; {more}")).or_insert(more);
        }
        texts
    }
}

/// Cuts a text to at most that many bytes.
fn cut(mut text: String, most: usize) -> String {
    text.truncate(text.floor_char_boundary(most));
    text
}

/// The error of a value of the wrong kind, for hand-written readers.
pub fn wrong_kind<V: IntoValue>(
    actual: deserr::Value<V>,
    accepted: &[ValueKind],
    location: ValuePointerRef<'_>,
) -> FieldErrors {
    take_cf_content(FieldErrors::error(None, ErrorKind::IncorrectValueKind { actual, accepted }, location))
}

impl MergeWithError<Self> for FieldErrors {
    fn merge(errors: Option<Self>, more: Self, _: ValuePointerRef<'_>) -> ControlFlow<Self, Self> {
        ControlFlow::Continue(errors.unwrap_or_default().and(more))
    }
}

impl DeserializeError for FieldErrors {
    fn error<V: IntoValue>(
        errors: Option<Self>,
        error: ErrorKind<'_, V>,
        location: ValuePointerRef<'_>,
    ) -> ControlFlow<Self, Self> {
        let one = match error {
            ErrorKind::MissingField { field } => Self::one(field, "is missing"),
            ErrorKind::IncorrectValueKind { actual, accepted } => {
                let accepted: Vec<&str> = accepted.iter().map(|kind| noun(*kind)).collect();
                Self::at(location, format!("must be {}, got {}", accepted.join(" or "), noun(actual.kind())))
            }
            ErrorKind::UnknownKey { key, .. } => Self::one(key, "unknown field"),
            ErrorKind::UnknownValue { accepted, .. } => {
                Self::at(location, format!("must be one of: {}", accepted.join(", ")))
            }
            ErrorKind::BadSequenceLen { expected, .. } => Self::at(location, format!("must have {expected} elements")),
            ErrorKind::Unexpected { msg } => Self::at(location, msg),
        };
        ControlFlow::Continue(errors.unwrap_or_default().and(one))
    }
}

const fn noun(kind: ValueKind) -> &'static str {
    match kind {
        ValueKind::Null => "null",
        ValueKind::Boolean => "true or false",
        ValueKind::Integer => "an integer",
        ValueKind::NegativeInteger => "a negative integer",
        ValueKind::Float => "a number",
        ValueKind::String => "text",
        ValueKind::Sequence => "a list",
        ValueKind::Map => "an object",
    }
}

#[cfg(test)]
mod tests {
    use deserr::Deserr;
    use serde_json::json;

    use super::*;

    #[derive(Debug, Deserr)]
    #[deserr(error = FieldErrors)]
    #[expect(dead_code, reason = "the test looks at errors only")]
    struct Outer {
        name: String,
        ids: Vec<u8>,
        inner: Inner,
    }

    #[derive(Debug, Deserr)]
    #[deserr(error = FieldErrors)]
    #[expect(dead_code, reason = "the test looks at errors only")]
    struct Inner {
        packets: String,
    }

    fn keys(value: serde_json::Value) -> Vec<String> {
        let errors = deserr::deserialize::<Outer, _, FieldErrors>(value).expect_err("fields are wrong");
        errors.to_map().keys().cloned().collect()
    }

    #[test]
    fn all_wrong_fields_are_reported_by_the_last_element_of_their_location() {
        assert_eq!(keys(json!({"name": 5, "ids": [1, "x", -2], "inner": {}})), ["1", "2", "name", "packets"]);
        assert_eq!(keys(json!([])), ["body"]);
        assert_eq!(keys(json!({})), ["ids", "inner", "name"]);
    }

    #[test]
    fn errors_beyond_a_hundred_are_counted_and_long_keys_and_texts_cut() {
        let mut errors = FieldErrors::default();
        for index in 0..250 {
            errors.add(FieldErrors::one(index.to_string(), "is wrong"));
        }
        errors.add(FieldErrors::one("0", "is wrong again"));
        let map = errors.clone().to_map();
        assert_eq!((map.len(), map["0"].as_str()), (101, "is wrong again"));
        assert_eq!(map["body"], "150 more values are wrong");
        let both = FieldErrors::one(BODY, "is missing").and(errors).to_map();
        assert_eq!(both["body"], "is missing; 151 more values are wrong");
        let long = FieldErrors::one("ü".repeat(1_000), "x".repeat(3_000)).to_map();
        assert_eq!(long.iter().map(|(key, text)| (key.len(), text.len())).collect::<Vec<_>>(), [(128, 2_048)]);
    }
}
