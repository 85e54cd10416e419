//! Settings of `sarban edge`: the panels that it follows.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use serde::de::{Deserializer, Error};

use super::errors::{SettingError, SettingsErrors};
use super::secret::Secret;
use super::values::{elements, is_url};
use crate::domain::api_token::PresentedToken;

/// The panels, and how they are reached. A panel ignores them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct EdgeSettings {
    /// Addresses of panels of one database, without a final slash.
    #[serde(rename = "edge_panels", default, deserialize_with = "addresses")]
    pub panels: Vec<String>,
    /// API token with the scopes `edge:read` and `edge:write`.
    #[serde(rename = "edge_token", default, deserialize_with = "token")]
    pub token: Option<Secret>,
    /// Certificates of the authority that signed the panels', in PEM.
    #[serde(rename = "edge_ca_file")]
    pub ca_file: Option<PathBuf>,
}

/// Settings that an edge can't do without: its panels and its token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Followed {
    /// Addresses of the panels; never empty.
    pub panels: Vec<String>,
    /// The API token.
    pub token: Secret,
    /// See [`EdgeSettings`].
    pub ca_file: Option<PathBuf>,
}

impl EdgeSettings {
    /// Returns the settings that `sarban edge` can't do without. The error names all that are missing. `copy_max_age` is that of
    /// subscriptions: an edge serves from its copy alone.
    pub fn followed(&self, copy_max_age: Duration) -> Result<Followed, SettingsErrors> {
        let mut errors = Vec::new();
        if copy_max_age.is_zero() {
            errors.push(SettingError::new(
                "SUBSCRIPTION_COPY_MAX_AGE_HOURS is 0, but an edge serves from its copy alone; set it to 1 or more",
            ));
        }
        if self.panels.is_empty() {
            errors.push(SettingError::new(
                "EDGE_PANELS is not set; write the addresses of the panels, such as https://panel.example.com",
            ));
        }
        match &self.token {
            Some(token) if errors.is_empty() => {
                Ok(Followed { panels: self.panels.clone(), token: token.clone(), ca_file: self.ca_file.clone() })
            }
            token => {
                if token.is_none() {
                    errors.push(SettingError::new(
                        "EDGE_TOKEN is not set; make one on a panel with `sarban token create --admin NAME --name edge \
                         --scope 'edge:*'`",
                    ));
                }
                Err(SettingsErrors(errors))
            }
        }
    }
}

fn addresses<'de, D: Deserializer<'de>>(value: D) -> Result<Vec<String>, D::Error> {
    let text = String::deserialize(value)?;
    elements(&text).map(address).collect::<Result<_, _>>().map_err(D::Error::custom)
}

/// Reads the address of a panel. Without TLS everybody on the way could read the users' keys.
fn address(text: &str) -> Result<String, String> {
    let address = text.trim_end_matches('/');
    let rest = address.split_once("://").map_or("", |(_, rest)| rest);
    let host = match rest.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => rest.split(['/', ':']).next().unwrap_or_default(),
    };
    let is_here = ["localhost", "127.0.0.1", "::1"].contains(&host);
    let is_plain = !rest.contains(['?', '#', '@']);
    if is_plain && (is_url(address, &["https"]) || is_here && is_url(address, &["http"])) {
        return Ok(address.to_owned());
    }
    Err("must be a list of addresses such as https://panel.example.com,https://panel2.example.com:8443, with http only for \
         a panel on this machine"
        .to_owned())
}

fn token<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Secret>, D::Error> {
    let text = String::deserialize(value)?;
    let text = text.trim();
    match PresentedToken::read(text) {
        Some(_) => Ok(Some(Secret::new(text))),
        None => Err(D::Error::custom("must be an API token, which begins with sarban_ and has 104 characters")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_tls_unless_the_panel_is_on_this_machine() {
        for (text, read) in [
            ("https://panel.example/", "https://panel.example"),
            ("https://panel.example:8443/base", "https://panel.example:8443/base"),
            ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
            ("http://[::1]:8000/", "http://[::1]:8000"),
            ("http://localhost", "http://localhost"),
        ] {
            assert_eq!(address(text).as_deref(), Ok(read));
        }
        for wrong in [
            "panel.example",
            "http://panel.example",
            "http://localhost.example",
            "http://127.0.0.1@panel.example",
            "https://u:p@panel.example",
            "https://panel.example?x",
            "https://",
        ] {
            assert!(address(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn edge_names_all_that_it_lacks() {
        const DAY: Duration = Duration::from_secs(86_400);
        let none = EdgeSettings::default().followed(DAY).expect_err("nothing is set").to_string();
        let lines: Vec<&str> = none.lines().collect();
        assert!(
            lines[0].starts_with("EDGE_PANELS is not set") && lines[1].starts_with("EDGE_TOKEN is not set"),
            "{none}"
        );
        let panels = vec!["https://panel.example".to_owned()];
        let with_panels = EdgeSettings { panels, ..EdgeSettings::default() };
        let token = with_panels.followed(DAY).expect_err("no token").to_string();
        assert!(token.starts_with("EDGE_TOKEN is not set"), "{token}");
        let no_copy = with_panels.followed(Duration::ZERO).expect_err("no copy").to_string();
        assert!(no_copy.starts_with("SUBSCRIPTION_COPY_MAX_AGE_HOURS is 0"), "{no_copy}");
    }
}
