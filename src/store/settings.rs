//! `settings`: one row, made by whoever changes it first.

use sqlx::types::Json;
use sqlx::{query, query_scalar};

use super::{Db, StoreError, Tx, read, run, statements};
use crate::domain::subscription_settings::SubscriptionSettings;

statements! {
    SUBSCRIPTION = "SELECT subscription FROM settings WHERE id = 1";
    SET_SUBSCRIPTION =
        "INSERT INTO settings (id, subscription) VALUES (1, $1)
         ON CONFLICT (id) DO UPDATE SET subscription = excluded.subscription";
}

/// The settings of subscriptions: the initial ones until an admin changes them.
pub async fn subscription(db: &Db) -> Result<SubscriptionSettings, StoreError> {
    let found = read!(db, SUBSCRIPTION, |sql, c| {
        query_scalar::<_, Json<SubscriptionSettings>>(sql).fetch_optional(c).await
    })?;
    Ok(found.map_or_else(SubscriptionSettings::initial, |Json(settings)| settings))
}

/// Replaces them.
pub async fn set_subscription(tx: &mut Tx, settings: &SubscriptionSettings) -> Result<(), StoreError> {
    run!(tx, SET_SUBSCRIPTION, |sql, c| query(sql).bind(Json(settings)).execute(c).await.map(drop))
}
