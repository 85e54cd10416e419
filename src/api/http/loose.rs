//! Values as clients write them: integers as text, booleans as words, moments in every accepted form, words of a list.
//!
//! Plain `String` takes text only (a number is never taken for it), `Option<T>` takes null for `None`. A field that
//! may be missing needs `#[deserr(default)]`.

use deserr::{Deserr, IntoValue, Sequence, Value, ValueKind, ValuePointerRef};

use super::field_errors::{FieldErrors, wrong_kind};
use crate::domain::moment::Moment;

/// An integer: a number without a fraction (2.0 too), or the text of one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Int(pub i64);

/// An integer from `MIN` to `MAX`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IntIn<const MIN: i64, const MAX: i64>(pub i64);

/// A number: also as text, never NaN or infinite.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Float(pub f64);

/// A boolean: true, false, 1, 0, or as text true/false/1/0/yes/no/on/off/t/f/y/n in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flag(pub bool);

/// A moment: ISO text, or unix seconds or milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct When(pub Moment);

/// A value that may be null and, unlike an `Option`, may not be missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrNull<T>(pub Option<T>);

/// A list of ids, in which what can't be an id (a text, null) is left out, as unknown ids are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LooseIds(pub Vec<i64>);

/// One word of a list, given as text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Word<T>(pub T);

/// A value with a fixed list of words: `impl_words!` makes one from a domain type.
pub trait Words: Sized + Copy + 'static {
    /// All values, in the order in which an error names them.
    const ALL: &'static [Self];

    /// The word of the API.
    fn word(self) -> &'static str;
}

/// Makes [`Words`] from a type with `word()`, listing all its values, or naming the list that it has.
macro_rules! impl_words {
    ($type:ty: $($value:expr),+ $(,)?) => {
        $crate::api::http::loose::impl_words!($type = [$($value),+]);
    };
    ($type:ty = $all:expr) => {
        impl $crate::api::http::loose::Words for $type {
            const ALL: &'static [Self] = &$all;

            fn word(self) -> &'static str {
                <$type>::word(self)
            }
        }
    };
}

pub(crate) use impl_words;

impl Deserr<FieldErrors> for Int {
    fn deserialize_from_value<V: IntoValue>(value: Value<V>, place: ValuePointerRef<'_>) -> Result<Self, FieldErrors> {
        let number = match value {
            Value::Integer(number) => i64::try_from(number).ok(),
            Value::NegativeInteger(number) => Some(number),
            Value::Float(number) => whole(number),
            Value::String(text) => integer_text(&text),
            other => return Err(wrong_kind(other, &[ValueKind::Integer], place)),
        };
        number.map(Self).ok_or_else(|| FieldErrors::at(place, "must be an integer of at most 64 bits"))
    }
}

impl<const MIN: i64, const MAX: i64> Deserr<FieldErrors> for IntIn<MIN, MAX> {
    fn deserialize_from_value<V: IntoValue>(value: Value<V>, place: ValuePointerRef<'_>) -> Result<Self, FieldErrors> {
        match Int::deserialize_from_value(value, place)?.0 {
            number if number < MIN => Err(FieldErrors::at(place, format!("must be at least {MIN}"))),
            number if number > MAX => Err(FieldErrors::at(place, format!("must be at most {MAX}"))),
            number => Ok(Self(number)),
        }
    }
}

impl Deserr<FieldErrors> for Float {
    fn deserialize_from_value<V: IntoValue>(value: Value<V>, place: ValuePointerRef<'_>) -> Result<Self, FieldErrors> {
        let number = match value {
            Value::Integer(number) => Some(number as f64),
            Value::NegativeInteger(number) => Some(number as f64),
            Value::Float(number) => Some(number),
            Value::String(text) => text.trim().parse().ok(),
            other => return Err(wrong_kind(other, &[ValueKind::Float], place)),
        };
        let number = number.filter(|number| number.is_finite());
        number.map(Self).ok_or_else(|| FieldErrors::at(place, "must be a number"))
    }
}

impl Deserr<FieldErrors> for Flag {
    fn deserialize_from_value<V: IntoValue>(value: Value<V>, place: ValuePointerRef<'_>) -> Result<Self, FieldErrors> {
        let flag = match value {
            Value::Boolean(flag) => Some(flag),
            Value::Integer(number) => flag_number(number as f64),
            Value::Float(number) => flag_number(number),
            Value::String(text) => flag_word(&text),
            other => return Err(wrong_kind(other, &[ValueKind::Boolean], place)),
        };
        flag.map(Self).ok_or_else(|| FieldErrors::at(place, "must be true or false"))
    }
}

impl Deserr<FieldErrors> for When {
    fn deserialize_from_value<V: IntoValue>(value: Value<V>, place: ValuePointerRef<'_>) -> Result<Self, FieldErrors> {
        let moment = match value {
            Value::Integer(number) => Moment::from_unix_number(number as f64),
            Value::NegativeInteger(number) => Moment::from_unix_number(number as f64),
            Value::Float(number) => Moment::from_unix_number(number),
            Value::String(text) => Moment::parse(&text),
            other => return Err(wrong_kind(other, &[ValueKind::String, ValueKind::Integer], place)),
        };
        moment.map(Self).ok_or_else(|| FieldErrors::at(place, "must be a date, such as 2030-12-31T23:59:59"))
    }
}

