//! The settings that admins change while the panel runs.

use super::Panel;
use crate::domain::subscription_settings::SubscriptionSettings;
use crate::domain::telegram_settings::TelegramSettings;
use crate::store::{StoreError, settings};

/// Replaces the settings of subscriptions. Other processes see them as soon as their
/// [`super::subscriptions::SourceCache`] reads again.
pub async fn set_subscription(panel: &Panel, new: &SubscriptionSettings) -> Result<(), StoreError> {
    panel.db.transaction("set subscription settings", async |tx| settings::set_subscription(tx, new).await).await
}

/// Replaces the settings of Telegram: for this process at once, for others within a second.
pub async fn set_telegram(panel: &Panel, new: &TelegramSettings) -> Result<(), StoreError> {
    panel.db.transaction("set Telegram settings", async |tx| settings::set_telegram(tx, new).await).await?;
    panel.targets.set_stored(Some(new.clone()));
    panel.wakeup.notify();
    Ok(())
}
