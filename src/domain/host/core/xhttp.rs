//! Checks of the XHTTP settings that Xray takes as one object (`extra`), and that other clients get translated.
//!
//! Types and limits are those of Xray 26 and Mihomo 1.19: one value of a wrong type makes either refuse a whole document.

use serde_json::{Map, Value};

use super::super::text::Fingerprint;
use super::super::tuning::{is_header, is_token, is_xhttp_mode};
use super::finalmask::is_finalmask;
use super::values::{is_amount, is_mldsa65_key, is_pin, is_positive, is_reality_key, is_spider_path};
use crate::domain::address;

/// The alphabets that Xray knows by a name, for session names of the usual length.
const SESSION_TABLES: [&str; 6] = ["", "ALPHABET", "Alphabet", "BASE36", "Base62", "base36"];

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
                "sessionPlacement" | "sessionIDPlacement" => is_one_of(value, &["path", "cookie", "header", "query"]),
                "uplinkHTTPMethod" => value.as_str().is_some_and(|method| method.is_empty() || is_token(method)),
                "sessionKey" | "sessionIDKey" | "seqKey" | "uplinkDataKey" | "xPaddingHeader" | "xPaddingKey" => {
                    value.is_string()
                }
                "sessionIDLength" => is_amount(value),
                // An alphabet and a length must allow enough names.
                "sessionIDTable" => value.as_str().is_some_and(|table| SESSION_TABLES.contains(&table)),
                "serverMaxHeaderBytes" => is_integer(value) && value.as_i64() >= Some(0),
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
        let is_valid = |(name, value): (&String, &Value)| {
            !name.eq_ignore_ascii_case("host") && value.as_str().is_some_and(|value| is_header(name, value))
        };
        headers.iter().all(is_valid)
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
    text("address").is_some_and(|address| address::cleaned(address).is_ok())
        && port.is_some_and(|port| (1..=65_535).contains(&port))
        && matches!(text("network"), Some("xhttp" | "splithttp"))
        && settings.iter().all(|(name, value)| {
            value.is_null()
                || match name.as_str() {
                    "xhttpSettings" | "splithttpSettings" => value.as_object().is_some_and(is_own_xhttp),
                    "sockopt" => value.as_object().is_some_and(is_sockopt),
                    "finalmask" => value.as_object().is_some_and(is_finalmask),
                    "tlsSettings" | "realitySettings" => true,
                    other => !other.ends_with("Settings"),
                }
        })
        && match settings.get("security").map_or(Some("none"), Value::as_str) {
            Some("none") => true,
            Some("tls") => settings.get("tlsSettings").is_none_or(|value| value.as_object().is_some_and(is_tls)),
            Some("reality") => settings.get("realitySettings").and_then(Value::as_object).is_some_and(is_reality),
            _ => false,
        }
}

/// Settings of XHTTP with path, host and mode among them.
fn is_own_xhttp(settings: &Map<String, Value>) -> bool {
    let is_text = |name: &str| settings.get(name).is_none_or(|value| value.is_null() || value.is_string());
    let others: Map<String, Value> = settings
        .iter()
        .filter(|(name, _)| !is_beside(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    ["path", "host", "mode"].into_iter().all(is_text)
        && settings.get("mode").and_then(Value::as_str).is_none_or(is_xhttp_mode)
        && settings.get("extra").is_none_or(|extra| extra.is_null() || extra.as_object().is_some_and(is_extra))
        && is_extra(&others)
}

fn is_beside(name: &str) -> bool {
    matches!(name, "path" | "host" | "mode" | "extra")
}

/// True if settings work only in the mode `packet-up`, and in no other.
pub fn needs_packet_up(extra: &Map<String, Value>) -> bool {
    let is = |name: &str, words: &[&str]| {
        extra
            .get(name)
            .and_then(Value::as_str)
            .is_some_and(|text| words.iter().any(|word| word.eq_ignore_ascii_case(text)))
    };
    is("uplinkHTTPMethod", &["GET"]) || is("uplinkDataPlacement", &["header", "cookie"])
}

fn is_tls(settings: &Map<String, Value>) -> bool {
    settings.iter().all(|(name, value)| {
        value.is_null()
            || match name.as_str() {
                "serverName"
                | "echConfigList"
                | "minVersion"
                | "maxVersion"
                | "cipherSuites"
                | "masterKeyLog"
                | "verifyPeerCertByName" => value.is_string(),
                "fingerprint" => is_fingerprint(value),
                "pinnedPeerCertSha256" => value.as_str().is_some_and(|pin| pin.is_empty() || is_pin(pin)),
                "alpn" => value.as_array().is_some_and(|list| list.iter().all(Value::is_string)),
                // Xray 26 refuses it.
                "allowInsecure" => *value == false,
                "disableSystemRoot" | "enableSessionResumption" => value.is_boolean(),
                "certificates" | "curvePreferences" => value.as_array().is_some_and(Vec::is_empty),
                _ => true,
            }
    })
}

fn is_reality(settings: &Map<String, Value>) -> bool {
    let text = |name: &str| settings.get(name).map_or(Some(""), Value::as_str);
    let keys = text("publicKey").zip(text("shortId"));
    keys.is_some_and(|(key, short_id)| is_reality_key(key, short_id))
        && text("serverName").is_some()
        && settings.get("fingerprint").is_none_or(is_fingerprint)
        && text("spiderX").is_some_and(|path| path.is_empty() || is_spider_path(path))
        && text("mldsa65Verify").is_some_and(|key| key.is_empty() || is_mldsa65_key(key))
}

/// A browser that Xray imitates.
fn is_fingerprint(value: &Value) -> bool {
    value.as_str().is_some_and(|word| {
        let word = word.to_ascii_lowercase();
        matches!(word.as_str(), "unsafe" | "randomizednoalpn") || Fingerprint::from_word(&word).is_some()
    })
}

/// A socket's options: numbers, switches and words.
fn is_sockopt(settings: &Map<String, Value>) -> bool {
    settings.iter().all(|(name, value)| {
        value.is_null()
            || match name.as_str() {
                "mark"
                | "tcpKeepAliveInterval"
                | "tcpKeepAliveIdle"
                | "tcpUserTimeout"
                | "tcpMaxSeg"
                | "tcpWindowClamp" => is_integer(value),
                "tcpFastOpen" => value.is_boolean() || is_integer(value),
                "tcpMptcp" | "penetrate" | "tcpNoDelay" => value.is_boolean(),
                "interface" | "tcpCongestion" => value.is_string(),
                // The document has no other outbound, and Xray changes the rest of the options.
                _ => false,
            }
    })
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
            download(json!({"xhttpSettings": {"mode": "foo"}})),
            download(json!({"xhttpSettings": {"extra": {"xPaddingBytes": "x"}}})),
            download(json!({"splithttpSettings": {"path": 1}})),
            download(json!({"wsSettings": {}})),
            download(json!({"sockopt": {"mark": "x"}})),
            download(json!({"address": "a b"})),
            download(json!({"finalmask": {"tcp": [{"type": "foo"}]}})),
            download(json!({"security": "tls", "tlsSettings": {"fingerprint": "foo"}})),
            download(json!({"security": "tls", "tlsSettings": {"pinnedPeerCertSha256": "foo"}})),
            json!({"headers": {"a b": "c"}}),
            json!({"uplinkHTTPMethod": "a b"}),
            json!({"sessionPlacement": "foo"}),
        ] {
            check(bad, false);
        }
    }
}
