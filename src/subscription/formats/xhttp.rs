//! Settings of XHTTP beside path and host, for all formats: the host's own, with those that it names as Xray does.

use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use super::clash::xhttp_extra;
use crate::domain::host::{CoreSettings, HostSpec, SplitHttpSettings, XMuxSettings};

/// The settings that a host names as Xray does, combined with its others: the same for all users.
#[derive(Clone, Debug)]
pub struct Xhttp {
    /// With Xray's names; `None`: the host has only others.
    merged: Option<Map<String, Value>>,
    /// With Mihomo's names, as far as it knows them.
    mihomo: Map<String, Value>,
}

/// The settings of an entry over XHTTP.
#[derive(Serialize)]
#[serde(untagged)]
pub enum Settings<'a> {
    /// The host's settings.
    Own(Extra<'a>),
    /// The host's settings with those that it names as Xray does.
    Merged(&'a Map<String, Value>),
}

/// The settings, with Xray's names.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Extra<'a> {
    #[serde(skip_serializing_if = "Headers::is_empty")]
    headers: Headers<'a>,
    #[serde(rename = "xPaddingBytes", skip_serializing_if = "Option::is_none")]
    padding: Option<&'a str>,
    #[serde(rename = "noGRPCHeader", skip_serializing_if = "Option::is_none")]
    no_grpc_header: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    xmux: Option<XMux<'a>>,
}

/// Headers as an object.
#[derive(Clone, Copy)]
pub struct Headers<'a>(pub &'a [(String, String)]);

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct XMux<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    max_concurrency: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_connections: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    c_max_reuse_times: Option<&'a str>,
    /// The name before Xray 24.12.15; later versions ignore it.
    #[serde(skip_serializing_if = "Option::is_none")]
    c_max_lifetime_ms: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    h_max_reusable_secs: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    h_max_request_times: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    h_keep_alive_period: Option<i64>,
}

impl Xhttp {
    /// The settings of a host over XHTTP.
    pub fn new(headers: &[(String, String)], spec: &HostSpec, core: &CoreSettings) -> Self {
        let mut all = match serde_json::to_value(Extra::new(headers, spec)) {
            Ok(Value::Object(own)) => own,
            _ => Map::new(),
        };
        // Xray ignores these three here, and they stand beside the settings. Null leaves what the host has.
        let extra = core.xhttp_extra.iter().flatten();
        let others =
            extra.filter(|(name, value)| !matches!(name.as_str(), "host" | "path" | "mode") && !value.is_null());
        all.extend(others.map(|(name, value)| (name.clone(), value.clone())));
        // Entries with unknown settings are not written for Mihomo.
        let mihomo = xhttp_extra::options(&all).unwrap_or_default();
        Self { merged: core.xhttp_extra.is_some().then_some(all), mihomo }
    }

    /// The settings with Mihomo's names.
    pub const fn mihomo(&self) -> &Map<String, Value> {
        &self.mihomo
    }
}

impl<'a> Settings<'a> {
    /// The settings of an entry over XHTTP. `xhttp` are the host's, if it is over XHTTP.
    pub fn new(xhttp: Option<&'a Xhttp>, headers: &'a [(String, String)], spec: &'a HostSpec) -> Self {
        match xhttp.and_then(|xhttp| xhttp.merged.as_ref()) {
            Some(merged) => Self::Merged(merged),
            None => Self::Own(Extra::new(headers, spec)),
        }
    }
}

impl<'a> Extra<'a> {
    fn new(headers: &'a [(String, String)], spec: &'a HostSpec) -> Self {
        let settings = spec.splithttp_settings.as_ref();
        Self {
            headers: Headers(headers),
            padding: settings.and_then(|settings| settings.padding_bytes.as_deref()),
            no_grpc_header: settings.and_then(|settings| settings.no_grpc_header),
            xmux: settings.and_then(|settings| settings.xmux.as_ref()).map(XMux::new),
        }
    }
}

/// The mode of an entry over XHTTP, if it has one.
pub fn mode(settings: Option<&SplitHttpSettings>) -> Option<&str> {
    settings.and_then(|settings| settings.mode.as_deref()).filter(|mode| !mode.is_empty())
}

impl Headers<'_> {
    /// True without headers.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for Headers<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

impl<'a> XMux<'a> {
    fn new(settings: &'a XMuxSettings) -> Self {
        Self {
            max_concurrency: settings.max_concurrency.as_deref(),
            max_connections: settings.max_connections.as_deref(),
            c_max_reuse_times: settings.max_reuse_times.as_deref(),
            c_max_lifetime_ms: settings.max_lifetime.as_deref(),
            h_max_reusable_secs: settings.max_lifetime.as_deref().and_then(in_seconds),
            h_max_request_times: settings.max_request_times.as_deref(),
            h_keep_alive_period: settings.keep_alive_period,
        }
    }
}

/// A number or range of milliseconds in seconds, rounded up; `None` for 0, which means no limit.
fn in_seconds(range: &str) -> Option<String> {
    let seconds = |text: &str| text.parse::<u64>().ok().map(|milliseconds| milliseconds.div_ceil(1_000));
    match range.split_once('-') {
        Some((from, to)) => Some(format!("{}-{}", seconds(from)?, seconds(to)?)),
        None => seconds(range).filter(|seconds| *seconds > 0).map(|seconds| seconds.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lifetimes_are_also_written_in_seconds() {
        for (range, seconds) in [("1000", Some("1")), ("1500-3000", Some("2-3")), ("0", None), ("x", None)] {
            assert_eq!(in_seconds(range).as_deref(), seconds, "{range}");
        }
    }
}
