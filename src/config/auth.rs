//! Settings for sign-in, users' credentials and rate limits.

use std::str::FromStr;

use serde::Deserialize;

use super::secret::Secret;
use super::values::{parsed, some_parsed, whole};
use crate::domain::second_factor::passkey;

/// Token lifetime, derivation of credentials, rate limits.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct AuthSettings {
    /// The lifetime of an admin's token, in minutes; 0: it does not expire.
    #[serde(rename = "jwt_access_token_expire_minutes", deserialize_with = "whole::<_, _, 0, 5_256_000>")]
    pub token_minutes: u32,
    /// How a user's credentials are derived from the user's key.
    #[serde(rename = "auth_generation_algorithm", deserialize_with = "parsed")]
    pub generation: AuthGeneration,
    /// Wrong passwords per client address, and per admin name from addresses that never signed in as that admin; 0: no
    /// limit.
    #[serde(deserialize_with = "whole::<_, _, 0, 1_000_000>")]
    pub login_attempts_per_minute: u32,
    /// Wrong subscription links per client address; 0: no limit.
    #[serde(deserialize_with = "whole::<_, _, 0, 1_000_000>")]
    pub subscription_misses_per_minute: u32,
    /// The domain that passkeys are for; none: the host name of each request.
    #[serde(default, deserialize_with = "some_parsed")]
    pub passkey_domain: Option<PasskeyDomain>,
}

/// A domain that passkeys can be for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PasskeyDomain(String);

impl PasskeyDomain {
    /// Returns the domain, in small letters.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for PasskeyDomain {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let domain = text.to_ascii_lowercase();
        if passkey::is_domain(&domain) {
            return Ok(Self(domain));
        }
        Err("must be a domain such as panel.example.com, without https:// and port; no address".to_owned())
    }
}

/// How a user's credentials are derived from the user's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthGeneration {
    /// The XXH128 hash of the key.
    Xxh128,
    /// The key itself.
    Plain,
}

impl FromStr for AuthGeneration {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "xxh128" => Ok(Self::Xxh128),
            "plain" => Ok(Self::Plain),
            _ => Err("must be xxh128 or plain".to_owned()),
        }
    }
}

/// Names and passwords of admins for the command line. No other command checks them, because the old panel starts with one
/// without the other.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct AdminSettings {
    /// Name for `admin import-from-env`.
    pub sudo_username: Option<String>,
    /// Password for `admin import-from-env`.
    pub sudo_password: Option<Secret>,
    /// Password for `admin create` and `update` without a terminal.
    #[serde(rename = "sarban_admin_password")]
    pub password: Option<Secret>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domain_of_passkeys_is_a_name() {
        let domain = |text: &str| text.parse::<PasskeyDomain>().map(|domain| domain.0);
        assert_eq!(domain("Panel.Example.com").as_deref(), Ok("panel.example.com"));
        for wrong in ["https://panel.example.com", "panel.example.com:8443", "192.0.2.1", ""] {
            assert!(domain(wrong).expect_err(wrong).contains("such as panel.example.com"));
        }
    }
}
