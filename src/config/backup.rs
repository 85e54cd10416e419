//! Settings for scheduled back-ups.

use std::time::Duration;

use age::x25519::Recipient;
use serde::Deserialize;
use serde::de::{Deserializer, Error};

use super::secret::Secret;
use super::values::{elements, flag, hours, is_url, whole};

/// Where back-ups go, how often, and who can open them.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct BackupSettings {
    /// A folder, or a folder in a bucket of S3 (`s3://bucket/prefix`); none: nothing is backed up.
    #[serde(rename = "backup_to")]
    pub to: Option<String>,
    /// Time between two back-ups.
    #[serde(rename = "backup_period_hours", deserialize_with = "hours::<_, 1, 8_760>")]
    pub period: Duration,
    /// Number of back-ups that stay; 0: all.
    #[serde(rename = "backup_keep", deserialize_with = "whole::<_, _, 0, 100_000>")]
    pub keep: usize,
    /// Recipients of age; none: not encrypted.
    #[serde(rename = "backup_age_recipient", default, deserialize_with = "recipients")]
    pub recipients: Vec<Recipient>,
    /// Also the secret that signs tokens, and the key of the panel's certificate.
    #[serde(rename = "backup_with_secrets", deserialize_with = "flag")]
    pub with_secrets: bool,
}

/// How S3 is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct S3Settings {
    /// Without a key, the role of the machine at Amazon is used.
    #[serde(rename = "aws_access_key_id")]
    pub access_key_id: Option<String>,
    /// The key's secret.
    #[serde(rename = "aws_secret_access_key")]
    pub secret_access_key: Option<Secret>,
    /// The token of a temporary key.
    #[serde(rename = "aws_session_token")]
    pub session_token: Option<Secret>,
    /// The bucket's region.
    #[serde(rename = "aws_region")]
    pub region: String,
    /// A server other than Amazon's.
    #[serde(rename = "backup_s3_endpoint", default, deserialize_with = "endpoint")]
    pub endpoint: Option<String>,
}

/// Reads a recipient, which begins with `age1`.
pub fn parse_recipient(text: &str) -> Result<Recipient, String> {
    text.trim().parse().map_err(|problem| {
        format!("must be a recipient of age, which begins with age1 and which `age-keygen` prints ({problem})")
    })
}

fn endpoint<'de, D: Deserializer<'de>>(value: D) -> Result<Option<String>, D::Error> {
    let url = String::deserialize(value)?;
    let url = url.trim();
    let problem = "must be a URL such as https://s3.example.com";
    if is_url(url, &["http", "https"]) { Ok(Some(url.to_owned())) } else { Err(D::Error::custom(problem)) }
}

fn recipients<'de, D: Deserializer<'de>>(value: D) -> Result<Vec<Recipient>, D::Error> {
    let text = String::deserialize(value)?;
    elements(&text).map(parse_recipient).collect::<Result<_, _>>().map_err(D::Error::custom)
}
