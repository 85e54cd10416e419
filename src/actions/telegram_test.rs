//! Sends a test message to the Telegram chats, so that an admin sees at once what is wrong with a token or a chat.

use super::Panel;
use crate::config::secret::Secret;
use crate::domain::telegram_settings::TelegramSettings;
use crate::notify::{ClientError, TelegramApi, Tested};

/// Chats of one test: Telegram takes some thirty messages per second.
const MAX_CHATS: usize = 30;
/// Characters of a token. Telegram's have some 46.
const MAX_TOKEN: usize = 200;

/// Why no test message was sent.
#[derive(Debug, thiserror::Error)]
pub enum TestError {
    /// Neither stored nor in the environment.
    #[error("No Telegram bot is set: give a token and a chat, or set TELEGRAM_API_TOKEN and TELEGRAM_ADMIN_ID")]
    NoBot,
    /// The token has characters that no token has.
    #[error("must be a token as @BotFather shows it, such as 123456:ABC-DEF")]
    Token,
    /// Neither an admin nor a channel.
    #[error("must have the id of a chat, or channel_id that of a channel")]
    NoChat,
    /// More than [`MAX_CHATS`].
    #[error("must have at most {MAX_CHATS} chats for a test")]
    TooManyChats,
    /// Another test is running in this process.
    #[error("Another test is running, try again in ten seconds")]
    Running,
    /// The proxy can't be used.
    #[error(transparent)]
    Unusable(#[from] ClientError),
}

/// Sends a test message to each chat of the given settings, or of those in force, and returns the outcomes. Takes ten
/// seconds at most.
pub async fn run(panel: &Panel, api: &TelegramApi, given: Option<TelegramSettings>) -> Result<Vec<Tested>, TestError> {
    let settings = match given {
        Some(given) => given,
        None => panel.targets.now().telegram.clone().ok_or(TestError::NoBot)?,
    };
    // The token is a part of a path.
    let is_plain = |sign: char| sign.is_ascii_alphanumeric() || matches!(sign, ':' | '-' | '_');
    if settings.token.is_empty() || settings.token.len() > MAX_TOKEN || !settings.token.chars().all(is_plain) {
        return Err(TestError::Token);
    }
    let chats = settings.chats();
    match chats.len() {
        0 => return Err(TestError::NoChat),
        count if count > MAX_CHATS => return Err(TestError::TooManyChats),
        _ => {}
    }
    let _running = api.begin_test().ok_or(TestError::Running)?;
    Ok(api.bot(&Secret::new(settings.token))?.test(&chats).await)
}
