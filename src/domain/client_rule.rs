//! A client rule: which answer clients with a certain User-Agent get.

use serde::{Deserialize, Serialize};

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
}
