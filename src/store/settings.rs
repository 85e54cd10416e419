//! The table `settings`: one row, created by the first change.

use sqlx::types::Json;
use sqlx::{query_as, query_scalar};

use crate::domain::subscription_settings::SubscriptionSettings;
use crate::domain::telegram_settings::TelegramSettings;
use crate::store::engine::statement::{db_execute, db_read, db_run, statements};
use crate::store::engine::{Db, StoreError, Tx};

statements! {
    SUBSCRIPTION = "SELECT subscription FROM settings WHERE id = 1";
    SET_SUBSCRIPTION =
        "INSERT INTO settings (id, subscription) VALUES (1, $1)
         ON CONFLICT (id) DO UPDATE SET subscription = excluded.subscription";
    CREATE = "INSERT INTO settings (id, subscription) VALUES (1, $1) ON CONFLICT (id) DO NOTHING";
    LOCK => pg "SELECT subscription, telegram FROM settings WHERE id = 1 FOR UPDATE",
        lite "SELECT subscription, telegram FROM settings WHERE id = 1";
    TELEGRAM = "SELECT telegram FROM settings WHERE id = 1";
    SET_TELEGRAM =
        "INSERT INTO settings (id, subscription, telegram) VALUES (1, $1, $2)
         ON CONFLICT (id) DO UPDATE SET telegram = excluded.telegram";
}

/// Returns the settings of subscriptions; the defaults until an admin changes them.
pub async fn subscription(db: &Db) -> Result<SubscriptionSettings, StoreError> {
    let found = db_read!(db, SUBSCRIPTION, |sql, c| {
        query_scalar::<_, Json<SubscriptionSettings>>(sql).fetch_optional(c).await
    })?;
    Ok(found.map_or_else(SubscriptionSettings::initial, |Json(settings)| settings))
}

/// Returns all settings, which no other transaction can change until this one ends.
pub async fn lock(tx: &mut Tx) -> Result<(SubscriptionSettings, Option<TelegramSettings>), StoreError> {
    db_execute!(tx, CREATE, Json(SubscriptionSettings::initial()))?;
    type Row = (Json<SubscriptionSettings>, Option<Json<Option<TelegramSettings>>>);
    let (Json(subscription), telegram) = db_run!(tx, LOCK, |sql, c| query_as::<_, Row>(sql).fetch_one(&mut *c).await)?;
    Ok((subscription, telegram.and_then(|Json(telegram)| telegram)))
}

/// Replaces the settings.
pub async fn set_subscription(tx: &mut Tx, settings: &SubscriptionSettings) -> Result<(), StoreError> {
    db_execute!(tx, SET_SUBSCRIPTION, Json(settings))
}

/// Returns the settings of Telegram, if there are any.
pub async fn telegram(db: &Db) -> Result<Option<TelegramSettings>, StoreError> {
    // NULL and the JSON value null mean the same.
    type Cell = Option<Json<Option<TelegramSettings>>>;
    let found = db_read!(db, TELEGRAM, |sql, c| query_scalar::<_, Cell>(sql).fetch_optional(c).await)?;
    Ok(found.flatten().and_then(|Json(settings)| settings))
}

/// Replaces the settings.
pub async fn set_telegram(tx: &mut Tx, settings: &TelegramSettings) -> Result<(), StoreError> {
    let initial = SubscriptionSettings::initial();
    db_execute!(tx, SET_TELEGRAM, Json(&initial), Json(settings))
}
