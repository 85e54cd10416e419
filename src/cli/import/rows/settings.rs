//! Converts the tables with one row: settings, secret for tokens, certificate of the panel.

use serde_json::Value;

use super::reader::RowReader;
use crate::domain::client_rule::RuleResult;
use crate::domain::subscription_settings::SubscriptionSettings;
use crate::domain::telegram_settings::TelegramSettings;
use crate::store::import::tables::{JwtRow, SettingsRow, TlsRow};
use crate::subscription::client_rules;

/// Id of the single row of such a table.
const SINGLE_ROW: i64 = 1;

/// Converts the settings. Without valid ones, the panel starts with its defaults.
pub(in crate::cli::import) fn settings(row: &mut RowReader<'_>) -> Option<SettingsRow> {
    let Some(mut subscription) = row.json::<Value>("subscription") else {
        return row.leave_out("no subscription settings: the panel starts with its defaults");
    };
    if let Some(rules) = subscription.get_mut("rules").and_then(Value::as_array_mut) {
        let known = |rule: &Value| rule["result"].as_str().and_then(RuleResult::from_word).is_some();
        let before = rules.len();
        rules.retain(known);
        if rules.len() < before {
            row.changed("some subscription rules have an unknown result: removed");
        }
    }
    let Ok(settings) = serde_json::from_value::<SubscriptionSettings>(subscription.clone()) else {
        return row.leave_out("invalid subscription settings: the panel starts with its defaults");
    };
    if let Err(error) = client_rules::check(&settings.rules) {
        row.changed(format!("subscription rules: {error}: copied, and rules beyond the limits match no client"));
    }
    let telegram = row.json::<Value>("telegram").filter(|telegram| {
        let known = serde_json::from_value::<TelegramSettings>(telegram.clone()).is_ok();
        if !known {
            row.changed("invalid telegram settings: cleared");
        }
        known
    });
    Some(SettingsRow { id: SINGLE_ROW, subscription, telegram })
}

/// Converts the secret that signs tokens.
pub(in crate::cli::import) fn jwt(row: &mut RowReader<'_>) -> Option<JwtRow> {
    match row.text("secret_key").filter(|secret| !secret.is_empty()) {
        Some(secret_key) => Some(JwtRow { id: SINGLE_ROW, secret_key }),
        None => row.leave_out("no secret: the panel creates a new one, and all admins must sign in again"),
    }
}

/// Converts the client certificate that the panel shows to nodes.
pub(in crate::cli::import) fn tls(row: &mut RowReader<'_>) -> Option<TlsRow> {
    match (row.text("key"), row.text("certificate")) {
        (Some(key), Some(certificate)) => Some(TlsRow { id: SINGLE_ROW, key, certificate }),
        _ => row
            .leave_out("no certificate or no key: the panel creates a new pair; install its certificate on the nodes"),
    }
}
