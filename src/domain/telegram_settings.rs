//! The recipients of Telegram messages: one document in the API and the database.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A bot and its recipients.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TelegramSettings {
    /// The bot's token.
    pub token: String,
    /// The chats of admins.
    pub admin_id: Vec<i64>,
    /// A channel that gets all messages as well.
    pub channel_id: Option<i64>,
}

/// A change of the settings; `None` leaves a field as it is.
#[derive(Clone, Default)]
pub struct TelegramChange {
    /// See [`TelegramSettings`].
    pub token: Option<String>,
    /// See [`TelegramSettings`].
    pub admin_id: Option<Vec<i64>>,
    /// See [`TelegramSettings`].
    pub channel_id: Option<Option<i64>>,
}

impl TelegramSettings {
    /// The settings after a change.
    #[must_use]
    pub fn changed(self, change: &TelegramChange) -> Self {
        Self {
            token: change.token.clone().unwrap_or(self.token),
            admin_id: change.admin_id.clone().unwrap_or(self.admin_id),
            channel_id: change.channel_id.unwrap_or(self.channel_id),
        }
    }

    /// The recipients: admins and channel, each once. An id of 0 is ignored.
    pub fn chats(&self) -> Vec<i64> {
        let mut chats: Vec<i64> = self.admin_id.iter().copied().chain(self.channel_id).filter(|id| *id != 0).collect();
        chats.sort_unstable();
        chats.dedup();
        chats
    }
}

impl fmt::Debug for TelegramChange {
    /// Hides the token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TelegramChange {{ admin_id: {:?}, channel_id: {:?}, .. }}", self.admin_id, self.channel_id)
    }
}

impl fmt::Debug for TelegramSettings {
    /// Hides the token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TelegramSettings {{ chats: {:?}, .. }}", self.chats())
    }
}
