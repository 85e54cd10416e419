//! Xray's settings of XHTTP in the names of Mihomo.

use serde_json::{Map, Value, json};

use crate::subscription::refusal::Reason;

/// Settings that have another name in Mihomo and the same values.
const NAMES: [(&str, &str); 17] = [
    ("headers", "headers"),
    ("noGRPCHeader", "no-grpc-header"),
    ("scMaxEachPostBytes", "sc-max-each-post-bytes"),
    ("scMinPostsIntervalMs", "sc-min-posts-interval-ms"),
    ("seqKey", "seq-key"),
    ("seqPlacement", "seq-placement"),
    ("sessionKey", "session-key"),
    ("sessionPlacement", "session-placement"),
    ("uplinkChunkSize", "uplink-chunk-size"),
    ("uplinkDataKey", "uplink-data-key"),
    ("uplinkDataPlacement", "uplink-data-placement"),
    ("uplinkHTTPMethod", "uplink-http-method"),
    ("xPaddingBytes", "x-padding-bytes"),
    ("xPaddingHeader", "x-padding-header"),
    ("xPaddingKey", "x-padding-key"),
    ("xPaddingMethod", "x-padding-method"),
    ("xPaddingPlacement", "x-padding-placement"),
];
const XMUX_NAMES: [(&str, &str); 5] = [
    ("cMaxReuseTimes", "c-max-reuse-times"),
    ("hMaxRequestTimes", "h-max-request-times"),
    ("hMaxReusableSecs", "h-max-reusable-secs"),
    ("maxConcurrency", "max-concurrency"),
    ("maxConnections", "max-connections"),
];
/// Settings of servers, and those that stand beside the object.
const IGNORED: [&str; 6] = ["host", "mode", "noSSEHeader", "path", "scMaxBufferedPosts", "scStreamUpServerSecs"];
const UNKNOWN: Reason = "Mihomo does not know one of its XHTTP settings";

/// The options of Mihomo for an object of Xray.
pub fn options(extra: &Map<String, Value>) -> Result<Map<String, Value>, Reason> {
    let mut options = Map::new();
    for (name, value) in extra {
        match name.as_str() {
            _ if is_unset(value) || IGNORED.contains(&name.as_str()) => {}
            "xPaddingObfsMode" => drop(options.insert("x-padding-obfs-mode".to_owned(), value.clone())),
            "xmux" => drop(options.insert("reuse-settings".to_owned(), reuse(value))),
            "downloadSettings" => drop(options.insert("download-settings".to_owned(), download(value)?)),
            _ => {
                let known = renamed(name, &NAMES).ok_or(UNKNOWN)?;
                options.insert(known.to_owned(), text(value));
            }
        }
    }
    Ok(options)
}

