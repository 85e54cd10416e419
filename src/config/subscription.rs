//! Settings of subscriptions: the beginning of their links, and the operator's templates.

use std::path::PathBuf;

use serde::Deserialize;
use serde::de::Deserializer;

/// What the environment says about subscriptions.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct SubscriptionSettings {
    /// What links begin with, without a slash at the end; each `*` becomes 16 random hex digits. May be empty.
    #[serde(rename = "subscription_url_prefix", default, deserialize_with = "without_last_slash")]
    pub url_prefix: String,
    /// The folder of templates that replace the built-in ones.
    #[serde(rename = "custom_templates_directory")]
    pub templates: Option<PathBuf>,
    /// The home page's, in that folder; so are the others.
    #[serde(rename = "home_page_template")]
    pub home_page: String,
    /// A user's page.
    #[serde(rename = "subscription_page_template")]
    pub page: String,
    /// Clash.
    #[serde(rename = "clash_subscription_template")]
    pub clash: String,
    /// sing-box.
    #[serde(rename = "singbox_subscription_template")]
    pub singbox: String,
    /// Xray.
    #[serde(rename = "xray_subscription_template")]
    pub xray: String,
}

fn without_last_slash<'de, D: Deserializer<'de>>(value: D) -> Result<String, D::Error> {
    Ok(String::deserialize(value)?.trim_end_matches('/').to_owned())
}
