//! Where a panel's messages on Telegram go: one document, shown and stored as it is.

use serde::{Deserialize, Serialize};

/// A bot and whom it writes to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TelegramSettings {
    /// The bot's token.
    pub token: String,
    /// The chats of admins.
    pub admin_id: Vec<i64>,
    /// A channel that gets everything, too.
    pub channel_id: Option<i64>,
}
