//! Connection reuse of XHTTP, as an object that links and Xray configurations share.

use serde::Serialize;

use crate::domain::host::XMuxSettings;

/// The object, with Xray's names.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct XMux<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    max_concurrency: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_connections: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    c_max_reuse_times: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    c_max_lifetime_ms: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    h_max_request_times: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    h_keep_alive_period: Option<i64>,
}

impl<'a> XMux<'a> {
    /// Reads a host's settings.
    pub fn new(settings: &'a XMuxSettings) -> Self {
        Self {
            max_concurrency: settings.max_concurrency.as_deref(),
            max_connections: settings.max_connections.as_deref(),
            c_max_reuse_times: settings.max_reuse_times.as_deref(),
            c_max_lifetime_ms: settings.max_lifetime.as_deref(),
            h_max_request_times: settings.max_request_times.as_deref(),
            h_keep_alive_period: settings.keep_alive_period,
        }
    }
}
