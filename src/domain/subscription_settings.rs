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

impl SubscriptionSettings {
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
