//! Settings of signing in, of users' keys, and of who asks too often.

use std::str::FromStr;

use serde::Deserialize;

use super::secret::Secret;
use super::values::{parsed, whole};
use super::wrong::SettingError;

/// Who may come in, and how often one may try.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct AuthSettings {
    /// The lifetime of an admin's token in minutes; 0: it does not end.
    #[serde(rename = "jwt_access_token_expire_minutes", deserialize_with = "whole::<_, _, 0, 5_256_000>")]
    pub token_minutes: u32,
    /// How a user's secret is made of the key.
    #[serde(rename = "auth_generation_algorithm", deserialize_with = "parsed")]
    pub generation: AuthGeneration,
    /// Wrong passwords per address and per name; 0: no limit.
    #[serde(deserialize_with = "whole::<_, _, 0, 1_000_000>")]
    pub login_attempts_per_minute: u32,
    /// Wrong subscription links per address; 0: no limit.
    #[serde(deserialize_with = "whole::<_, _, 0, 1_000_000>")]
    pub subscription_misses_per_minute: u32,
}

/// How a user's secret is made of the key.
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

/// Admins' names and passwords from the environment, for the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminSettings {
    /// For `admin import-from-env`: name and password.
    pub sudo: Option<(String, Secret)>,
    /// For `admin create` and `update` without a terminal.
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
                return Err(SettingError::new("SUDO_USERNAME is set without SUDO_PASSWORD; set both or none"));
            }
            (None, Some(_)) => {
                return Err(SettingError::new("SUDO_PASSWORD is set without SUDO_USERNAME; set both or none"));
            }
        };
        Ok(AdminSettings { sudo, password: self.sarban_admin_password })
    }
}
