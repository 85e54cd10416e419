//! Lenient readers, as the recorded API contract asks for: integers as text, several spellings of booleans and dates.
//!
//! Plain `String` accepts text only, never a number. `Option<T>` reads null as `None`. A field that may be missing
//! needs `#[deserr(default)]`.

use std::marker::PhantomData;

use deserr::{Deserr, IntoValue, Sequence, Value, ValueKind, ValuePointerRef};

use super::field_errors::{FieldErrors, wrong_kind};
use super::moment_text;
use crate::domain::moment::Moment;

/// An integer: a number without a fraction (also 2.0), or its text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct LooseInt(pub i64);

/// An integer from `MIN` to `MAX`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LooseIntIn<const MIN: i64, const MAX: i64>(pub i64);

/// A finite number, or its text.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LooseFloat(pub f64);

/// A boolean: true, false, 1, 0, or the text true/false/1/0/yes/no/on/off/t/f/y/n in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LooseBool(pub bool);

/// A moment: ISO 8601 text, or a number of unix seconds or milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LooseMoment(pub Moment);

/// A value that may be null but, unlike an `Option`, must not be missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nullable<T>(pub Option<T>);

/// A value of a change that may be removed: null removes it, and a missing one (`None`) leaves it as it is. Needs
/// `#[deserr(default)]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patch<T>(pub Option<Option<T>>);

/// A list of ids. Elements that are not integers (text, null) are dropped, as unknown ids are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LooseIds(pub Vec<i64>);

/// A field that answers contain and clients send back. Its type is checked, its value ignored.
#[derive(Clone, Copy, Debug)]
pub struct Ignored<T>(PhantomData<T>);

impl<T> Default for Ignored<T> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T: Deserr<FieldErrors>> Deserr<FieldErrors> for Ignored<T> {
    fn deserialize_from_value<V: IntoValue>(
        value: Value<V>,
        location: ValuePointerRef<'_>,
    ) -> Result<Self, FieldErrors> {
        T::deserialize_from_value(value, location).map(|_| Self(PhantomData))
    }
}

impl Deserr<FieldErrors> for LooseInt {
    fn deserialize_from_value<V: IntoValue>(
        value: Value<V>,
        location: ValuePointerRef<'_>,
    ) -> Result<Self, FieldErrors> {
        let number = match value {
            Value::Integer(number) => i64::try_from(number).ok(),
            Value::NegativeInteger(number) => Some(number),
            Value::Float(number) => whole(number),
            Value::String(text) => integer_text(&text),
            other => return Err(wrong_kind(other, &[ValueKind::Integer], location)),
        };
        number.map(Self).ok_or_else(|| FieldErrors::at(location, "must be an integer of at most 64 bits"))
    }
}

impl<const MIN: i64, const MAX: i64> Deserr<FieldErrors> for LooseIntIn<MIN, MAX> {
    fn deserialize_from_value<V: IntoValue>(
        value: Value<V>,
        location: ValuePointerRef<'_>,
    ) -> Result<Self, FieldErrors> {
        match LooseInt::deserialize_from_value(value, location)?.0 {
            number if number < MIN => Err(FieldErrors::at(location, format!("must be at least {MIN}"))),
            number if number > MAX => Err(FieldErrors::at(location, format!("must be at most {MAX}"))),
            number => Ok(Self(number)),
        }
    }
}

impl Deserr<FieldErrors> for LooseFloat {
    fn deserialize_from_value<V: IntoValue>(
        value: Value<V>,
        location: ValuePointerRef<'_>,
    ) -> Result<Self, FieldErrors> {
        let number = match value {
            Value::Integer(number) => Some(number as f64),
            Value::NegativeInteger(number) => Some(number as f64),
            Value::Float(number) => Some(number),
            Value::String(text) => text.trim().parse().ok(),
            other => return Err(wrong_kind(other, &[ValueKind::Float], location)),
        };
        let number = number.filter(|number| number.is_finite());
        number.map(Self).ok_or_else(|| FieldErrors::at(location, "must be a number"))
    }
}

