//! Parts of packets: random bytes, fixed bytes, variables and expressions.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::super::super::tuning::is_range;
use super::super::values::is_amount;
use super::values::{ends, has, is_i32, is_list_of};

/// A part of a packet: random bytes, fixed bytes, a variable or an expression.
pub(super) fn is_item(item: &Value) -> bool {
    let is_name: fn(&Value) -> bool = |name| name.as_str().is_some_and(is_variable);
    let members = [
        ("delay", is_amount as fn(&Value) -> bool),
        ("rand", is_i32),
        ("randRange", is_byte_range),
        ("capture", is_name),
        ("reuse", is_name),
        ("type", Value::is_string),
        ("transform", is_transform),
    ];
    let is_set = |name: &str| item.get(name).is_some_and(|value| !value.is_null() && *value != "");
    let has_bytes = item.get("packet").is_some();
    let has_rand = item["rand"].as_i64().is_some_and(|number| number > 0);
    let kinds = [has_bytes, has_rand, is_set("reuse"), is_set("transform")].into_iter().filter(|kind| *kind).count();
    let is_complete = kinds == 1 || kinds == 0 && !is_set("capture");
    has(item, &members) && is_complete && is_bytes(item.get("packet"), &item["type"])
}

pub(super) fn is_noise(item: &Value) -> bool {
    let members = [
        ("delay", is_amount as fn(&Value) -> bool),
        ("rand", is_amount),
        ("randRange", is_byte_range),
        ("type", Value::is_string),
    ];
    let has_rand = ends(&item["rand"]).is_some_and(|(_, most)| most > 0);
    let packet = item.get("packet");
    let is_packet = if is_expression(item) { is_noise_expression(packet) } else { is_bytes(packet, &item["type"]) };
    has(item, &members) && !(packet.is_some() && has_rand) && is_packet
}

/// True for a packet of noise in the notation of AmneziaWG, which Xray reads from 26.10 on.
pub(super) fn is_expression(item: &Value) -> bool {
    item["type"].as_str().is_some_and(|kind| kind.eq_ignore_ascii_case("exp"))
}

/// `<b 0x00ff>` for bytes, `<r 5>`, `<rc 5>`, `<rd 5-9>` for random ones, `<t>`, `<c>` and `<n>`.
fn is_noise_expression(packet: Option<&Value>) -> bool {
    let Some(text) = packet.and_then(Value::as_str) else { return false };
    let is_tag = |tag: &str| {
        let tag = tag.trim();
        let (key, argument) = tag.split_once(char::is_whitespace).unwrap_or((tag, ""));
        let argument = argument.trim();
        let is_size = || {
            let fits = |(least, most): (i64, i64)| least >= 0 && most <= i64::from(u16::MAX);
            is_range(argument) && ends(&argument.into()).is_some_and(fits)
        };
        match key {
            "b" => {
                let digits: String = argument.split_whitespace().collect();
                is_hex(digits.trim_start_matches("0x")) && !digits.trim_start_matches("0x").is_empty()
            }
            "r" | "rc" | "rd" => is_size(),
            "t" | "c" | "n" => argument.is_empty(),
            _ => false,
        }
    };
    let mut rest = text.trim();
    let mut tags = 0;
    while let Some((tag, after)) = rest.strip_prefix('<').and_then(|rest| rest.split_once('>')) {
        if !is_tag(tag) {
            return false;
        }
        tags += 1;
        rest = after.trim_start();
    }
    tags > 0 && rest.is_empty()
}

/// Bytes as a list of numbers, or as a text of this type.
fn is_bytes(packet: Option<&Value>, kind: &Value) -> bool {
    let Some(kind) = kind.as_str().or(kind.is_null().then_some("")) else { return false };
    match kind.to_ascii_lowercase().as_str() {
        "" | "array" => packet.is_none_or(|packet| {
            // Go reads a list of bytes from base64, too.
            let is_byte = |byte: &Value| byte.as_u64().is_some_and(|byte| byte <= u64::from(u8::MAX));
            packet.as_str().map_or_else(|| is_list_of(packet, is_byte), |text| STANDARD.decode(text).is_ok())
        }),
        "str" => packet.is_some_and(Value::is_string),
        "hex" => packet.and_then(Value::as_str).is_some_and(is_hex),
        "base64" => packet.and_then(Value::as_str).is_some_and(|text| STANDARD.decode(text).is_ok()),
        _ => false,
    }
}

fn is_hex(text: &str) -> bool {
    text.len().is_multiple_of(2) && text.bytes().all(|digit| digit.is_ascii_hexdigit())
}

fn is_byte_range(value: &Value) -> bool {
    is_amount(value) && ends(value).is_none_or(|(_, most)| most <= i64::from(u8::MAX))
}

/// An empty text means none.
fn is_variable(name: &str) -> bool {
    !name.starts_with(|first: char| first.is_ascii_digit())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn is_transform(transform: &Value) -> bool {
    let has_operation = transform["op"].as_str().is_some_and(|operation| !operation.is_empty());
    let arguments = transform["args"].as_array();
    has_operation && arguments.is_some_and(|list| !list.is_empty() && list.iter().all(is_argument))
}

fn is_argument(argument: &Value) -> bool {
    let names = ["bytes", "u64", "reuse", "metadata", "transform"];
    let mut set = names.into_iter().filter_map(|name| Some((name, argument.get(name)?)));
    let (Some((name, value)), None) = (set.next(), set.next()) else { return false };
    match name {
        "bytes" => is_bytes(Some(value), &argument["type"]),
        "u64" => value.is_u64(),
        "reuse" => value.as_str().is_some_and(|name| !name.is_empty() && is_variable(name)),
        "metadata" => value.as_str().is_some_and(|name| !name.is_empty()),
        _ => is_transform(value),
    }
}
