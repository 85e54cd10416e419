//! Settings of notifications: who is told, when, and how often it is tried.

use std::time::Duration;

use serde::Deserialize;
use serde::de::{Deserializer, Error};

use super::secret::Secret;
use super::values::{elements, is_url, seconds, whole};
use crate::domain::telegram_settings::TelegramSettings;

/// Who is told, and of what.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct NotifySettings {
    /// The Telegram bot's token.
    pub telegram_api_token: Option<Secret>,
    /// Where the Bot API is.
    #[serde(rename = "telegram_api_url", deserialize_with = "bot_api")]
    pub telegram_api_url: String,
    /// The admins' Telegram ids.
    #[serde(rename = "telegram_admin_id", default, deserialize_with = "ids")]
    pub telegram_admin_ids: Vec<i64>,
    /// The Telegram channel of the log.
    #[serde(rename = "telegram_logger_channel_id", default, deserialize_with = "channel")]
    pub telegram_channel_id: Option<i64>,
    /// The proxy on the way to Telegram.
    #[serde(default, deserialize_with = "proxy")]
    pub telegram_proxy_url: Option<Secret>,
    /// Where notifications are posted.
    #[serde(rename = "webhook_address", default, deserialize_with = "webhook")]
    pub webhook_url: Option<Secret>,
    /// What is sent along.
    pub webhook_secret: Option<Secret>,
    /// Between two attempts to deliver.
    #[serde(rename = "recurrent_notifications_timeout", deserialize_with = "seconds::<_, 1, 86_400>")]
    pub retry_after: Duration,
    /// Attempts to deliver.
    #[serde(rename = "number_of_recurrent_notifications", deserialize_with = "whole::<_, _, 1, 1_000>")]
    pub attempts: u32,
    /// Percent of the data limit.
    #[serde(rename = "notify_reached_usage_percent", deserialize_with = "whole::<_, _, 1, 100>")]
    pub usage_percent: u32,
    /// Days before the end.
    #[serde(rename = "notify_days_left", deserialize_with = "whole::<_, _, 0, 3_650>")]
    pub days_left: u32,
}

impl NotifySettings {
    /// The bot and whom it writes to, unless admins have stored others.
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

/// 0 says "none", as it always did.
fn channel<'de, D: Deserializer<'de>>(value: D) -> Result<Option<i64>, D::Error> {
    let id = String::deserialize(value)?.parse::<i64>();
    let id = id.map_err(|_| D::Error::custom("must be the id of a Telegram channel such as -1001234567890"))?;
    Ok(Some(id).filter(|id| *id != 0))
}

fn proxy<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Secret>, D::Error> {
    let right = "must be a proxy's address such as socks5://host:1080 or http://host:8080";
    address(value, &["http", "https", "socks5", "socks5h"], right)
}

fn bot_api<'de, D: Deserializer<'de>>(value: D) -> Result<String, D::Error> {
    let url = String::deserialize(value)?;
    let right = is_url(&url, &["http", "https"]);
    if right { Ok(url) } else { Err(D::Error::custom("must be an address such as https://api.telegram.org")) }
}

fn webhook<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Secret>, D::Error> {
    address(value, &["http", "https"], "must be an address such as https://host/path")
}

fn address<'de, D: Deserializer<'de>>(value: D, schemes: &[&str], right: &str) -> Result<Option<Secret>, D::Error> {
    let url = String::deserialize(value)?;
    let url = url.trim();
    if is_url(url, schemes) { Ok(Some(Secret::new(url))) } else { Err(D::Error::custom(right)) }
}
