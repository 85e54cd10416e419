//! Telegram: HTML messages of a bot.

use std::time::Duration;

use reqwest::Client;
use serde::Deserialize;
use serde_json::json;

use super::http::{self, ClientError, Failure};
use crate::config::secret::Secret;

/// A bot.
#[derive(Clone, Debug)]
pub struct Telegram {
    client: Client,
    /// `https://api.telegram.org/bot…/sendMessage`.
    address: Secret,
}

/// What Telegram answers when it does not want a message.
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
    /// The bot of this token. `base` is Telegram's own address, or that of a server in its place.
    pub fn new(base: &str, token: &Secret, proxy: Option<&Secret>) -> Result<Self, ClientError> {
        let address = format!("{}/bot{}/sendMessage", base.trim_end_matches('/'), token.expose());
        Ok(Self { client: http::client(proxy.map(|url| ("TELEGRAM_PROXY_URL", url)))?, address: Secret::new(address) })
    }

    /// Writes to a chat.
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
            (429, pause) => Failure::TooMany(Duration::from_secs(pause.unwrap_or(5).clamp(1, 3_600))),
            _ if refusal.description.is_empty() => http::refused(status),
            _ => Failure::Refused(format!("Telegram says: {}", refusal.description)),
        })
    }
}
