//! The settings that admins change while the panel runs.

use super::Panel;
use crate::domain::subscription_settings::SubscriptionSettings;
use crate::domain::telegram_settings::TelegramSettings;
use crate::store::{StoreError, retry, settings};

/// Replaces the settings of subscriptions. Other processes see them as soon as their
/// [`super::subscriptions::SourceCache`] reads again.
pub async fn set_subscription(panel: &Panel, new: &SubscriptionSettings) -> Result<(), StoreError> {
    retry(StoreError::is_retry, async || {
        let mut tx = panel.db.begin().await?;
        settings::set_subscription(&mut tx, new).await?;
        tx.commit().await
    })
    .await
}

/// Replaces the settings of Telegram: for this process at once, for others within a second.
pub async fn set_telegram(panel: &Panel, new: &TelegramSettings) -> Result<(), StoreError> {
    retry(StoreError::is_retry, async || {
        let mut tx = panel.db.begin().await?;
        settings::set_telegram(&mut tx, new).await?;
        tx.commit().await
    })
    .await?;
    panel.targets.follow(Some(new.clone()));
    panel.wakeup.notify();
    Ok(())
}
