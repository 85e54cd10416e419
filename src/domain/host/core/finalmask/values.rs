//! Checks of single values as Xray reads them.

use serde_json::Value;

use super::super::values::{is_amount, port_ranges};

/// The smallest receive window of QUIC, in bytes.
const SMALLEST_WINDOW: u64 = 16_384;

/// The shortest time between two hops, in seconds.
const SHORTEST_HOP: i64 = 5;

/// The check of one member.
pub(super) type Member = (&'static str, fn(&Value) -> bool);

/// The members of `sudoku`.
pub(super) const SUDOKU: [Member; 10] = [
    ("password", Value::is_string),
    ("ascii", Value::is_string),
    ("customTable", Value::is_string),
    ("custom_table", Value::is_string),
    ("customTables", is_list_of_texts),
    ("custom_tables", is_list_of_texts),
    ("paddingMin", is_u32),
    ("padding_min", is_u32),
    ("paddingMax", is_u32),
    ("padding_max", is_u32),
];

/// True for an object whose members, as far as they are known and not null, pass their checks.
pub(super) fn has(object: &Value, members: &[Member]) -> bool {
    object.as_object().is_some_and(|object| {
        object.iter().all(|(name, value)| {
            let known = members.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
            value.is_null() || known.is_none_or(|(_, check)| check(value))
        })
    })
}

pub(super) fn is_list_of(value: &Value, check: impl Fn(&Value) -> bool) -> bool {
    value.is_null() || value.as_array().is_some_and(|list| list.iter().all(check))
}

pub(super) fn is_list_of_texts(value: &Value) -> bool {
    is_list_of(value, Value::is_string)
}

/// True for one of these words in any case of letters, and for null.
pub(super) fn is_one_of(value: &Value, words: &[&str]) -> bool {
    value.is_null() || value.as_str().is_some_and(|text| words.iter().any(|word| word.eq_ignore_ascii_case(text)))
}

pub(super) fn is_u32(value: &Value) -> bool {
    value.as_u64().is_some_and(|number| u32::try_from(number).is_ok())
}

pub(super) fn is_i32(value: &Value) -> bool {
    value.as_i64().is_some_and(|number| i32::try_from(number).is_ok())
}

pub(super) fn is_zero_or(value: &Value, low: i64, high: i64) -> bool {
    value.as_i64().is_some_and(|number| number == 0 || (low..=high).contains(&number))
}

pub(super) fn is_window(value: &Value) -> bool {
    value.as_u64().is_some_and(|bytes| bytes == 0 || bytes >= SMALLEST_WINDOW)
}

pub(super) fn is_ip(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.parse::<std::net::IpAddr>().is_ok())
}

/// The lower and the upper end of a number or a range.
pub(super) fn ends(value: &Value) -> Option<(i64, i64)> {
    match value {
        Value::String(text) => {
            let (from, to) = text.split_once('-').unwrap_or((text, text));
            Some((from.parse().ok()?, to.parse().ok()?))
        }
        other => other.as_i64().map(|number| (number, number)),
    }
    .map(|(from, to): (i64, i64)| (from.min(to), from.max(to)))
}

/// Seconds between two hops.
pub(super) fn is_interval(value: &Value) -> bool {
    value.is_null() || is_amount(value) && ends(value).is_none_or(|(least, most)| most == 0 || least >= SHORTEST_HOP)
}

/// A port, or a list of ports and ranges.
pub(super) fn is_ports(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Number(port) => port.as_u64().is_some_and(|port| (1..=65_535).contains(&port)),
        other => other.as_str().is_some_and(|ports| port_ranges(ports).is_some()),
    }
}
