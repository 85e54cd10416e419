//! The operator's settings for subscriptions: one document in the API and the database.

use serde::{Deserialize, Serialize};

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

/// The result for clients whose User-Agent matches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubscriptionRule {
    /// A regular expression, matched from the start of the User-Agent.
    pub pattern: String,
    /// The answer to these clients.
    pub result: RuleResult,
}

/// The answer to a client: a format, a template or nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RuleResult {
    /// Share links.
    Links,
    /// Share links in base64.
    Base64Links,
    /// Xray's JSON.
    Xray,
    /// sing-box's JSON.
    SingBox,
    /// Clash's YAML.
    Clash,
    /// Mihomo's YAML.
    ClashMeta,
    /// The web page.
    Template,
    /// Nothing, as if the subscription did not exist.
    Block,
}

impl SubscriptionSettings {
    /// The settings of a new panel.
    pub fn initial() -> Self {
        // `(:?` should have been `(?:`, but matches the same clients. Existing panels store this pattern.
        let rules = [
            ("^([Cc]lash-verge|[Cc]lash-?[Mm]eta)", RuleResult::ClashMeta),
            ("^([Cc]lash|[Ss]tash)", RuleResult::Clash),
            ("^(SFA|SFI|SFM|SFT|[Kk]aring|[Hh]iddify[Nn]ext)", RuleResult::SingBox),
            (r"^v2rayN/(:?6\.(?:[5-9]\d+|4[1-9])|[7-9]\d*\.\d+)", RuleResult::Xray),
            ("^v2rayN/", RuleResult::Base64Links),
            (r"^v2rayNG/([2-9]|1\.(9|\d{2,})|1\.8\.(1[7-9]|[2-9]\d|\d{3,}))", RuleResult::Xray),
            ("^v2rayNG/", RuleResult::Base64Links),
            ("^[Ss]treisand", RuleResult::Xray),
            (".*", RuleResult::Base64Links),
        ];
        Self {
            template_on_acceptance: true,
            profile_title: "Support".to_owned(),
            support_link: "t.me/support".to_owned(),
            update_interval: 12,
            rules: rules
                .into_iter()
                .map(|(pattern, result)| SubscriptionRule { pattern: pattern.to_owned(), result })
                .collect(),
            shuffle_configs: false,
            placeholder_if_disabled: yes(),
            placeholder_remark: placeholder_remark(),
        }
    }
}

impl RuleResult {
    /// All values, in the API's order.
    pub const ALL: [Self; 8] = [
        Self::Links,
        Self::Base64Links,
        Self::Xray,
        Self::SingBox,
        Self::Clash,
        Self::ClashMeta,
        Self::Template,
        Self::Block,
    ];

    /// The text form in the API and the database.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Links => "links",
            Self::Base64Links => "base64-links",
            Self::Xray => "xray",
            Self::SingBox => "sing-box",
            Self::Clash => "clash",
            Self::ClashMeta => "clash-meta",
            Self::Template => "template",
            Self::Block => "block",
        }
    }

    /// Reads the text form.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|result| result.word() == word)
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

    #[test]
    fn text_forms_match_serde() {
        for result in RuleResult::ALL {
            assert_eq!(serde_json::to_value(result).unwrap(), result.word());
            assert_eq!(RuleResult::from_word(result.word()), Some(result));
        }
    }

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