impl Deserr<FieldErrors> for LooseBool {
    fn deserialize_from_value<V: IntoValue>(
        value: Value<V>,
        location: ValuePointerRef<'_>,
    ) -> Result<Self, FieldErrors> {
        let boolean = match value {
            Value::Boolean(boolean) => Some(boolean),
            Value::Integer(number) => bool_from_number(number as f64),
            Value::Float(number) => bool_from_number(number),
            Value::String(text) => bool_from_text(&text),
            other => return Err(wrong_kind(other, &[ValueKind::Boolean], location)),
        };
        boolean.map(Self).ok_or_else(|| FieldErrors::at(location, "must be true or false"))
    }
}

impl Deserr<FieldErrors> for LooseMoment {
    fn deserialize_from_value<V: IntoValue>(
        value: Value<V>,
        location: ValuePointerRef<'_>,
    ) -> Result<Self, FieldErrors> {
        let moment = match value {
            Value::Integer(number) => Moment::from_unix_number(number as f64),
            Value::NegativeInteger(number) => Moment::from_unix_number(number as f64),
            Value::Float(number) => Moment::from_unix_number(number),
            Value::String(text) => moment_text::parse(&text),
            other => return Err(wrong_kind(other, &[ValueKind::String, ValueKind::Integer], location)),
        };
        moment.map(Self).ok_or_else(|| FieldErrors::at(location, "must be a date such as 2030-12-31T23:59:59"))
    }
}

impl<T: Deserr<FieldErrors>> Deserr<FieldErrors> for Nullable<T> {
    fn deserialize_from_value<V: IntoValue>(
        value: Value<V>,
        location: ValuePointerRef<'_>,
    ) -> Result<Self, FieldErrors> {
        Option::<T>::deserialize_from_value(value, location).map(Self)
    }
}

impl<T> Default for Patch<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T: Deserr<FieldErrors>> Deserr<FieldErrors> for Patch<T> {
    fn deserialize_from_value<V: IntoValue>(
        value: Value<V>,
        location: ValuePointerRef<'_>,
    ) -> Result<Self, FieldErrors> {
        Option::<T>::deserialize_from_value(value, location).map(|value| Self(Some(value)))
    }
}

impl Deserr<FieldErrors> for LooseIds {
    fn deserialize_from_value<V: IntoValue>(
        value: Value<V>,
        location: ValuePointerRef<'_>,
    ) -> Result<Self, FieldErrors> {
        let list = match value {
            Value::Sequence(list) => list,
            other => return Err(wrong_kind(other, &[ValueKind::Sequence], location)),
        };
        let mut ids = Vec::with_capacity(list.len());
        let mut wrong = FieldErrors::default();
        for (index, value) in list.into_iter().enumerate() {
            match value.into_value() {
                value @ (Value::Map(_) | Value::Sequence(_)) => {
                    wrong.add(wrong_kind(value, &[ValueKind::Integer], location.push_index(index)));
                }
                value => {
                    ids.extend(LooseInt::deserialize_from_value(value, location.push_index(index)).ok().map(|id| id.0));
                }
            }
        }
        if wrong.is_empty() { Ok(Self(ids)) } else { Err(wrong) }
    }
}

/// Converts a float without a fraction to an integer, if it fits.
fn whole(number: f64) -> Option<i64> {
    // 2^63 does not fit into an i64. Comparisons with NaN are false.
    let fits = number >= i64::MIN as f64 && number < i64::MAX as f64;
    (fits && number.fract() == 0.0).then_some(number as i64)
}

