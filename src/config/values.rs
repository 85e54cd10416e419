//! Readers of single values, for `deserialize_with`. Each error goes on after the setting's name: "must be …".

use std::str::FromStr;
use std::time::Duration;

use serde::de::{Deserialize, Deserializer, Error};

/// A whole number from `MIN` to `MAX`.
pub(super) fn whole<'de, D, T, const MIN: i64, const MAX: i64>(value: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: TryFrom<i64>,
{
    let number = String::deserialize(value)?.parse().ok().filter(|number| (MIN..=MAX).contains(number));
    number
        .and_then(|number: i64| T::try_from(number).ok())
        .ok_or_else(|| D::Error::custom(format_args!("must be a whole number from {MIN} to {MAX}")))
}

/// The same, for a setting that may be missing.
pub(super) fn some_whole<'de, D, T, const MIN: i64, const MAX: i64>(value: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: TryFrom<i64>,
{
    whole::<D, T, MIN, MAX>(value).map(Some)
}

/// Whole seconds from `MIN` to `MAX`.
pub(super) fn seconds<'de, D, const MIN: i64, const MAX: i64>(value: D) -> Result<Duration, D::Error>
where
    D: Deserializer<'de>,
{
    whole::<D, u64, MIN, MAX>(value).map(Duration::from_secs)
}

/// Seconds that may have a fraction, as microseconds; the range is somebody else's matter.
pub(super) fn fine_seconds<'de, D: Deserializer<'de>>(value: D) -> Result<i64, D::Error> {
    let seconds = String::deserialize(value)?.parse::<f64>().ok().filter(|seconds| seconds.abs() < 1e9);
    // Within ±10¹⁵: no digit is lost.
    #[allow(clippy::cast_possible_truncation)]
    let micros = seconds.map(|seconds| (seconds * 1e6).round() as i64);
    micros.ok_or_else(|| D::Error::custom("must be a number of seconds, such as 10 or 2.5"))
}

/// The same, for a setting that may be missing.
pub(super) fn some_fine_seconds<'de, D: Deserializer<'de>>(value: D) -> Result<Option<i64>, D::Error> {
    fine_seconds(value).map(Some)
}

/// Yes or no, in the words that Python's configuration libraries take.
pub(super) fn flag<'de, D: Deserializer<'de>>(value: D) -> Result<bool, D::Error> {
    match String::deserialize(value)?.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" | "t" | "y" => Ok(true),
        "false" | "0" | "no" | "off" | "f" | "n" => Ok(false),
        _ => Err(D::Error::custom("must be true or false")),
    }
}

/// Anything that reads itself from text.
pub(super) fn parsed<'de, D, T>(value: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err = String>,
{
    String::deserialize(value)?.parse().map_err(D::Error::custom)
}

/// The elements of a list with commas.
pub(super) fn elements(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|element| !element.is_empty())
}

/// Whether a text is an address with one of these schemes and a host. What comes after is the client's matter.
pub(super) fn is_url(text: &str, schemes: &[&str]) -> bool {
    let Some((scheme, rest)) = text.split_once("://") else { return false };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let plain = |c: char| !c.is_whitespace() && !c.is_control();
    schemes.contains(&scheme) && !host.is_empty() && !host.starts_with(':') && text.chars().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_an_address() {
        for right in ["http://h", "http://u:p@h:80/path?x", "https://[::1]:8/"] {
            assert!(is_url(right, &["http", "https"]), "{right}");
        }
        for wrong in ["h", "http://", "http://:80", "http:///path", "ftp://h", "http://a b", "http://u@"] {
            assert!(!is_url(wrong, &["http", "https"]), "{wrong}");
        }
    }
}
