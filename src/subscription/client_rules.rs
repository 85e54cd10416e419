//! Client rules: which User-Agent gets which format.

use fancy_regex::{Expr, Regex, RegexBuilder};

use crate::domain::client_rule::{RuleResult, SubscriptionRule};

/// Rules with compiled patterns.
#[derive(Clone, Debug)]
pub struct ClientRules(Vec<CompiledRule>);

/// One rule with its compiled pattern.
#[derive(Clone, Debug)]
pub struct CompiledRule {
    /// The index of the rule among all rules of the settings.
    pub index: usize,
    /// The answer to clients that match.
    pub result: RuleResult,
    pattern: Regex,
}

/// Why rules can't be used; completes the sentence "the rules …".
#[derive(Debug, thiserror::Error)]
pub enum RulesError {
    /// There are too many.
    #[error("must have at most {MAX_RULES} elements")]
    TooMany,
    /// A pattern, by the position of its rule from 1, is too long.
    #[error("rule {0}: must have at most {MAX_PATTERN} bytes")]
    TooLong(usize),
    /// A pattern, by the position of its rule from 1, has look-arounds or atomic groups within each other.
    #[error("rule {0}: must not have a look-around or an atomic group inside another one")]
    Nested(usize),
    /// A pattern, by the position of its rule from 1, does not compile, or only to too large a program.
    #[error("rule {0}: must be a valid regular expression")]
    Pattern(usize, #[source] Box<fancy_regex::Error>),
}

impl ClientRules {
    /// Compiles the rules, which takes a worker's time: to be called on a thread for blocking work. Rules beyond the
    /// limits, and patterns that do not compile, match nothing: older versions stored them unchecked.
    pub fn new(rules: &[SubscriptionRule]) -> Self {
        let compiled = |(index, rule): (usize, &SubscriptionRule)| {
            Some(CompiledRule { index, result: rule.result, pattern: compile(index, rule).ok()? })
        };
        Self(rules.iter().take(MAX_RULES).enumerate().filter_map(compiled).collect())
    }

    /// The result of the first rule that matches from the start of the User-Agent.
    pub fn result(&self, user_agent: &str) -> Option<RuleResult> {
        self.first(user_agent).map(|rule| rule.result)
    }

    /// The first rule that matches from the start of the User-Agent.
    pub fn first(&self, user_agent: &str) -> Option<&CompiledRule> {
        self.0.iter().find(|rule| rule.matches(user_agent))
    }

