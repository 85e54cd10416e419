//! Converts the tables with one row: settings, secret for tokens, certificate of the panel.

use serde_json::Value;

use super::reader::RowReader;
use crate::domain::client_rule::{RuleResult, SubscriptionRule};
use crate::domain::subscription_settings::SubscriptionSettings;
use crate::domain::telegram_settings::TelegramSettings;
use crate::nodes::PanelIdentity;
use crate::store::import::tables::{JwtRow, SettingsRow, TlsRow};
use crate::subscription::client_rules;
use crate::subscription::python_patterns::from_python;
use crate::subscription::rule_offer::offer;

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
    if let Some(rules) = subscription.get_mut("rules").and_then(Value::as_array_mut) {
        translate(row, rules);
    }
    let Ok(settings) = serde_json::from_value::<SubscriptionSettings>(subscription.clone()) else {
        return row.leave_out("invalid subscription settings: the panel starts with its defaults");
    };
    if settings.rules.len() > client_rules::MAX_RULES {
        row.changed(format!(
            "more than {0} subscription rules: copied, and those after the first {0} match no client",
            client_rules::MAX_RULES
        ));
    }
    let differing: Vec<&str> = offer(&settings.rules).changes.iter().map(|change| change.program).collect();
    if !differing.is_empty() {
        row.advise(format!(
            "the subscription rules are copied as they are; {} known programs get something else than today's rules would \
             give them: {}; see `sarban subscription rules`, and take today's with --take-defaults or in the dashboard",
            differing.len(),
            differing.join(", ")
        ));
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

/// Translates the patterns, which are Python's, and names the rules that can't match here.
fn translate(row: &mut RowReader<'_>, rules: &mut [Value]) {
    for (index, rule) in rules.iter_mut().enumerate() {
        let Ok(SubscriptionRule { pattern, result }) = serde_json::from_value(rule.clone()) else { continue };
        let number = index + 1;
        let translated = from_python(&pattern);
        let written = translated.clone().unwrap_or_else(|_| pattern.clone());
        let works = client_rules::check(&[SubscriptionRule { pattern: written.clone(), result }]).is_ok();
        let why = translated.err().map(|error| format!(": {error}")).unwrap_or_default();
        if !works {
            row.changed(format!(
                "rule {number}: the pattern `{pattern}` can't be used by this panel{why}: copied, and it matches no client"
            ));
        } else if written != pattern {
            row.changed(format!(
                "rule {number}: the pattern `{pattern}` is written `{written}`, which matches the same"
            ));
            rule["pattern"] = Value::from(written);
        }
    }
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
    let (key, certificate) = (row.text("key").unwrap_or_default(), row.text("certificate").unwrap_or_default());
    if PanelIdentity::from_pem(&certificate, &key).is_err() {
        return row.leave_out(
            "no certificate or no key in PEM: the panel creates a new pair; install its certificate on the nodes",
        );
    }
    Some(TlsRow { id: SINGLE_ROW, key, certificate })
}