fn integer_text(text: &str) -> Option<i64> {
    let text = text.trim();
    let (digits, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let no_fraction = !fraction.is_empty() && fraction.bytes().all(|digit| digit == b'0');
    no_fraction.then(|| digits.parse().ok()).flatten()
}

fn bool_from_number(number: f64) -> Option<bool> {
    if number == 1.0 {
        Some(true)
    } else if number == 0.0 {
        Some(false)
    } else {
        None
    }
}

fn bool_from_text(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" | "t" | "y" => Some(true),
        "false" | "0" | "no" | "off" | "f" | "n" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::*;

    fn read<T: Deserr<FieldErrors>>(value: Json) -> Option<T> {
        deserr::deserialize::<T, _, FieldErrors>(value).ok()
    }

    #[test]
    fn integers_are_read_from_whole_numbers_and_text_and_nothing_else() {
        for (value, expected) in [
            (json!(5), 5),
            (json!(-5), -5),
            (json!(2.0), 2),
            (json!("7"), 7),
            (json!(" -7 "), -7),
            (json!("1.0"), 1),
            (json!(i64::MAX), i64::MAX),
        ] {
            assert_eq!(read::<LooseInt>(value.clone()), Some(LooseInt(expected)), "{value}");
        }
        for value in [
            json!(1.5),
            json!("1.5"),
            json!("x"),
            json!(""),
            json!("1."),
            json!(null),
            json!([]),
            json!(u64::MAX),
            json!(1e20),
            json!("9223372036854775808"),
        ] {
            assert_eq!(read::<LooseInt>(value.clone()), None, "{value}");
        }
    }

    #[test]
    fn booleans_are_read_from_all_spellings_and_nothing_else() {
        for word in ["true", "1", "yes", "ON", "t", "Y"] {
            assert_eq!(read::<LooseBool>(json!(word)), Some(LooseBool(true)), "{word}");
        }
        for word in ["False", "0", "no", "off", "F", "n"] {
            assert_eq!(read::<LooseBool>(json!(word)), Some(LooseBool(false)), "{word}");
        }
        assert_eq!(read::<LooseBool>(json!(1)), Some(LooseBool(true)));
        assert_eq!(read::<LooseBool>(json!(0.0)), Some(LooseBool(false)));
        for value in [json!(""), json!("maybe"), json!(3), json!(-1), json!(null), json!([])] {
            assert_eq!(read::<LooseBool>(value.clone()), None, "{value}");
        }
    }

    #[test]
    fn numbers_are_read_from_text_unless_not_finite() {
        assert_eq!(read::<LooseFloat>(json!("1.5")), Some(LooseFloat(1.5)));
        for value in [json!("NaN"), json!("inf"), json!("x"), json!(null)] {
            assert_eq!(read::<LooseFloat>(value.clone()), None, "{value}");
        }
    }

    #[test]
    fn moments_are_read_from_iso_text_unix_seconds_and_milliseconds() {
        let noon = Some(LooseMoment(Moment::from_micros(1_795_435_200_000_000)));
        for value in [json!("2026-11-23T12:00:00"), json!(1_795_435_200), json!(1_795_435_200_000_i64)] {
            assert_eq!(read::<LooseMoment>(value.clone()), noon, "{value}");
        }
        assert_eq!(read::<LooseMoment>(json!("tomorrow")), None);
    }

    #[test]
    fn loose_ids_drop_non_integers_and_refuse_nested_values() {
        assert_eq!(read::<LooseIds>(json!([1, "2", "abc", null, 1.5])), Some(LooseIds(vec![1, 2])));
        for value in [json!([{"a": 1}]), json!([[]]), json!("x"), json!({}), json!(null)] {
            assert_eq!(read::<LooseIds>(value.clone()), None, "{value}");
        }
    }

    #[test]
    fn null_removes_what_a_missing_field_leaves() {
        #[derive(Debug, PartialEq, Deserr)]
        #[deserr(error = FieldErrors)]
        struct Change {
            #[deserr(default)]
            id: Patch<LooseInt>,
        }
        for (body, expected) in
            [(json!({}), None), (json!({"id": null}), Some(None)), (json!({"id": 7}), Some(Some(LooseInt(7))))]
        {
            assert_eq!(read::<Change>(body.clone()), Some(Change { id: Patch(expected) }), "{body}");
        }
        assert_eq!(read::<Change>(json!({"id": "x"})), None);
    }

    #[test]
    fn null_is_none_and_numbers_are_not_text() {
        assert_eq!(read::<Option<LooseInt>>(json!(null)), Some(None));
        assert_eq!(read::<String>(json!(5)), None);
    }
}
