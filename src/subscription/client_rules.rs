//! Client rules: which User-Agent gets which format.

use fancy_regex::{Regex, RegexBuilder};

use crate::domain::client_rule::{RuleResult, SubscriptionRule};

/// Rules with compiled patterns.
#[derive(Clone, Debug)]
pub struct ClientRules(Vec<(Regex, RuleResult)>);

/// A pattern is not a regular expression.
#[derive(Debug, thiserror::Error)]
#[error("the pattern is not a valid regular expression")]
pub struct PatternError(#[source] Box<fancy_regex::Error>);

impl ClientRules {
    /// Compiles the rules. A pattern that does not compile matches nothing: older versions stored patterns unchecked.
    pub fn new(rules: &[SubscriptionRule]) -> Self {
        Self(rules.iter().filter_map(|rule| Some((compile(&rule.pattern).ok()?, rule.result))).collect())
    }

    /// The result of the first rule that matches from the start of the User-Agent.
    pub fn result(&self, user_agent: &str) -> Option<RuleResult> {
        let user_agent = &user_agent[..user_agent.floor_char_boundary(MAX_USER_AGENT)];
        self.0.iter().find(|(pattern, _)| matches_start(pattern, user_agent)).map(|(_, result)| *result)
    }
}

/// Refuses a pattern that does not compile.
pub fn check_pattern(pattern: &str) -> Result<(), PatternError> {
    compile(pattern).map(drop)
}

/// Backtracking steps of one match, which take milliseconds at most. Patterns for client names need a few.
const BACKTRACK_LIMIT: usize = 20_000;
/// Bytes of a compiled pattern, at most.
const SIZE_LIMIT: usize = 1 << 20;
/// Bytes of a User-Agent that are matched; the rest is ignored.
const MAX_USER_AGENT: usize = 1_024;

fn compile(pattern: &str) -> Result<Regex, PatternError> {
    let mut builder = RegexBuilder::new(pattern);
    builder.backtrack_limit(BACKTRACK_LIMIT).delegate_size_limit(SIZE_LIMIT).delegate_dfa_size_limit(SIZE_LIMIT);
    builder.build().map_err(|error| PatternError(Box::new(error)))
}

/// `find` returns the leftmost match, which begins at the start if any match does. A pattern that exceeds the
/// backtracking limit matches nothing.
fn matches_start(pattern: &Regex, text: &str) -> bool {
    matches!(pattern.find(text), Ok(Some(found)) if found.start() == 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::subscription_settings::SubscriptionSettings;

    fn rules(patterns: &[&str]) -> ClientRules {
        let rule = |pattern: &&str| SubscriptionRule { pattern: (*pattern).to_owned(), result: RuleResult::Links };
        ClientRules::new(&patterns.iter().map(rule).collect::<Vec<_>>())
    }

    #[test]
    fn initial_rules_select_the_format_of_each_client() {
        let rules = ClientRules::new(&SubscriptionSettings::initial().rules);
        for (user_agent, result) in [
            ("clash-verge/v1.5.1", RuleResult::ClashMeta),
            ("ClashMeta/1.2", RuleResult::ClashMeta),
            ("clash.meta/v1.19.10", RuleResult::ClashMeta),
            ("mihomo/1.19.10", RuleResult::ClashMeta),
            ("mihomo.party/v1.7.0 (clash.meta)", RuleResult::ClashMeta),
            ("ClashX Meta/1.4.0", RuleResult::ClashMeta),
            ("FlClash/v0.8.80", RuleResult::ClashMeta),
            ("Flowvy/0.3.3 Mihomo/1.19.27", RuleResult::ClashMeta),
            ("clash-nyanpasu/v1.6.1", RuleResult::ClashMeta),
            ("Clash Verge/2.4", RuleResult::ClashMeta),
            ("ClashMi/1.0.4", RuleResult::ClashMeta),
            ("Clash Party/1.0", RuleResult::ClashMeta),
            ("koala-clash/1.0", RuleResult::ClashMeta),
            ("Stash/3.1 Clash/1.9", RuleResult::ClashMeta),
            ("clash/1.0", RuleResult::Clash),
            ("SFA/1.8.0", RuleResult::SingBox),
            ("sing-box 1.13.2", RuleResult::SingBox),
            ("Hiddify/2.5.7", RuleResult::SingBox),
            ("hiddifyNext/2.0", RuleResult::SingBox),
            ("Karing/1.0", RuleResult::SingBox),
            ("v2rayN/6.40", RuleResult::Base64Links),
            ("v2rayN/6.41", RuleResult::Xray),
            ("v2rayN/6.9", RuleResult::Base64Links),
            ("v2rayN/7.1", RuleResult::Xray),
            ("v2rayNG/1.8.16", RuleResult::Base64Links),
            ("v2rayNG/1.8.17", RuleResult::Xray),
            ("v2rayNG/1.10.3", RuleResult::Xray),
            ("Streisand/1.6", RuleResult::Xray),
            ("Mozilla/5.0", RuleResult::Base64Links),
            ("", RuleResult::Base64Links),
        ] {
            assert_eq!(rules.result(user_agent), Some(result), "{user_agent}");
        }
    }

    #[test]
    fn pattern_matches_only_from_the_start() {
        assert!(rules(&["b"]).result("ab").is_none());
        assert!(rules(&["(?i)AB|x"]).result("abc").is_some());
        assert!(rules(&["a(?!b)"]).result("ac").is_some());
        assert!(rules(&["a(?!b)"]).result("ab").is_none());
        assert!(rules(&["(?x) a # b"]).result("a").is_some());
    }

    #[test]
    fn invalid_pattern_is_refused_and_matches_nothing() {
        assert!(check_pattern("(").is_err() && check_pattern("^a$").is_ok());
        assert!(rules(&["("]).result("(").is_none());
    }

    #[test]
    fn pattern_that_backtracks_too_long_matches_nothing() {
        let exponential = [
            r"(a+)+$(?!x)",
            r"(?=(a+)+b)(a|aa)+c",
            r"(a*)*\1c",
            r"^(?:(?:a|a)|(?:a|a))*(?<!b)c",
            "(a|b|ab)*(?=c)",
            "(.*)(.*)(.*)(.*)(.*)(?=never)",
        ];
        let long = format!("{}!", "a".repeat(1_000_000));
        for pattern in exponential {
            let rules = rules(&[pattern, "a+"]);
            for user_agent in [&long[..], &long[long.len() - 40..]] {
                assert!(rules.result(user_agent).is_some(), "the next rule matches: {pattern}");
            }
        }
        assert!(check_pattern(&"a{1000}".repeat(1_000)).is_err(), "too large");
    }
}