fn renamed(name: &str, names: &[(&str, &'static str)]) -> Option<&'static str> {
    names.iter().find(|(xray, _)| *xray == name).map(|(_, mihomo)| *mihomo)
}

/// Numbers and ranges are texts in Mihomo.
fn text(value: &Value) -> Value {
    if value.is_number() { value.to_string().into() } else { value.clone() }
}

/// Null or an empty text, which Mihomo takes for no number.
fn is_unset(value: &Value) -> bool {
    value.is_null() || value.as_str() == Some("")
}

/// Connection reuse. Old names that Xray ignores are left out.
fn reuse(xmux: &Value) -> Value {
    let mut options = Map::new();
    for (name, value) in xmux.as_object().into_iter().flatten().filter(|(_, value)| !is_unset(value)) {
        if let Some(known) = renamed(name, &XMUX_NAMES) {
            options.insert(known.to_owned(), text(value));
        } else if name == "hKeepAlivePeriod" {
            options.insert("h-keep-alive-period".to_owned(), value.clone());
        }
    }
    options.into()
}

/// The server of downloads. Whatever is not named is that of uploads in Mihomo, so that nothing may be missing here.
fn download(settings: &Value) -> Result<Value, Reason> {
    let known = ["address", "port", "network", "security", "tlsSettings", "realitySettings", "xhttpSettings"];
    let members = settings.as_object().ok_or(UNKNOWN)?;
    if members.keys().any(|name| !known.contains(&name.as_str())) {
        return Err(UNKNOWN);
    }
    let security = settings["security"].as_str().unwrap_or("none");
    let mut options = json!({
        "server": settings["address"],
        "port": settings["port"],
        "tls": matches!(security, "tls" | "reality"),
    });
    let mut copy = |from: &Value, names: &[(&str, &str)]| {
        let members = from.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null());
        for (name, value) in members {
            let (_, mihomo) = names.iter().find(|(xray, _)| xray == name).ok_or(UNKNOWN)?;
            if !mihomo.is_empty() {
                options[*mihomo] = value.clone();
            }
        }
        Ok::<(), Reason>(())
    };
    copy(&settings["xhttpSettings"], &[("path", "path"), ("host", "host"), ("headers", "headers"), ("mode", "")])?;
    match security {
        "tls" => copy(
            &settings["tlsSettings"],
            &[
                ("serverName", "servername"),
                ("alpn", "alpn"),
                ("fingerprint", "client-fingerprint"),
                ("allowInsecure", "skip-cert-verify"),
                ("pinnedPeerCertSha256", "fingerprint"),
            ],
        )?,
        "reality" => {
            let reality = &settings["realitySettings"];
            let names = [
                ("serverName", "servername"),
                ("fingerprint", "client-fingerprint"),
                ("publicKey", ""),
                ("shortId", ""),
                ("spiderX", ""),
                ("show", ""),
                ("mldsa65Verify", ""),
            ];
            copy(reality, &names)?;
            let short_id = reality["shortId"].as_str().unwrap_or_default();
            options["reality-opts"] = json!({"public-key": reality["publicKey"], "short-id": short_id});
        }
        _ => {}
    }
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(extra: Value) -> Result<Value, Reason> {
        options(extra.as_object().unwrap()).map(Value::Object)
    }

    #[test]
    fn settings_get_the_names_of_mihomo() {
        let extra = json!({
            "xPaddingBytes": "1-2", "scMaxEachPostBytes": 1000, "noSSEHeader": true, "path": "/x",
            "xmux": {"maxConcurrency": 16, "maxConnections": "", "hKeepAlivePeriod": 30, "cMaxLifetimeMs": 7},
            "downloadSettings": {"address": "d.example", "port": 8443, "network": "xhttp", "security": "tls",
                "tlsSettings": {"serverName": "s.example", "alpn": ["h2"], "fingerprint": "chrome"},
                "xhttpSettings": {"path": "/p", "mode": "auto"}},
        });
        let expected = json!({
            "x-padding-bytes": "1-2", "sc-max-each-post-bytes": "1000",
            "reuse-settings": {"max-concurrency": "16", "h-keep-alive-period": 30},
            "download-settings": {"server": "d.example", "port": 8443, "tls": true, "servername": "s.example",
                "alpn": ["h2"], "client-fingerprint": "chrome", "path": "/p"},
        });
        assert_eq!(of(extra), Ok(expected));
        let reality = json!({"downloadSettings": {"address": "d", "port": 1, "security": "reality",
            "realitySettings": {"serverName": "s", "publicKey": "k", "shortId": "aa", "spiderX": "/"}}});
        let expected = json!({"server": "d", "port": 1, "tls": true, "servername": "s",
            "reality-opts": {"public-key": "k", "short-id": "aa"}});
        assert_eq!(of(reality).unwrap()["download-settings"], expected);
    }

    #[test]
    fn what_mihomo_does_not_know_is_refused() {
        for extra in [
            json!({"foo": 1}),
            json!({"downloadSettings": {"address": "d", "port": 1, "sockopt": {}}}),
            json!({"downloadSettings": {"address": "d", "port": 1, "security": "tls", "tlsSettings": {"minVersion": "1.3"}}}),
            json!({"downloadSettings": {"address": "d", "port": 1, "xhttpSettings": {"extra": {}}}}),
        ] {
            assert!(of(extra.clone()).is_err(), "{extra}");
        }
    }
}
