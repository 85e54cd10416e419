//! Settings for subscriptions: prefix of the links, and the operator's templates.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _};

use super::values::hours;
use crate::domain::panel_address::FoundAddress;

/// Prefix of subscription links, and templates.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct SubscriptionSettings {
    /// Beginning of links, without a final slash, may be empty; each `*` becomes 16 random hex digits.
    #[serde(rename = "subscription_url_prefix", default, deserialize_with = "without_last_slash")]
    pub url_prefix: String,
    /// Public IPv4 address of the panel, for hosts with `{SERVER_IP}`.
    #[serde(default, deserialize_with = "some_ip::<_, Ipv4Addr>")]
    pub server_ip: Option<Ipv4Addr>,
    /// Public IPv6 address of the panel, for hosts with `{SERVER_IPV6}`.
    #[serde(default, deserialize_with = "some_ip::<_, Ipv6Addr>")]
    pub server_ipv6: Option<Ipv6Addr>,
    /// Age up to which subscriptions are served from the local copy; zero: no copy.
    #[serde(rename = "subscription_copy_max_age_hours", deserialize_with = "hours::<_, 0, 8_760>")]
    pub copy_max_age: Duration,
    /// Folder of the local copy; `None`: the data folder.
    #[serde(rename = "subscription_copy_dir")]
    pub copy_dir: Option<PathBuf>,
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

impl SubscriptionSettings {
    /// Returns the address that links begin with, if it is a single one. A proxy in front of the panel has it, or edges have.
    pub fn public_address(&self) -> Option<&str> {
        Some(self.url_prefix.as_str()).filter(|it| it.contains("://") && !it.contains('*'))
    }

    /// The panel's addresses: those that are set, otherwise those of the machine.
    pub fn addresses(&self, of_machine: Vec<IpAddr>) -> Vec<FoundAddress> {
        let set = [self.server_ip.map(IpAddr::from), self.server_ipv6.map(IpAddr::from)];
        let set: Vec<IpAddr> = set.into_iter().flatten().collect();
        let is_set = |ip: &IpAddr| set.iter().any(|set| set.is_ipv4() == ip.is_ipv4());
        let detected = of_machine.into_iter().filter(|ip| !is_set(ip)).filter_map(FoundAddress::detected);
        set.iter().copied().map(FoundAddress::set).chain(detected).collect()
    }
}

fn some_ip<'de, D: Deserializer<'de>, T: FromStr>(value: D) -> Result<Option<T>, D::Error> {
    let text = String::deserialize(value)?;
    let wrong = || D::Error::custom("must be an IP address of this family, such as 203.0.113.7 or 2001:db8::7");
    text.trim().parse().map(Some).map_err(|_| wrong())
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
