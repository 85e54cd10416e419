//! The operator's settings for subscriptions: one document in the API and the database.

use serde::{Deserialize, Serialize};

use super::client_rule::SubscriptionRule;
use super::programs::default_rules;

/// The settings of all subscriptions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubscriptionSettings {
    /// Show browsers the web page instead of a configuration.
    pub template_on_acceptance: bool,
    /// The name of the subscription in apps.
    pub profile_title: String,
    /// The support link in apps.
    pub support_link: String,
    /// Hours between two fetches of an app.
    pub update_interval: i64,
    /// Client rules; the first that matches applies.
    pub rules: Vec<SubscriptionRule>,
    /// List the hosts in a new random order on each fetch.
    #[serde(default)]
    pub shuffle_configs: bool,
    /// Give users whose account does not work a single entry that says why.
    #[serde(default = "yes")]
    pub placeholder_if_disabled: bool,
    /// The name of that entry, a template.
    #[serde(default = "placeholder_remark")]
    pub placeholder_remark: String,
}

/// A change of the settings; `None` leaves a field as it is.
#[derive(Clone, Debug, Default)]
pub struct SubscriptionChange {
    /// See [`SubscriptionSettings`].
    pub template_on_acceptance: Option<bool>,
    /// See [`SubscriptionSettings`].
    pub profile_title: Option<String>,
    /// See [`SubscriptionSettings`].
    pub support_link: Option<String>,
    /// See [`SubscriptionSettings`].
    pub update_interval: Option<i64>,
    /// See [`SubscriptionSettings`].
    pub rules: Option<Vec<SubscriptionRule>>,
    /// See [`SubscriptionSettings`].
    pub shuffle_configs: Option<bool>,
    /// See [`SubscriptionSettings`].
    pub placeholder_if_disabled: Option<bool>,
    /// See [`SubscriptionSettings`].
    pub placeholder_remark: Option<String>,
}

impl SubscriptionSettings {
    /// The settings after a change.
    #[must_use]
    pub fn changed(self, change: &SubscriptionChange) -> Self {
        let change = change.clone();
        Self {
            template_on_acceptance: change.template_on_acceptance.unwrap_or(self.template_on_acceptance),
            profile_title: change.profile_title.unwrap_or(self.profile_title),
            support_link: change.support_link.unwrap_or(self.support_link),
            update_interval: change.update_interval.unwrap_or(self.update_interval),
            rules: change.rules.unwrap_or(self.rules),
            shuffle_configs: change.shuffle_configs.unwrap_or(self.shuffle_configs),
            placeholder_if_disabled: change.placeholder_if_disabled.unwrap_or(self.placeholder_if_disabled),
            placeholder_remark: change.placeholder_remark.unwrap_or(self.placeholder_remark),
        }
    }

    /// The settings of a new panel.
    pub fn initial() -> Self {
        Self {
            template_on_acceptance: true,
            profile_title: "Support".to_owned(),
            support_link: "t.me/support".to_owned(),
            update_interval: 12,
            rules: default_rules(),
            shuffle_configs: false,
            placeholder_if_disabled: yes(),
            placeholder_remark: placeholder_remark(),
        }
    }
}

const fn yes() -> bool {
    true
}

fn placeholder_remark() -> String {
    "disabled".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::client_rule::RuleResult;

    #[test]
    fn missing_newer_keys_have_defaults() {
        let text = r#"{"template_on_acceptance": false, "profile_title": "a", "support_link": "b",
                       "update_interval": 1, "rules": [{"pattern": ".*", "result": "block"}]}"#;
        let read: SubscriptionSettings = serde_json::from_str(text).unwrap();
        assert!(!read.shuffle_configs && read.placeholder_if_disabled);
        assert_eq!(read.placeholder_remark, "disabled");
        assert_eq!(read.rules[0].result, RuleResult::Block);
    }
}
