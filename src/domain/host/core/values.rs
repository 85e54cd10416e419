//! Reads single values of the settings.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::super::tuning::{is_fragment_length, is_range};

/// Bytes of an ML-DSA-65 public key.
const MLDSA65_KEY: usize = 1_952;
/// The most ranges that Mihomo takes.
const RANGES: usize = 28;

/// The ports and ranges of a list; `None`: it is not one, or has too many.
pub fn port_ranges(text: &str) -> Option<Vec<(u16, u16)>> {
    let is_number = |text: &&str| text.bytes().all(|byte| byte.is_ascii_digit());
    let port = |text: &str| Some(text).filter(is_number)?.parse::<u16>().ok().filter(|port| *port > 0);
    let range = |part: &str| match part.split_once('-') {
        Some((from, to)) => Some((port(from)?, port(to)?)).filter(|(from, to)| from <= to),
        None => port(part).map(|port| (port, port)),
    };
    let ranges: Option<Vec<(u16, u16)>> = text.split(',').map(range).collect();
    ranges.filter(|ranges| ranges.len() <= RANGES)
}

/// True for a public key of 32 bytes in base64url, and a short id of at most 8 bytes in hex (Xray's REALITY settings).
pub fn is_reality_key(public: &str, short_id: &str) -> bool {
    URL_SAFE_NO_PAD.decode(public).is_ok_and(|key| key.len() == 32)
        && short_id.len() <= 16
        && short_id.len().is_multiple_of(2)
        && short_id.bytes().all(|digit| digit.is_ascii_hexdigit())
}

/// An integer, or a range of them as a text. Xray reads 32 bits.
pub fn is_amount(value: &Value) -> bool {
    let fits = |number: &str| number.parse::<i32>().is_ok();
    match value {
        Value::Number(number) => number.as_i64().is_some_and(|number| (0..=i64::from(i32::MAX)).contains(&number)),
        Value::String(text) => text.is_empty() || is_range(text) && text.split('-').all(fits),
        _ => false,
    }
}

/// An amount from 1.
pub fn is_positive(value: &Value) -> bool {
    is_amount(value) && *value != 0 && value.as_str().is_none_or(|text| text.is_empty() || is_fragment_length(text))
}

/// True for an ML-DSA-65 public key in base64url.
pub fn is_mldsa65_key(text: &str) -> bool {
    URL_SAFE_NO_PAD.decode(text).is_ok_and(|key| key.len() == MLDSA65_KEY)
}

/// True for a path of a URL from the root.
pub fn is_spider_path(path: &str) -> bool {
    let is_escape = |rest: &str| rest.len() >= 2 && rest.bytes().take(2).all(|digit| digit.is_ascii_hexdigit());
    path.starts_with('/')
        && !path.contains(|letter: char| letter.is_whitespace() || letter.is_control())
        && path.split('%').skip(1).all(is_escape)
}

/// True for the SHA-256 of a certificate in hex, with or without colons.
pub fn is_pin(text: &str) -> bool {
    let digits = text.bytes().filter(u8::is_ascii_hexdigit).count();
    let colons = text.bytes().filter(|byte| *byte == b':').count();
    let parts_are_pairs = colons == 0 || text.split(':').all(|part| part.len() == 2);
    digits == 64 && digits + colons == text.len() && parts_are_pairs
}

/// Bytes of the texts in an object.
pub fn size(object: &Map<String, Value>) -> usize {
    object.iter().map(|(name, value)| name.len() + value_size(value)).sum()
}

fn value_size(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Array(list) => list.iter().map(value_size).sum(),
        Value::Object(members) => size(members),
        Value::Null | Value::Bool(_) | Value::Number(_) => 8,
    }
}
