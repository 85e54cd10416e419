//! Changes of the settings that admins may change while the panel runs.

use tokio::task::spawn_blocking;

use super::Panel;
use super::audit::Recorded;
use crate::domain::audit::Entry;
use crate::domain::change::Changed;
use crate::domain::client_rule::SubscriptionRule;
use crate::domain::subscription_settings::{SubscriptionChange, SubscriptionSettings};
use crate::domain::telegram_settings::{TelegramChange, TelegramSettings};
use crate::store::{StoreError, Transient, Tx, settings};
use crate::subscription::client_rules::{MAX_RULES, RulesError};
use crate::subscription::rule_offer::{RuleOffer, offer};

/// Why today's rules were not taken.
#[derive(Debug, thiserror::Error)]
pub enum TakeRulesError {
    /// Somebody changed the rules meanwhile.
    #[error("the rules were changed meanwhile, look at the offer again")]
    Changed,
    /// There would be more rules than allowed.
    #[error("the rules with those of today: {0}")]
    Rules(#[from] RulesError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Transient for TakeRulesError {
    fn is_transient(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_transient())
    }
}

/// Replaces the settings of subscriptions.
pub async fn set_subscription(panel: &Panel, new: &SubscriptionSettings) -> Result<(), StoreError> {
    let set = panel.transaction("set subscription settings", async |tx| {
        let (old, _) = settings::lock(tx).await?;
        Ok(((), store_subscription(panel, tx, &old, new).await?))
    });
    set.await
}

/// Changes some settings of subscriptions, and returns all.
pub async fn change_subscription(
    panel: &Panel,
    change: &SubscriptionChange,
) -> Result<SubscriptionSettings, StoreError> {
    let set = panel.transaction("change subscription settings", async |tx| {
        let (old, _) = settings::lock(tx).await?;
        let new = old.clone().changed(change);
        let recorded = store_subscription(panel, tx, &old, &new).await?;
        Ok((new, recorded))
    });
    set.await
}

/// Compares the stored rules with today's.
pub async fn rule_offer(panel: &Panel) -> Result<RuleOffer, StoreError> {
    Ok(offer_to(settings::subscription(&panel.db).await?.rules).await)
}

/// Takes the rules of the offer, and returns all settings. Changes nothing if nothing is offered.
pub async fn take_rules(panel: &Panel) -> Result<SubscriptionSettings, TakeRulesError> {
    let seen = settings::subscription(&panel.db).await?;
    let offer = offer_to(seen.rules.clone()).await;
    if offer.changes.is_empty() {
        return Ok(seen);
    }
    // Each of the rules can be used already.
    if offer.rules.len() > MAX_RULES {
        return Err(RulesError::TooMany.into());
    }
    let change = SubscriptionChange { rules: Some(offer.rules), ..SubscriptionChange::default() };
    let take = panel.transaction("take today's subscription rules", async |tx| -> Result<_, TakeRulesError> {
        let (old, _) = settings::lock(tx).await?;
        if old.rules != seen.rules {
            return Err(TakeRulesError::Changed);
        }
        let new = old.clone().changed(&change);
        let recorded = store_subscription(panel, tx, &old, &new).await?;
        Ok((new, recorded))
    });
    take.await
}

/// Compiles and compares rules on a thread for blocking work.
async fn offer_to(rules: Vec<SubscriptionRule>) -> RuleOffer {
    let compared = rules.clone();
    spawn_blocking(move || offer(&compared)).await.unwrap_or_else(|_| offer(&rules))
}

/// Replaces the settings of Telegram. Other processes follow within a second.
pub async fn set_telegram(panel: &Panel, new: &TelegramSettings) -> Result<(), StoreError> {
    let set = panel.transaction("set Telegram settings", async |tx| {
        let (_, old) = settings::lock(tx).await?;
        Ok(((), store_telegram(panel, tx, &old.unwrap_or_default(), new).await?))
    });
    set.await?;
    panel.targets.set_stored(Some(new.clone()));
    Ok(())
}

/// Changes some settings of Telegram, and returns all. Without stored ones, the others are empty.
pub async fn change_telegram(panel: &Panel, change: &TelegramChange) -> Result<TelegramSettings, StoreError> {
    let set = panel.transaction("change Telegram settings", async |tx| {
        let (_, old) = settings::lock(tx).await?;
        let old = old.unwrap_or_default();
        let new = old.clone().changed(change);
        let recorded = store_telegram(panel, tx, &old, &new).await?;
        Ok((new, recorded))
    });
    let new = set.await?;
    panel.targets.set_stored(Some(new.clone()));
    Ok(new)
}

async fn store_subscription(
    panel: &Panel,
    tx: &mut Tx,
    old: &SubscriptionSettings,
    new: &SubscriptionSettings,
) -> Result<Recorded, StoreError> {
    settings::set_subscription(tx, new).await?;
    let entry = Entry::of_one("settings.subscription").changed(old, new);
    panel.record(tx, Changed::SubscriptionSettings, &entry).await
}

async fn store_telegram(
    panel: &Panel,
    tx: &mut Tx,
    old: &TelegramSettings,
    new: &TelegramSettings,
) -> Result<Recorded, StoreError> {
    settings::set_telegram(tx, new).await?;
    let entry = Entry::of_one("settings.telegram").changed(old, new);
    panel.record(tx, Changed::TelegramSettings, &entry).await
}
