//! Settings for sign-in, users' credentials and rate limits.

use std::str::FromStr;

use serde::Deserialize;

use super::errors::SettingError;
use super::secret::Secret;
use super::values::{parsed, whole};

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

/// Names and passwords of admins for the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminSettings {
    /// Name and password for `admin import-from-env`.
    pub sudo: Option<(String, Secret)>,
    /// Password for `admin create` and `update` without a terminal.
    pub password: Option<Secret>,
}

#[derive(Deserialize)]
pub(super) struct AdminVariables {
    sudo_username: Option<String>,
    sudo_password: Option<Secret>,
    sarban_admin_password: Option<Secret>,
}

impl AdminVariables {
    pub(super) fn check(self) -> Result<AdminSettings, SettingError> {
        let sudo = match (self.sudo_username, self.sudo_password) {
            (Some(username), Some(password)) => Some((username, password)),
            (None, None) => None,
            (Some(_), None) => {
                return Err(SettingError::new("SUDO_USERNAME is set without SUDO_PASSWORD; set both or neither"));
            }
            (None, Some(_)) => {
                return Err(SettingError::new("SUDO_PASSWORD is set without SUDO_USERNAME; set both or neither"));
            }
        };
        Ok(AdminSettings { sudo, password: self.sarban_admin_password })
    }
}