    /// The rules that can match, in order.
    pub fn all(&self) -> &[CompiledRule] {
        &self.0
    }
}

impl CompiledRule {
    /// True if the pattern matches from the start of the User-Agent. A pattern that exceeds the backtracking limit matches
    /// nothing.
    pub fn matches(&self, user_agent: &str) -> bool {
        let user_agent = &user_agent[..user_agent.floor_char_boundary(MAX_USER_AGENT)];
        // The pattern is anchored, and `\K` may move the beginning of a match.
        matches!(self.pattern.find(user_agent), Ok(Some(found)) if found.start() == 0)
    }
}

/// Refuses rules that [`ClientRules::new`] would ignore. As expensive as it.
pub fn check(rules: &[SubscriptionRule]) -> Result<(), RulesError> {
    if rules.len() > MAX_RULES {
        return Err(RulesError::TooMany);
    }
    rules.iter().enumerate().try_for_each(|(index, rule)| compile(index, rule).map(drop))
}

/// Rules, at most. Operators have a dozen.
pub const MAX_RULES: usize = 100;
/// Bytes of a pattern, at most.
pub(super) const MAX_PATTERN: usize = 1_000;
/// Backtracking steps of one match. Patterns for client names need a few steps.
const BACKTRACK_LIMIT: usize = 5_000;
/// Bytes of a compiled pattern, at most.
const SIZE_LIMIT: usize = 256 << 10;
/// Bytes of a User-Agent that are matched; the rest is ignored. Steps inside a look-around or an atomic group are not limited
/// and grow with the square of it.
pub(super) const MAX_USER_AGENT: usize = 256;

fn compile(index: usize, rule: &SubscriptionRule) -> Result<Regex, RulesError> {
    if rule.pattern.len() > MAX_PATTERN {
        return Err(RulesError::TooLong(index + 1));
    }
    let invalid = |error| RulesError::Pattern(index + 1, Box::new(error));
    let pattern = &rule.pattern;
    build(pattern).map_err(invalid)?;
    if nesting(&Expr::parse_tree(pattern).map_err(invalid)?.expr) > 1 {
        return Err(RulesError::Nested(index + 1));
    }
    // Anchored, because a search tries every start. A comment at the end of a pattern (mode `x`) ends with its line.
    build(&format!(r"\A(?:{pattern})")).or_else(|_| build(&format!("\\A(?:{pattern}\n)"))).map_err(invalid)
}

fn build(pattern: &str) -> Result<Regex, fancy_regex::Error> {
    let mut builder = RegexBuilder::new(pattern);
    builder.backtrack_limit(BACKTRACK_LIMIT).delegate_size_limit(SIZE_LIMIT).delegate_dfa_size_limit(SIZE_LIMIT);
    builder.build()
}

/// Levels of look-arounds and atomic groups within each other. With each level the steps of a match multiply by the length
/// of the text.
fn nesting(pattern: &Expr) -> usize {
    let deepest = |parts: &[Expr]| parts.iter().map(nesting).max().unwrap_or_default();
    match pattern {
        Expr::Concat(parts) | Expr::Alt(parts) => deepest(parts),
        Expr::Group(child) | Expr::Repeat { child, .. } => nesting(child),
        Expr::LookAround(child, _) | Expr::AtomicGroup(child) => 1 + nesting(child),
        Expr::Conditional { condition, true_branch, false_branch } => {
            nesting(condition).max(nesting(true_branch)).max(nesting(false_branch))
        }
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::programs::PROGRAMS;
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

    fn checked(patterns: &[&str]) -> Result<(), String> {
        let rule = |pattern: &&str| SubscriptionRule { pattern: (*pattern).to_owned(), result: RuleResult::Links };
        check(&patterns.iter().map(rule).collect::<Vec<_>>()).map_err(|error| error.to_string())
    }

    #[test]
    fn invalid_pattern_is_refused_and_matches_nothing() {
        assert_eq!(checked(&["^a$"]), Ok(()));
        assert_eq!(checked(&["a", "("]), Err("rule 2: must be a valid regular expression".to_owned()));
        assert!(rules(&["("]).result("(").is_none());
        assert_eq!(rules(&["(", "a"]).first("a").map(|rule| rule.index), Some(1), "counted among all rules");
    }

    #[test]
    fn rules_beyond_the_limits_are_refused_and_match_nothing() {
        let long = "a".repeat(MAX_PATTERN + 1);
        assert_eq!(checked(&[&long]), Err("rule 1: must have at most 1000 bytes".to_owned()));
        assert!(rules(&[&long]).result(&long).is_none());
        let mut many = vec!["b"; MAX_RULES];
        assert_eq!(checked(&many), Ok(()));
        many.push("a");
        assert_eq!(checked(&many), Err("must have at most 100 elements".to_owned()));
        assert!(rules(&many).result("a").is_none());
        assert!(checked(&[&"a{1000}".repeat(100)]).is_err(), "too large");
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the stopwatch of a test")]
    fn worst_rules_take_a_bounded_time() {
        let text = "a".repeat(MAX_USER_AGENT);
        for pattern in [
            "(.*)(.*)(.*)(.*)(.*)(?=never)",
            "(?>a*)*b",
            r"(?=(a+))\1{1,500}b",
            r"()(?:a(?=(?:a\1)*))*d",
            "(?x) a*b # end",
        ] {
            let worst = rules(&[pattern; MAX_RULES]);
            assert_eq!(worst.all().len(), MAX_RULES, "{pattern}");
            let started = std::time::Instant::now();
            assert!(worst.result(&text).is_none());
            println!("{pattern}: {:?}", started.elapsed());
            // Up to a third of a second on a quiet machine; without the limits it would take hours.
            assert!(started.elapsed() < std::time::Duration::from_secs(30), "{pattern}: {:?}", started.elapsed());
        }
    }

    #[test]
    fn look_arounds_within_each_other_are_refused() {
        for pattern in ["(?:a(?=(?:a(?=(?:a(?=))*))*))*d", "(?!a(?<=b))", "(?>a(?>b)*)*"] {
            let rule = SubscriptionRule { pattern: pattern.to_owned(), result: RuleResult::Links };
            let refused = check(&[rule]).expect_err(pattern).to_string();
            assert_eq!(
                refused, "rule 1: must not have a look-around or an atomic group inside another one",
                "{pattern}"
            );
        }
        assert_eq!(rules(&["(?=a)(?!ab)(?>a*)c", r"(?i)A(?<=a)b|X"]).all().len(), 2);
    }

    #[test]
    fn patterns_match_from_the_start_only_whatever_their_form() {
        for (pattern, user_agent, does) in [
            ("b|a", "ab", true),
            ("b", "ab", false),
            ("(?i)B|a", "bb", true),
            ("(?x) a # the client", "ab", true),
            ("(?m)^b", "a\nb", false),
            (r"a\Kb", "ab", false),
            ("", "ab", true),
        ] {
            assert_eq!(rules(&[pattern]).result(user_agent).is_some(), does, "{pattern}");
        }
    }

    #[test]
    fn default_rules_are_within_the_limits() {
        assert!(check(&SubscriptionSettings::initial().rules).is_ok());
    }

    #[test]
    fn default_rules_give_each_program_what_it_reads_best() {
        let rules = ClientRules::new(&SubscriptionSettings::initial().rules);
        for program in &PROGRAMS {
            for user_agent in program.user_agents {
                assert_eq!(rules.result(user_agent), Some(program.reads), "{user_agent}");
            }
        }
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
    }
}
