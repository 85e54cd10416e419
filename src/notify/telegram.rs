//! Sends HTML messages with a Telegram bot.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use reqwest::{Client, StatusCode};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::http::{self, ClientError, Failure, PROXY_SETTING};
use crate::config::notify::TelegramProxy;
use crate::config::secret::Secret;
use crate::foundation::excerpt;

/// Characters of Telegram's description of an error that are shown.
const MAX_DESCRIPTION: usize = 300;
const TEST_MESSAGE: &str = "✅ <b>Test message</b>\nNotifications of the panel arrive in this chat.";

/// Where bots are reached. Clones share the limit of tests.
#[derive(Clone, Debug)]
pub struct TelegramApi {
    base: String,
    proxy: TelegramProxy,
    tests: Arc<Semaphore>,
}

/// The outcome of a test message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tested {
    /// The chat.
    pub chat: i64,
    /// Why the message did not arrive; `None`: it did.
    pub failure: Option<String>,
}

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

impl TelegramApi {
    /// `base` is the address of Telegram's API, or of a server in its place.
    pub fn new(base: String, proxy: TelegramProxy) -> Self {
        Self { base, proxy, tests: Arc::new(Semaphore::new(1)) }
    }

    /// Returns the bot with this token.
    pub fn bot(&self, token: &Secret) -> Result<Telegram, ClientError> {
        let proxy = match &self.proxy {
            TelegramProxy::None => None,
            TelegramProxy::Url(url) => Some(url),
            TelegramProxy::Unusable => return Err(ClientError::unusable_proxy()),
        };
        Telegram::new(&self.base, token, proxy)
    }

    /// Begins a test, one at a time. `None`: another one is running.
    pub fn begin_test(&self) -> Option<OwnedSemaphorePermit> {
        self.tests.clone().try_acquire_owned().ok()
    }
}

impl Telegram {
    /// `base` is the address of Telegram's API, or of a server in its place.
    pub fn new(base: &str, token: &Secret, proxy: Option<&Secret>) -> Result<Self, ClientError> {
        let address = format!("{}/bot{}/sendMessage", base.trim_end_matches('/'), token.expose());
        Ok(Self { client: http::client(proxy.map(|url| (PROXY_SETTING, url)))?, address: Secret::new(address) })
    }

    /// Sends a test message to each chat, all at once.
    pub async fn test(&self, chats: &[i64]) -> Vec<Tested> {
        let send = async |chat: &i64| {
            let failure = self.send(&chat.to_string(), TEST_MESSAGE).await.err().map(|failure| failure.reason());
            Tested { chat: *chat, failure }
        };
        join_all(chats.iter().map(send)).await
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
            _ => Failure::Refused(refusal.reason(status)),
        })
    }
}

impl Refusal {
    /// Telegram's words, and what to do where they leave it open.
    fn reason(&self, status: StatusCode) -> String {
        let said = excerpt(&self.description, MAX_DESCRIPTION);
        let advice = match status.as_u16() {
            401 | 404 => "; check the token of the bot",
            400 if said.contains("chat not found") => {
                "; check the id, and write to the bot or add it to the channel first"
            }
            _ => "",
        };
        format!("Telegram says: {said}{advice}")
    }
}
