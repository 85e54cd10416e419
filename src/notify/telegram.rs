//! Sends HTML messages with a Telegram bot.

use std::time::Duration;

use reqwest::Client;
use serde::Deserialize;
use serde_json::json;

use super::http::{self, ClientError, Failure};
use crate::config::secret::Secret;

/// A Telegram bot.
#[derive(Clone, Debug)]
pub struct Telegram {
    client: Client,
    /// `https://api.telegram.org/bot…/sendMessage`.
    address: Secret,
}

/// Telegram's answer when it refuses a message.
#[derive(Debug, Default, Deserialize)]
struct Refusal {
    #[serde(default)]
    description: String,
    #[serde(default)]
    parameters: Parameters,
}

#[derive(Debug, Default, Deserialize)]
struct Parameters {
    retry_after: Option<u64>,
}

impl Telegram {
    /// `base` is the address of Telegram's API, or of a server in its place.
    pub fn new(base: &str, token: &Secret, proxy: Option<&Secret>) -> Result<Self, ClientError> {
        let address = format!("{}/bot{}/sendMessage", base.trim_end_matches('/'), token.expose());
        Ok(Self { client: http::client(proxy.map(|url| ("TELEGRAM_PROXY_URL", url)))?, address: Secret::new(address) })
    }

    /// Sends a message to a chat.
    pub(super) async fn send(&self, chat: &str, html: &str) -> Result<(), Failure> {
        let message = json!({
            "chat_id": chat,
            "text": html,
            "parse_mode": "HTML",
            "link_preview_options": {"is_disabled": true},
        });
        let answer = http::send(self.client.post(self.address.expose()).json(&message)).await?;
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        let refusal: Refusal = answer.json().await.unwrap_or_default();
        Err(match (status.as_u16(), refusal.parameters.retry_after) {
            (429, pause) => Failure::RateLimited(Duration::from_secs(pause.unwrap_or(5).clamp(1, 3_600))),
            _ if refusal.description.is_empty() => http::refused(status),
            _ => Failure::Refused(format!("Telegram says: {}", refusal.description)),
        })
    }
}