impl<T: Deserr<FieldErrors>> Deserr<FieldErrors> for OrNull<T> {
    fn deserialize_from_value<V: IntoValue>(value: Value<V>, place: ValuePointerRef<'_>) -> Result<Self, FieldErrors> {
        Option::<T>::deserialize_from_value(value, place).map(Self)
    }
}

impl Deserr<FieldErrors> for LooseIds {
    fn deserialize_from_value<V: IntoValue>(value: Value<V>, place: ValuePointerRef<'_>) -> Result<Self, FieldErrors> {
        let list = match value {
            Value::Sequence(list) => list,
            other => return Err(wrong_kind(other, &[ValueKind::Sequence], place)),
        };
        let mut ids = Vec::with_capacity(list.len());
        let mut wrong = FieldErrors::default();
        for (index, value) in list.into_iter().enumerate() {
            match value.into_value() {
                value @ (Value::Map(_) | Value::Sequence(_)) => {
                    wrong = wrong.and(wrong_kind(value, &[ValueKind::Integer], place.push_index(index)));
                }
                value => ids.extend(Int::deserialize_from_value(value, place.push_index(index)).ok().map(|id| id.0)),
            }
        }
        if wrong.as_map().is_empty() { Ok(Self(ids)) } else { Err(wrong) }
    }
}

impl<T: Words> Deserr<FieldErrors> for Word<T> {
    fn deserialize_from_value<V: IntoValue>(value: Value<V>, place: ValuePointerRef<'_>) -> Result<Self, FieldErrors> {
        let text = match value {
            Value::String(text) => text,
            other => return Err(wrong_kind(other, &[ValueKind::String], place)),
        };
        T::ALL.iter().find(|value| value.word() == text).map(|value| Self(*value)).ok_or_else(|| {
            let words: Vec<&str> = T::ALL.iter().map(|value| value.word()).collect();
            FieldErrors::at(place, format!("must be one of: {}", words.join(", ")))
        })
    }
}

/// The integer that a float is, if it is one.
fn whole(number: f64) -> Option<i64> {
    // 2^63 itself does not fit; comparisons with NaN are false.
    let fits = number >= i64::MIN as f64 && number < i64::MAX as f64;
    (fits && number.fract() == 0.0).then_some(number as i64)
}

fn integer_text(text: &str) -> Option<i64> {
    let text = text.trim();
    let (digits, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let no_fraction = !fraction.is_empty() && fraction.bytes().all(|digit| digit == b'0');
    no_fraction.then(|| digits.parse().ok()).flatten()
}

fn flag_number(number: f64) -> Option<bool> {
    if number == 1.0 {
        Some(true)
    } else if number == 0.0 {
        Some(false)
    } else {
        None
    }
}

fn flag_word(text: &str) -> Option<bool> {
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
    fn integers() {
        for (value, expected) in [
            (json!(5), 5),
            (json!(-5), -5),
            (json!(2.0), 2),
            (json!("7"), 7),
            (json!(" -7 "), -7),
            (json!("1.0"), 1),
            (json!(i64::MAX), i64::MAX),
        ] {
            assert_eq!(read::<Int>(value.clone()), Some(Int(expected)), "{value}");
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
            assert_eq!(read::<Int>(value.clone()), None, "{value}");
        }
    }

    #[test]
    fn booleans() {
        for word in ["true", "1", "yes", "ON", "t", "Y"] {
            assert_eq!(read::<Flag>(json!(word)), Some(Flag(true)), "{word}");
        }
        for word in ["False", "0", "no", "off", "F", "n"] {
            assert_eq!(read::<Flag>(json!(word)), Some(Flag(false)), "{word}");
        }
        assert_eq!(read::<Flag>(json!(1)), Some(Flag(true)));
        assert_eq!(read::<Flag>(json!(0.0)), Some(Flag(false)));
        for value in [json!(""), json!("maybe"), json!(3), json!(-1), json!(null), json!([])] {
            assert_eq!(read::<Flag>(value.clone()), None, "{value}");
        }
    }

    #[test]
    fn numbers_and_moments() {
        assert_eq!(read::<Float>(json!("1.5")), Some(Float(1.5)));
        for value in [json!("NaN"), json!("inf"), json!("x"), json!(null)] {
            assert_eq!(read::<Float>(value.clone()), None, "{value}");
        }
        let noon = Some(When(Moment::from_micros(1_795_435_200_000_000)));
        for value in [json!("2026-11-23T12:00:00"), json!(1_795_435_200), json!(1_795_435_200_000_i64)] {
            assert_eq!(read::<When>(value.clone()), noon, "{value}");
        }
        assert_eq!(read::<When>(json!("tomorrow")), None);
    }

    #[test]
    fn loose_ids_leave_out_what_is_none() {
        assert_eq!(read::<LooseIds>(json!([1, "2", "abc", null, 1.5])), Some(LooseIds(vec![1, 2])));
        for value in [json!([{"a": 1}]), json!([[]]), json!("x"), json!({}), json!(null)] {
            assert_eq!(read::<LooseIds>(value.clone()), None, "{value}");
        }
    }

    #[test]
    fn null_is_nothing_and_numbers_are_no_text() {
        assert_eq!(read::<Option<Int>>(json!(null)), Some(None));
        assert_eq!(read::<String>(json!(5)), None);
    }
}
