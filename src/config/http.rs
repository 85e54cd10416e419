//! Settings for the HTTP server.

use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

use ipnet::IpNet;
use serde::Deserialize;

use super::errors::SettingError;
use super::secret::Secret;
use super::values::{elements, flag, is_url, parsed, some_whole, whole};
use crate::domain::networks;

/// Listening address, paths and access rules of the HTTP server.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct HttpSettings {
    /// Address to listen on.
    #[serde(rename = "uvicorn_host")]
    pub host: String,
    /// Port to listen on.
    #[serde(rename = "uvicorn_port", deserialize_with = "whole::<_, _, 1, 65535>")]
    pub port: u16,
    /// Unix socket to listen on, in place of address and port.
    #[serde(rename = "uvicorn_uds")]
    pub uds: Option<PathBuf>,
    /// Path of the dashboard.
    #[serde(deserialize_with = "parsed::<_, BasePath>")]
    pub dashboard_path: BasePath,
    /// Serve the API documentation.
    #[serde(deserialize_with = "flag")]
    pub docs: bool,
    /// Peers whose X-Forwarded headers are believed.
    #[serde(deserialize_with = "parsed")]
    pub trusted_proxies: Networks,
    /// Origins whose pages may call the API from a browser.
    #[serde(rename = "cors_allowed_origins", deserialize_with = "parsed")]
    pub allowed_origins: AllowedOrigins,
    /// Bearer token for `/metrics`.
    pub metrics_token: Option<Secret>,
    /// Maximum of concurrent requests; none: calculated, see `Settings::requests_at_once`.
    #[serde(rename = "max_requests_at_once", default, deserialize_with = "some_whole::<_, _, 1, 100_000>")]
    pub requests_at_once: Option<usize>,
    /// Refuse all changes.
    #[serde(rename = "sarban_read_only", deserialize_with = "flag")]
    pub read_only: bool,
}

impl HttpSettings {
    /// The link at which the first admin is made in a browser. The code is behind `#`, which browsers send to nobody.
    pub fn setup_link(&self, panel: &str, code: &str) -> String {
        format!("{panel}{}#/setup/{code}", self.dashboard_path.as_str())
    }

    /// The panel's address as its own settings say, for this machine.
    pub fn local_address(&self, is_tls: bool) -> String {
        let host = if self.host == "0.0.0.0" || self.host == "::" { "127.0.0.1" } else { self.host.as_str() };
        let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        format!("{}://{host}:{}", if is_tls { "https" } else { "http" }, self.port)
    }
}

/// Beginnings of the panel's own paths.
pub const PANEL_PATHS: [&str; 7] = ["api", "docs", "health", "metrics", "openapi.json", "redoc", "sub"];

/// A path of the panel with other paths below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BasePath(String);

impl BasePath {
    /// Returns the path, which begins and ends with a slash.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for BasePath {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let good = |c: char| c.is_ascii_alphanumeric() || "/-_.~".contains(c);
        let name = text.trim_matches('/');
        let first = name.split('/').next().unwrap_or_default();
        let is_taken = PANEL_PATHS.contains(&first);
        if !text.starts_with('/') || name.is_empty() || is_taken || name.contains("//") || !name.chars().all(good) {
            return Err("must be a path such as /dashboard/".to_owned());
        }
        Ok(Self(format!("/{name}/")))
    }
}

/// A list of networks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Networks(Vec<IpNet>);

impl Networks {
    /// Returns true when one of the networks contains the address. An IPv4-mapped IPv6 address counts as IPv4.
    pub fn contain(&self, address: IpAddr) -> bool {
        networks::contain(&self.0, address)
    }
}

impl FromStr for Networks {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let network = |element: &str| networks::network(element).ok_or_else(|| element.to_owned());
        elements(text).map(network).collect::<Result<_, _>>().map(Self).map_err(|element| {
            format!("must be a list of networks such as 10.0.0.0/8,192.0.2.7,::1; not a network: {element:?}")
        })
    }
}

/// Origins whose pages may call the API from a browser.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AllowedOrigins {
    /// All origins.
    Any,
    /// Only these origins.
    These(Vec<String>),
}

impl FromStr for AllowedOrigins {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "*" {
            return Ok(Self::Any);
        }
        let origin = |element: &str| {
            let bare = element.split_once("://").is_some_and(|(_, rest)| !rest.contains(['/', '?', '#', '@', '*']));
            if bare && is_url(element, &["http", "https"]) { Ok(element.to_owned()) } else { Err(element.to_owned()) }
        };
        elements(text).map(origin).collect::<Result<_, _>>().map(Self::These).map_err(|element| {
            format!("must be * or a list of origins such as https://panel.example:8443; not an origin: {element:?}")
        })
    }
}

/// Certificate and key for HTTPS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// File with the certificate chain, in PEM.
    pub certificate: PathBuf,
    /// File with the private key, in PEM; may be the same.
    pub key: PathBuf,
}

#[derive(Deserialize)]
pub(super) struct TlsVariables {
    uvicorn_ssl_certfile: Option<PathBuf>,
    uvicorn_ssl_keyfile: Option<PathBuf>,
}

impl TlsVariables {
    pub(super) fn check(self) -> Result<Option<TlsFiles>, SettingError> {
        match (self.uvicorn_ssl_certfile, self.uvicorn_ssl_keyfile) {
            (Some(certificate), Some(key)) => Ok(Some(TlsFiles { certificate, key })),
            // As uvicorn takes it: the file has both.
            (Some(both), None) => Ok(Some(TlsFiles { certificate: both.clone(), key: both })),
            (None, None) => Ok(None),
            (None, Some(_)) => Err(SettingError::new(
                "UVICORN_SSL_KEYFILE is set without UVICORN_SSL_CERTFILE; set both for HTTPS, neither for plain HTTP",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_contain_mapped_and_plain_addresses() {
        let networks: Networks = "127.0.0.0/8, ::1,192.0.2.7,::ffff:10.0.0.0/104".parse().expect("networks");
        for inside in ["127.9.9.9", "::1", "192.0.2.7", "::ffff:127.0.0.1", "10.9.9.9"] {
            assert!(networks.contain(inside.parse().expect("an address")), "{inside}");
        }
        for outside in ["128.0.0.1", "::2", "192.0.2.8"] {
            assert!(!networks.contain(outside.parse().expect("an address")), "{outside}");
        }
        assert!("10.0.0.0/33".parse::<Networks>().expect_err("too long").contains("10.0.0.0/33"));
    }

    #[test]
    fn paths_and_origins_are_checked() {
        for (text, path) in [("/dashboard", "/dashboard/"), ("/a/b//", "/a/b/")] {
            assert_eq!(text.parse::<BasePath>().expect(text).as_str(), path);
        }
        for text in ["dashboard", "/", "/a b", "/a//b", "/{x}", "/sub", "/api/x"] {
            text.parse::<BasePath>().expect_err(text);
        }
        assert_eq!("*".parse(), Ok(AllowedOrigins::Any));
        let two = AllowedOrigins::These(vec!["https://a".to_owned(), "http://b:8".to_owned()]);
        assert_eq!("https://a,http://b:8".parse(), Ok(two));
        for text in ["a.example", "https://a/", "*,https://a", "https://*.a"] {
            text.parse::<AllowedOrigins>().expect_err(text);
        }
    }
}
