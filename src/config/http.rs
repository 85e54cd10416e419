//! Settings of the HTTP side.

use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

use ipnet::IpNet;
use serde::Deserialize;

use super::secret::Secret;
use super::values::{elements, flag, is_url, parsed, some_whole, whole};
use super::wrong::SettingError;

/// Where to listen and how to answer.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct HttpSettings {
    /// The address to listen on.
    #[serde(rename = "uvicorn_host")]
    pub host: String,
    /// The port to listen on.
    #[serde(rename = "uvicorn_port", deserialize_with = "whole::<_, _, 1, 65535>")]
    pub port: u16,
    /// A Unix socket instead of both.
    #[serde(rename = "uvicorn_uds")]
    pub uds: Option<PathBuf>,
    /// Where the dashboard is: begins and ends with a slash.
    #[serde(deserialize_with = "parsed::<_, Folder>")]
    pub dashboard_path: Folder,
    /// Whether to serve the API's documentation.
    #[serde(deserialize_with = "flag")]
    pub docs: bool,
    /// Only these may set X-Forwarded headers.
    #[serde(deserialize_with = "parsed")]
    pub trusted_proxies: Networks,
    /// Whose pages may call the API.
    #[serde(rename = "cors_allowed_origins", deserialize_with = "parsed")]
    pub allowed_origins: AllowedOrigins,
    /// The bearer token of `/metrics`.
    pub metrics_token: Option<Secret>,
    /// Requests that are worked on at once.
    #[serde(rename = "max_requests_at_once", default, deserialize_with = "some_whole::<_, _, 1, 100_000>")]
    pub requests_at_once: Option<usize>,
    /// Refuse every change.
    #[serde(rename = "sarban_read_only", deserialize_with = "flag")]
    pub read_only: bool,
}

/// A path of the panel that has others below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folder(String);

impl Folder {
    /// With a slash at both ends.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Folder {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let good = |c: char| c.is_ascii_alphanumeric() || "/-_.~".contains(c);
        let name = text.trim_matches('/');
        if !text.starts_with('/') || name.is_empty() || name.contains("//") || !name.chars().all(good) {
            return Err("must be a path such as /dashboard/".to_owned());
        }
        Ok(Self(format!("/{name}/")))
    }
}

/// A list of networks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Networks(Vec<IpNet>);

impl Networks {
    /// Whether one of them holds the address. An IPv4 address in IPv6 clothes counts as what it is.
    pub fn contain(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }
}

impl FromStr for Networks {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let network = |element: &str| match element.parse::<IpAddr>() {
            Ok(address) => Ok(IpNet::from(address.to_canonical())),
            Err(_) => element.parse::<IpNet>().map_err(|_| element.to_owned()),
        };
        elements(text).map(network).collect::<Result<_, _>>().map(Self).map_err(|element| {
            format!("must be a list of networks such as 10.0.0.0/8,192.0.2.7,::1, and {element:?} is none")
        })
    }
}

/// Whose pages may call the API from a browser.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AllowedOrigins {
    /// Everybody's.
    Any,
    /// Those of these origins.
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
            format!("must be * or a list of origins such as https://panel.example:8443, and {element:?} is none")
        })
    }
}

/// The files of TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate chain, PEM.
    pub certificate: PathBuf,
    /// The private key, PEM.
    pub key: PathBuf,
}

#[derive(Deserialize)]
pub(super) struct TlsVariables {
    uvicorn_ssl_certfile: Option<PathBuf>,
    uvicorn_ssl_keyfile: Option<PathBuf>,
}

impl TlsVariables {
    pub(super) fn check(self) -> Result<Option<TlsFiles>, SettingError> {
        let lone = |set: &str, missing: &str| {
            Err(SettingError::new(format!("{set} is set without {missing}; TLS needs both, and plain HTTP neither")))
        };
        match (self.uvicorn_ssl_certfile, self.uvicorn_ssl_keyfile) {
            (Some(certificate), Some(key)) => Ok(Some(TlsFiles { certificate, key })),
            (None, None) => Ok(None),
            (Some(_), None) => lone("UVICORN_SSL_CERTFILE", "UVICORN_SSL_KEYFILE"),
            (None, Some(_)) => lone("UVICORN_SSL_KEYFILE", "UVICORN_SSL_CERTFILE"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_known_in_either_form() {
        let networks: Networks = "127.0.0.0/8, ::1,192.0.2.7".parse().expect("networks");
        for inside in ["127.9.9.9", "::1", "192.0.2.7", "::ffff:127.0.0.1"] {
            assert!(networks.contain(inside.parse().expect("an address")), "{inside}");
        }
        for outside in ["128.0.0.1", "::2", "192.0.2.8"] {
            assert!(!networks.contain(outside.parse().expect("an address")), "{outside}");
        }
        assert!("10.0.0.0/33".parse::<Networks>().expect_err("too long").contains("10.0.0.0/33"));
    }

    #[test]
    fn paths_and_origins() {
        for (text, path) in [("/dashboard", "/dashboard/"), ("/a/b//", "/a/b/")] {
            assert_eq!(text.parse::<Folder>().expect(text).as_str(), path);
        }
        for text in ["dashboard", "/", "/a b", "/a//b", "/{x}"] {
            text.parse::<Folder>().expect_err(text);
        }
        assert_eq!("*".parse(), Ok(AllowedOrigins::Any));
        let two = AllowedOrigins::These(vec!["https://a".to_owned(), "http://b:8".to_owned()]);
        assert_eq!("https://a,http://b:8".parse(), Ok(two));
        for text in ["a.example", "https://a/", "*,https://a", "https://*.a"] {
            text.parse::<AllowedOrigins>().expect_err(text);
        }
    }
}
