//! Settings for sign-in, users' credentials and rate limits.

use std::str::FromStr;

use serde::Deserialize;

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
