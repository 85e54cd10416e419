//! The tables of one row: settings, the secret of tokens, the panel's certificate.

use serde_json::Value;

use super::reading::Reading;
use crate::domain::subscription_settings::{RuleResult, SubscriptionSettings};
use crate::domain::telegram_settings::TelegramSettings;
use crate::store::import::tables::{JwtRow, SettingsRow, TlsRow};

/// The one row that such a table has here.
const ONLY: i64 = 1;

/// The settings. Where they can't be read, the panel starts with its own.
pub(super) fn settings(row: &mut Reading<'_>) -> Option<SettingsRow> {
    let Some(mut subscription) = row.json::<Value>("subscription") else {
        return row.left_out("there are no settings of subscriptions in it");
    };
    if let Some(rules) = subscription.get_mut("rules").and_then(Value::as_array_mut) {
        let known = |rule: &Value| rule["result"].as_str().and_then(RuleResult::from_word).is_some();
        let before = rules.len();
        rules.retain(known);
        if rules.len() < before {
            row.changed("some rules of subscriptions had an unknown result: they are gone");
        }
    }
    if serde_json::from_value::<SubscriptionSettings>(subscription.clone()).is_err() {
        return row.left_out("its settings of subscriptions are not what they should be");
    }
    let telegram = row.json::<Value>("telegram").filter(|telegram| {
        let known = serde_json::from_value::<TelegramSettings>(telegram.clone()).is_ok();
        if !known {
            row.changed("telegram was not what it should be: it is empty");
        }
        known
    });
    Some(SettingsRow { id: ONLY, subscription, telegram })
}

/// The secret that signs tokens.
pub(super) fn jwt(row: &mut Reading<'_>) -> Option<JwtRow> {
    match row.text("secret_key").filter(|secret| !secret.is_empty()) {
        Some(secret_key) => Some(JwtRow { id: ONLY, secret_key }),
        None => row.left_out("there is no secret in it: the panel makes a new one, and everybody signs in again"),
    }
}

/// What the panel shows to its nodes.
pub(super) fn tls(row: &mut Reading<'_>) -> Option<TlsRow> {
    match (row.text("key"), row.text("certificate")) {
        (Some(key), Some(certificate)) => Some(TlsRow { id: ONLY, key, certificate }),
        _ => row.left_out("a certificate needs its key: the panel makes a new one, which nodes must be given"),
    }
}
