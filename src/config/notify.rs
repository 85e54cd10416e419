//! Settings for notifications: receivers, thresholds, retries.

use std::time::Duration;

use serde::Deserialize;
use serde::de::{Deserializer, Error};

use super::secret::Secret;
use super::values::{elements, is_url, seconds, whole};
use crate::domain::telegram_settings::TelegramSettings;

/// Schemes of addresses that are called.
pub(super) const WEB: [&str; 2] = ["http", "https"];
/// Schemes of proxies.
pub(super) const PROXIES: [&str; 6] = ["http", "https", "socks4", "socks4a", "socks5", "socks5h"];

/// Receivers, thresholds and retries of notifications.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct NotifySettings {
    /// Token of the Telegram bot.
    pub telegram_api_token: Option<Secret>,
    /// Address of the Bot API.
    #[serde(rename = "telegram_api_url", deserialize_with = "bot_api")]
    pub telegram_api_url: String,
    /// Telegram ids of the admins.
    #[serde(rename = "telegram_admin_id", default, deserialize_with = "ids")]
    pub telegram_admin_ids: Vec<i64>,
    /// Id of a Telegram channel.
    #[serde(rename = "telegram_logger_channel_id", default, deserialize_with = "channel")]
    pub telegram_channel_id: Option<i64>,
    /// Proxy for requests to Telegram.
    #[serde(rename = "telegram_proxy_url", default, deserialize_with = "proxy")]
    pub telegram_proxy: TelegramProxy,
    /// URL that notifications are posted to.
    #[serde(rename = "webhook_address", default, deserialize_with = "webhook")]
    pub webhook_url: Option<Secret>,
    /// Sent as `x-webhook-secret`, and the key of `x-webhook-signature`.
    pub webhook_secret: Option<Secret>,
    /// Time between two attempts to deliver a notification.
    #[serde(rename = "recurrent_notifications_timeout", deserialize_with = "seconds::<_, 1, 86_400>")]
    pub retry_after: Duration,
    /// Attempts to deliver a notification before it becomes a dead letter.
    #[serde(rename = "number_of_recurrent_notifications", deserialize_with = "whole::<_, _, 1, 1_000>")]
    pub attempts: u32,
    /// Percentage of the data limit that triggers a notification.
    #[serde(rename = "notify_reached_usage_percent", deserialize_with = "whole::<_, _, 1, 100>")]
    pub usage_percent: u32,
    /// Days before the expiry that trigger a notification.
    #[serde(rename = "notify_days_left", deserialize_with = "whole::<_, _, 0, 3_650>")]
    pub days_left: u32,
}

/// How Telegram is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum TelegramProxy {
    /// Directly.
    #[default]
    None,
    /// Through this proxy.
    Url(Secret),
    /// Not at all: a proxy is set that nothing can be sent through.
    Unusable,
}

impl NotifySettings {
    /// Returns the bot and its receivers, for use while no sudo admin has stored others; none without a token.
    pub fn telegram(&self) -> Option<TelegramSettings> {
        let token = self.telegram_api_token.as_ref()?;
        Some(TelegramSettings {
            token: token.expose().to_owned(),
            admin_id: self.telegram_admin_ids.clone(),
            channel_id: self.telegram_channel_id,
        })
    }
}

fn ids<'de, D: Deserializer<'de>>(value: D) -> Result<Vec<i64>, D::Error> {
    let ids = elements(&String::deserialize(value)?).map(str::parse).collect::<Result<_, _>>();
    ids.map_err(|_| D::Error::custom("must be a list of Telegram ids such as 1234567,7654321"))
}

/// 0 means no channel, as in Marzneshin.
fn channel<'de, D: Deserializer<'de>>(value: D) -> Result<Option<i64>, D::Error> {
    let id = String::deserialize(value)?.parse::<i64>();
    let id = id.map_err(|_| D::Error::custom("must be the id of a Telegram channel such as -1001234567890"))?;
    Ok(Some(id).filter(|id| *id != 0))
}

fn proxy<'de, D: Deserializer<'de>>(value: D) -> Result<TelegramProxy, D::Error> {
    let url = String::deserialize(value)?;
    let url = url.trim();
    Ok(if is_url(url, &PROXIES) { TelegramProxy::Url(Secret::new(url)) } else { TelegramProxy::Unusable })
}

fn bot_api<'de, D: Deserializer<'de>>(value: D) -> Result<String, D::Error> {
    let url = String::deserialize(value)?;
    let valid = is_url(&url, &WEB);
    if valid { Ok(url) } else { Err(D::Error::custom("must be a URL such as https://api.telegram.org")) }
}

fn webhook<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Secret>, D::Error> {
    let url = String::deserialize(value)?;
    let url = url.trim();
    let problem = "must be a URL such as https://host/path";
    if is_url(url, &WEB) { Ok(Some(Secret::new(url))) } else { Err(D::Error::custom(problem)) }
}
