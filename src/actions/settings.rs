//! Changes of the settings that admins may change while the panel runs.

use super::Panel;
use super::changes::Changed;
use crate::domain::subscription_settings::SubscriptionSettings;
use crate::domain::telegram_settings::TelegramSettings;
use crate::store::{StoreError, settings};

/// Replaces the settings of subscriptions.
pub async fn set_subscription(panel: &Panel, new: &SubscriptionSettings) -> Result<(), StoreError> {
    let set = panel.transaction("set subscription settings", async |tx| {
        settings::set_subscription(tx, new).await?;
        Ok(((), Changed::SubscriptionSettings))
    });
    set.await
}

/// Replaces the settings of Telegram. Other processes follow within a second.
pub async fn set_telegram(panel: &Panel, new: &TelegramSettings) -> Result<(), StoreError> {
    let set = panel.transaction("set Telegram settings", async |tx| {
        settings::set_telegram(tx, new).await?;
        Ok(((), Changed::TelegramSettings))
    });
    set.await?;
    panel.targets.set_stored(Some(new.clone()));
    Ok(())
}
