//! Settings for subscriptions: prefix of the links, and the operator's templates.

use std::path::PathBuf;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _};

/// Prefix of subscription links, and templates.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct SubscriptionSettings {
    /// Beginning of links, without a final slash, may be empty; each `*` becomes 16 random hex digits.
    #[serde(rename = "subscription_url_prefix", default, deserialize_with = "without_last_slash")]
    pub url_prefix: String,
    /// Folder of templates that replace the built-in ones.
    #[serde(rename = "custom_templates_directory")]
    pub templates: Option<PathBuf>,
    /// Template of the home page, relative to `templates`.
    #[serde(rename = "home_page_template")]
    pub home_page: String,
    /// Template of a user's page, relative to `templates`.
    #[serde(rename = "subscription_page_template")]
    pub page: String,
    /// Content-Security-Policy of pages from the operator's templates.
    #[serde(rename = "templates_content_security_policy", deserialize_with = "header_text")]
    pub own_page_policy: String,
    /// Template of Clash configurations, relative to `templates`.
    #[serde(rename = "clash_subscription_template")]
    pub clash: String,
    /// Template of sing-box configurations, relative to `templates`.
    #[serde(rename = "singbox_subscription_template")]
    pub singbox: String,
    /// Template of Xray configurations, relative to `templates`.
    #[serde(rename = "xray_subscription_template")]
    pub xray: String,
}

fn without_last_slash<'de, D: Deserializer<'de>>(value: D) -> Result<String, D::Error> {
    Ok(String::deserialize(value)?.trim_end_matches('/').to_owned())
}

/// Reads the value of a header.
fn header_text<'de, D: Deserializer<'de>>(value: D) -> Result<String, D::Error> {
    let text = String::deserialize(value)?;
    if text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()) {
        Ok(text)
    } else {
        Err(D::Error::custom("must be printable ASCII characters on one line"))
    }
}
