//! Checks of the XHTTP settings that Xray takes as one object (`extra`), and that other clients get translated.
//!
//! Types and limits are those of Xray 26 and Mihomo 1.19: one value of a wrong type makes either refuse a whole document.

use serde_json::{Map, Value};

use super::values::{is_amount, is_positive, is_reality_key};

/// True if the cores take the object. Members that they do not know are ignored by Xray.
pub(super) fn is_extra(extra: &Map<String, Value>) -> bool {
    extra.iter().all(|(name, value)| {
        value.is_null()
            || match name.as_str() {
                "xPaddingBytes" => is_positive(value),
                "scMaxEachPostBytes" | "scMinPostsIntervalMs" | "scStreamUpServerSecs" | "uplinkChunkSize" => {
                    is_amount(value)
                }
                "noGRPCHeader" | "noSSEHeader" | "xPaddingObfsMode" => value.is_boolean(),
                "scMaxBufferedPosts" => is_integer(value),
                "headers" => is_headers(value),
                "xmux" => value.as_object().is_some_and(is_xmux),
                "downloadSettings" => value.as_object().is_some_and(is_download),
                "xPaddingPlacement" => is_one_of(value, &["cookie", "header", "query", "queryInHeader"]),
                "xPaddingMethod" => is_one_of(value, &["repeat-x", "tokenish"]),
                "seqPlacement" => is_one_of(value, &["path", "cookie", "header", "query"]),
                "uplinkDataPlacement" => is_one_of(value, &["auto", "body", "cookie", "header"]),
                "sessionPlacement" | "sessionKey" | "seqKey" | "uplinkDataKey" | "uplinkHTTPMethod"
                | "xPaddingHeader" | "xPaddingKey" => value.is_string(),
                _ => true,
            }
    })
}

fn is_integer(value: &Value) -> bool {
    value.as_i64().is_some_and(|number| i32::try_from(number).is_ok())
}

/// `Host` has a field of its own, and Xray refuses it here.
fn is_headers(value: &Value) -> bool {
    value.as_object().is_some_and(|headers| {
        headers.iter().all(|(name, value)| value.is_string() && !name.eq_ignore_ascii_case("host"))
    })
}

fn is_xmux(xmux: &Map<String, Value>) -> bool {
    let is_limited = |name: &str| xmux.get(name).is_some_and(|limit| *limit != 0 && *limit != "0" && *limit != "");
    let is_valid = |(name, value): (&String, &Value)| {
        value.is_null() || if name == "hKeepAlivePeriod" { is_integer(value) } else { is_amount(value) }
    };
    xmux.iter().all(is_valid) && !(is_limited("maxConcurrency") && is_limited("maxConnections"))
}

/// The server of downloads. Without a network Xray's client ends at the first connection.
fn is_download(settings: &Map<String, Value>) -> bool {
    let text = |name: &str| settings.get(name).and_then(Value::as_str);
    let port = settings.get("port").and_then(Value::as_u64);
    text("address").is_some_and(|address| !address.is_empty())
        && port.is_some_and(|port| (1..=65_535).contains(&port))
        && matches!(text("network"), Some("xhttp" | "splithttp"))
        && settings.get("xhttpSettings").is_none_or(|value| value.as_object().is_some_and(is_own_xhttp))
        && match settings.get("security").map_or(Some("none"), Value::as_str) {
            Some("none") => true,
            Some("tls") => settings.get("tlsSettings").is_none_or(|value| value.as_object().is_some_and(is_tls)),
            Some("reality") => settings.get("realitySettings").and_then(Value::as_object).is_some_and(is_reality),
            _ => false,
        }
}

fn is_own_xhttp(settings: &Map<String, Value>) -> bool {
    settings.iter().all(|(name, value)| match name.as_str() {
        "path" | "host" | "mode" => value.is_string() || value.is_null(),
        "headers" => value.is_null() || is_headers(value),
        _ => true,
    })
}

fn is_tls(settings: &Map<String, Value>) -> bool {
    settings.iter().all(|(name, value)| match name.as_str() {
        "serverName" | "fingerprint" | "pinnedPeerCertSha256" => value.is_string() || value.is_null(),
        "alpn" => value.is_null() || value.as_array().is_some_and(|list| list.iter().all(Value::is_string)),
        // Xray 26 refuses it.
        "allowInsecure" => value.is_null() || *value == false,
        _ => true,
    })
}

fn is_reality(settings: &Map<String, Value>) -> bool {
    let text = |name: &str| settings.get(name).map_or(Some(""), Value::as_str);
    let keys = text("publicKey").zip(text("shortId"));
    keys.is_some_and(|(key, short_id)| is_reality_key(key, short_id))
        && text("serverName").is_some()
        && text("fingerprint").is_some()
}

fn is_one_of(value: &Value, words: &[&str]) -> bool {
    value.as_str().is_some_and(|word| word.is_empty() || words.contains(&word))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(extra: Value, expected: bool) {
        assert_eq!(is_extra(extra.as_object().unwrap()), expected, "{extra}");
    }

    #[test]
    fn nested_values_have_the_types_that_cores_read() {
        let download = |more: Value| {
            let mut settings = json!({"address": "d.example", "port": 443, "network": "xhttp"});
            settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            json!({"downloadSettings": settings})
        };
        for good in [
            json!({"xPaddingBytes": "1-100", "scMaxEachPostBytes": 1_000_000, "sessionKey": "x", "xPaddingKey": null}),
            json!({"xmux": {"hKeepAlivePeriod": -1, "maxConcurrency": "16-32"}, "xPaddingPlacement": "cookie"}),
            download(json!({"security": "tls", "tlsSettings": {"serverName": "s", "alpn": ["h2"]}})),
            download(json!({"security": "reality", "realitySettings": {
                "publicKey": "Q0Y0ekQ5MHJZX1pYOTVXb0p2c0hpd2hUbmZ6d2h6ZUo", "shortId": "01ab"}})),
        ] {
            check(good, true);
        }
        for bad in [
            json!({"sessionKey": {}}),
            json!({"headers": {"Host": "h"}}),
            json!({"xPaddingBytes": "0-100"}),
            json!({"xPaddingBytes": 0}),
            json!({"scMaxEachPostBytes": 5_000_000_000_u64}),
            json!({"scMaxEachPostBytes": "1-5000000000"}),
            json!({"xPaddingPlacement": "foo"}),
            json!({"xmux": {"hKeepAlivePeriod": "x"}}),
            json!({"downloadSettings": {"address": "d.example", "port": 443}}),
            download(json!({"security": "foo"})),
            download(json!({"security": "tls", "tlsSettings": {"alpn": "h2"}})),
            download(json!({"security": "tls", "tlsSettings": {"allowInsecure": true}})),
            download(json!({"security": "reality", "realitySettings": {"publicKey": "foo"}})),
            download(json!({"security": "reality"})),
            download(json!({"xhttpSettings": {"path": 1}})),
        ] {
            check(bad, false);
        }
    }
}
