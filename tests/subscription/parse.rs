//! Parser of share links that reads them as a client does.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Map, Value, json};

/// Parses a link. All values are texts, so that links can be compared value by value.
pub fn link(text: &str) -> Value {
    let (scheme, rest) = text.split_once("://").expect("a scheme");
    if scheme == "vmess" {
        let decoded = STANDARD.decode(rest).expect("base64");
        let mut parts: Map<String, Value> = serde_json::from_slice(&decoded).expect("JSON");
        for value in parts.values_mut().filter(|value| value.is_number()) {
            *value = value.to_string().into();
        }
        parts.retain(|name, value| !(matches!(name.as_str(), "tls" | "type") && *value == "none"));
        let remark = parts.remove("ps");
        return json!({"scheme": scheme, "remark": remark, "parts": parts});
    }
    let (body, remark) = rest.split_once('#').expect("a name");
    let (body, query) = body.split_once('?').unwrap_or((body, ""));
    // The old panel wrote the whole link of Shadowsocks in base64.
    let body = match body.contains('@') {
        true => body.to_owned(),
        false => String::from_utf8(STANDARD.decode(body).expect("base64")).expect("UTF-8"),
    };
    let (user, server) = body.rsplit_once('@').expect("a user");
    let user = match URL_SAFE_NO_PAD.decode(user) {
        Ok(credential) if scheme == "ss" && !user.contains(':') => String::from_utf8(credential).expect("UTF-8"),
        _ => user.to_owned(),
    };
    let (host, port) = server.rsplit_once(':').expect("a port");
    let mut parts = Map::new();
    for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
        let value = decoded(&value.replace('+', " "));
        let value = match name {
            "extra" => extra(&value),
            "security" if value == "none" => continue,
            _ => value.into(),
        };
        parts.insert(name.to_owned(), value);
    }
    json!({
        "scheme": scheme,
        "remark": decoded(remark),
        "user": if scheme == "ss" { user } else { decoded(&user) },
        "host": host.trim_matches(['[', ']']),
        "port": port,
        "parts": parts,
    })
}

/// Parses JSON, or the text form of a Python dictionary, which has single quotes and `True`.
fn extra(text: &str) -> Value {
    serde_json::from_str(text)
        .unwrap_or_else(|_| serde_json::from_str(&text.replace('\'', "\"").replace("True", "true")).expect("an object"))
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let mut digit = || char::from(rest.next().expect("a digit")).to_digit(16).expect("a digit");
            bytes.push((digit() * 16 + digit()) as u8);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).expect("UTF-8")
}
