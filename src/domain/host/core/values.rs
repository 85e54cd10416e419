//! Reads single values of the settings.

use serde_json::{Map, Value};

/// The ports and ranges of a list; `None`: it is not one.
pub fn port_ranges(text: &str) -> Option<Vec<(u16, u16)>> {
    let port = |text: &str| text.trim().parse::<u16>().ok().filter(|port| *port > 0);
    let range = |part: &str| match part.split_once('-') {
        Some((from, to)) => Some((port(from)?, port(to)?)).filter(|(from, to)| from <= to),
        None => port(part).map(|port| (port, port)),
    };
    text.split(',').map(range).collect()
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
