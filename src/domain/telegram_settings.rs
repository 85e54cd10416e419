//! Where a panel's messages on Telegram go: one document, shown and stored as it is.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A bot and whom it writes to.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TelegramSettings {
    /// The bot's token.
    pub token: String,
    /// The chats of admins.
    pub admin_id: Vec<i64>,
    /// A channel that gets everything, too.
    pub channel_id: Option<i64>,
}

impl TelegramSettings {
    /// Whom the bot writes to: the admins and the channel, each once. 0 is nobody.
    pub fn chats(&self) -> Vec<i64> {
        let mut chats: Vec<i64> = self.admin_id.iter().copied().chain(self.channel_id).filter(|id| *id != 0).collect();
        chats.sort_unstable();
        chats.dedup();
        chats
    }
}

impl fmt::Debug for TelegramSettings {
    /// Without the token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TelegramSettings {{ chats: {:?}, .. }}", self.chats())
    }
}
