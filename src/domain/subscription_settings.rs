//! What an operator sets about subscriptions: one row, shown and stored as one document.

use serde::{Deserialize, Serialize};

/// The settings of all subscriptions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubscriptionSettings {
    /// Browsers get the web page instead of a configuration.
    pub template_on_acceptance: bool,
    /// What apps call the subscription.
    pub profile_title: String,
    /// Where apps send people for help.
    pub support_link: String,
    /// Hours between the apps' fetches.
    pub update_interval: i64,
    /// Which program gets which format: the first rule that matches.
    pub rules: Vec<SubscriptionRule>,
    /// A new random order for each fetch.
    #[serde(default)]
    pub shuffle_configs: bool,
    /// Users that are not active get one entry that says so.
    #[serde(default = "yes")]
    pub placeholder_if_disabled: bool,
    /// A template: that entry's name.
    #[serde(default = "placeholder_remark")]
    pub placeholder_remark: String,
}

/// Programs whose User-Agent matches get this.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubscriptionRule {
    /// A regular expression, matched from the start of the User-Agent.
    pub pattern: String,
    /// What they get.
    pub result: RuleResult,
}

/// What a program can be given.
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
    /// Nothing: as if there were no such subscription.
    Block,
}

impl SubscriptionSettings {
    /// What a new panel starts with.
    pub fn initial() -> Self {
        // The colon of `(:?` stands where a question mark was meant; both match what they should.
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
    /// All, in the API's order.
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

    /// The word of the API and the database.
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

    /// From the word.
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
    fn words_and_documents_agree() {
        for result in RuleResult::ALL {
            assert_eq!(serde_json::to_value(result).unwrap(), result.word());
            assert_eq!(RuleResult::from_word(result.word()), Some(result));
        }
    }

    #[test]
    fn an_old_row_without_the_newer_keys_reads_with_their_defaults() {
        let text = r#"{"template_on_acceptance": false, "profile_title": "a", "support_link": "b",
                       "update_interval": 1, "rules": [{"pattern": ".*", "result": "block"}]}"#;
        let read: SubscriptionSettings = serde_json::from_str(text).unwrap();
        assert!(!read.shuffle_configs && read.placeholder_if_disabled);
        assert_eq!(read.placeholder_remark, "disabled");
        assert_eq!(read.rules[0].result, RuleResult::Block);
    }
}
