//! Deserializers of single values, for `deserialize_with`. Each error continues a sentence that begins with the
//! setting's name: "must be …".

use std::net::Ipv6Addr;
use std::str::FromStr;
use std::time::Duration;

use serde::de::{Deserialize, Deserializer, Error};

use super::numbers::digits;

/// Parses a whole number from `MIN` to `MAX`.
pub(super) fn whole<'de, D, T, const MIN: i64, const MAX: i64>(value: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: TryFrom<i64>,
{
    let number = digits(&String::deserialize(value)?).and_then(|number| number.parse().ok());
    let number = number.filter(|number| (MIN..=MAX).contains(number));
    number
        .and_then(|number: i64| T::try_from(number).ok())
        .ok_or_else(|| D::Error::custom(format_args!("must be a whole number from {MIN} to {MAX}")))
}

/// [`whole`] for a setting that may be missing.
pub(super) fn some_whole<'de, D, T, const MIN: i64, const MAX: i64>(value: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: TryFrom<i64>,
{
    whole::<D, T, MIN, MAX>(value).map(Some)
}

/// Parses whole seconds from `MIN` to `MAX`.
pub(super) fn seconds<'de, D, const MIN: i64, const MAX: i64>(value: D) -> Result<Duration, D::Error>
where
    D: Deserializer<'de>,
{
    whole::<D, u64, MIN, MAX>(value).map(Duration::from_secs)
}

/// Parses whole hours from `MIN` to `MAX`.
pub(super) fn hours<'de, D, const MIN: i64, const MAX: i64>(value: D) -> Result<Duration, D::Error>
where
    D: Deserializer<'de>,
{
    whole::<D, u64, MIN, MAX>(value).map(|hours| Duration::from_secs(hours * 3_600))
}

/// Parses seconds that may have a fraction, and returns microseconds. The caller checks the range.
pub(super) fn fine_seconds<'de, D: Deserializer<'de>>(value: D) -> Result<i64, D::Error> {
    let seconds = String::deserialize(value)?.parse::<f64>().ok().filter(|seconds| seconds.abs() < 1e9);
    // The product is within ±10¹⁵, which a float holds exactly.
    let micros = seconds.map(|seconds| (seconds * 1e6).round() as i64);
    micros.ok_or_else(|| D::Error::custom("must be a number of seconds, such as 10 or 2.5"))
}

/// [`fine_seconds`] for a setting that may be missing.
pub(super) fn some_fine_seconds<'de, D: Deserializer<'de>>(value: D) -> Result<Option<i64>, D::Error> {
    fine_seconds(value).map(Some)
}

/// Parses a flag in the spellings that Python's configuration libraries accept.
pub(super) fn flag<'de, D: Deserializer<'de>>(value: D) -> Result<bool, D::Error> {
    match String::deserialize(value)?.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" | "t" | "y" => Ok(true),
        "false" | "0" | "no" | "off" | "f" | "n" => Ok(false),
        _ => Err(D::Error::custom("must be true or false")),
    }
}

/// Parses any type that implements [`FromStr`].
pub(super) fn parsed<'de, D, T>(value: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err = String>,
{
    String::deserialize(value)?.parse().map_err(D::Error::custom)
}

/// [`parsed`] for a setting that may be missing.
pub(super) fn some_parsed<'de, D, T>(value: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err = String>,
{
    parsed(value).map(Some)
}

/// Returns the elements of a list that is separated by commas, without empty ones.
pub(super) fn elements(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|element| !element.is_empty())
}

/// Returns true when the text is a URL with one of the schemes and a host. Path and query are not checked.
pub(super) fn is_url(text: &str, schemes: &[&str]) -> bool {
    let Some((scheme, rest)) = text.split_once("://") else { return false };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let plain = |c: char| !c.is_whitespace() && !c.is_control();
    schemes.contains(&scheme)
        && is_host(authority.rsplit_once('@').map_or(authority, |(_, host)| host))
        && text.chars().all(plain)
}

/// True for a name or an address, also with a port.
fn is_host(text: &str) -> bool {
    let (is_right, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, port)) => (address.parse::<Ipv6Addr>().is_ok(), port),
        None => {
            let (name, port) = text.split_at(text.find(':').unwrap_or(text.len()));
            (!name.is_empty() && !name.contains(['[', ']', '<', '>', '^', '|', '%', '\\', '"']), port)
        }
    };
    let number = port.strip_prefix(':').unwrap_or(port);
    is_right && (number.is_empty() || (number.len() < port.len() && number.parse::<u16>().is_ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_urls_with_scheme_and_host_are_accepted() {
        for right in ["http://h", "http://u:p@h:80/path?x", "https://[::1]:8/", "https://[::1]", "http://h:/"] {
            assert!(is_url(right, &["http", "https"]), "{right}");
        }
        for wrong in [
            "h",
            "http://",
            "http://:80",
            "http:///path",
            "ftp://h",
            "http://a b",
            "http://u@",
            "http://h:99999",
            "http://h:x",
            "http://[::g]",
            "http://[::1]8",
            "http://a|b",
        ] {
            assert!(!is_url(wrong, &["http", "https"]), "{wrong}");
        }
    }
}
