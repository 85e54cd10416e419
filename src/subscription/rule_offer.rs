//! The offer of today's client rules to an installation that has others: which programs would get another answer, and
//! the rules that they would be.

use crate::domain::client_rule::{RuleResult, SubscriptionRule};
use crate::domain::programs::{PROGRAMS, Program, rules_of_programs};

use super::client_rules::{ClientRules, CompiledRule};
use super::pattern_examples::examples;

/// Today's rules for an installation that has others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleOffer {
    /// The programs that would get another answer, one sample of a User-Agent each. Empty: there is nothing to offer.
    pub changes: Vec<Change>,
    /// The rules after the change: the operator's own rules for clients that are no known program and that no rule before
    /// them is for, then one rule for each run of known programs that read the same, then the operator's other rules.
    pub rules: Vec<SubscriptionRule>,
}

/// A program that would get another answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// The name that users know.
    pub program: &'static str,
    /// A User-Agent that the program sends.
    pub user_agent: &'static str,
    /// The present answer; `None`: no rule matches, which is answered like [`RuleResult::Block`].
    pub now: Option<RuleResult>,
    /// The answer after the change.
    pub then: RuleResult,
}

/// Patterns of rules that panels had from their first start, old ones and earlier versions of this one. They match no client
/// but known programs.
const FORMER_PATTERNS: [&str; 8] = [
    "^([Cc]lash-verge|[Cc]lash-?[Mm]eta)",
    "^([Cc]lash|[Ss]tash)",
    "^(SFA|SFI|SFM|SFT|[Kk]aring|[Hh]iddify[Nn]ext)",
    r"^v2rayN/(:?6\.(?:[5-9]\d+|4[1-9])|[7-9]\d*\.\d+)",
    "^v2rayN/",
    r"^v2rayNG/([2-9]|1\.(9|\d{2,})|1\.8\.(1[7-9]|[2-9]\d|\d{3,}))",
    "^v2rayNG/",
    "^[Ss]treisand",
];

/// User-Agents of no program. A rule that matches both is one for all clients that no rule before it is for.
const NOBODY: [&str; 2] = ["~0", "Zz 1"];

/// Compares these rules with today's, by what known programs get. Compiles the rules: to be called on a thread for blocking
/// work.
///
/// Clients that are no known program get the same as before. So do programs that a rule of their own blocks or sends to
/// the web page, because that is a decision and not the age of a rule. Rules that can't match are left out.
pub fn offer(stored: &[SubscriptionRule]) -> RuleOffer {
    let compiled = ClientRules::new(stored);
    let table = rules_of_programs(|program| decided(program, &compiled).unwrap_or(program.reads));
    let for_everybody = compiled.all().iter().position(is_for_everybody).unwrap_or(usize::MAX);
    let (mut front, mut behind) = (Vec::new(), Vec::new());
    // The rules so far that will not be in front.
    let mut before: Vec<Clients> = Vec::new();
    for (position, rule) in compiled.all().iter().enumerate() {
        let text = &stored[rule.index];
        let clients = Clients { rule, examples: examples(&text.pattern) };
        if FORMER_PATTERNS.contains(&text.pattern.as_str()) || table.iter().any(|new| new.pattern == text.pattern) {
            before.push(clients);
            continue;
        }
        let is_in_front = position < for_everybody
            && !samples().any(|(_, user_agent)| rule.matches(user_agent))
            && !before.iter().any(|before| before.may_share(&clients));
        if is_in_front {
            front.push(text.clone());
        } else {
            behind.push(text.clone());
            before.push(clients);
        }
    }
    let rules = [front, table, behind].concat();
    RuleOffer { changes: changes(&compiled, &ClientRules::new(&rules)), rules }
}

/// The clients that a rule is for.
struct Clients<'a> {
    rule: &'a CompiledRule,
    /// Texts that it matches; none: not known.
    examples: Option<Vec<String>>,
}

impl Clients<'_> {
    /// True unless the examples of the two rules, as far as they are known, say that they are for different clients.
    fn may_share(&self, other: &Self) -> bool {
        let matches = |rule: &CompiledRule, examples: &Option<Vec<String>>| {
            examples.as_ref().map(|examples| examples.iter().any(|example| rule.matches(example)))
        };
        let found = [matches(self.rule, &other.examples), matches(other.rule, &self.examples)];
        found.contains(&Some(true)) || found == [None, None]
    }
}

fn changes(now: &ClientRules, then: &ClientRules) -> Vec<Change> {
    let change = |program: &'static Program| {
        program.user_agents.iter().find_map(|user_agent| {
            let (now, then) = (now.result(user_agent), then.result(user_agent)?);
            (now != Some(then)).then_some(Change { program: program.name, user_agent, now, then })
        })
    };
    PROGRAMS.iter().filter_map(change).collect()
}

/// The answer that the operator has decided on for a program: a rule that is not for everybody blocks it, or sends it to
/// the web page.
fn decided(program: &Program, rules: &ClientRules) -> Option<RuleResult> {
    let results = program.user_agents.iter().map(|user_agent| {
        let rule = rules.first(user_agent).filter(|rule| !is_for_everybody(rule))?;
        Some(rule.result).filter(|result| matches!(result, RuleResult::Block | RuleResult::Template))
    });
    let results: Vec<Option<RuleResult>> = results.collect();
    results.iter().all(|result| *result == results[0]).then_some(results[0]).flatten()
}

fn is_for_everybody(rule: &CompiledRule) -> bool {
    NOBODY.iter().all(|user_agent| rule.matches(user_agent))
}

fn samples() -> impl Iterator<Item = (&'static Program, &'static str)> {
    PROGRAMS.iter().flat_map(|program| program.user_agents.iter().map(move |user_agent| (program, *user_agent)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::programs::default_rules;

    fn rule(pattern: &str, result: RuleResult) -> SubscriptionRule {
        SubscriptionRule { pattern: pattern.to_owned(), result }
    }

    /// The rules that old panels had from their first start.
    fn former_rules() -> Vec<SubscriptionRule> {
        use RuleResult::{Base64Links, Clash, ClashMeta, SingBox, Xray};
        let results = [ClashMeta, Clash, SingBox, Xray, Base64Links, Xray, Base64Links, Xray];
        let mut rules: Vec<_> =
            FORMER_PATTERNS.iter().zip(results).map(|(pattern, result)| rule(pattern, result)).collect();
        rules.push(rule(".*", Base64Links));
        rules
    }

    fn result(rules: &[SubscriptionRule], user_agent: &str) -> Option<RuleResult> {
        ClientRules::new(rules).result(user_agent)
    }

    #[test]
    fn rules_of_today_are_offered_nothing() {
        assert_eq!(offer(&default_rules()), RuleOffer { changes: Vec::new(), rules: default_rules() });
    }

    #[test]
    fn former_rules_are_replaced_by_those_of_today_and_the_programs_are_named() {
        let offer = offer(&former_rules());
        assert_eq!(offer.rules, default_rules());
        let change = |name: &str| offer.changes.iter().find(|change| change.program == name).copied();
        let mihomo = change("Mihomo").expect("base64 so far");
        assert_eq!((mihomo.now, mihomo.then), (Some(RuleResult::Base64Links), RuleResult::ClashMeta));
        // Its proxies would be those of the original Clash: fewer, and an empty list would leave it unprotected.
        let party = change("Clash Party").expect("taken for Clash so far");
        assert_eq!((party.now, party.then), (Some(RuleResult::Clash), RuleResult::ClashMeta));
        assert_eq!(change("Hiddify").map(|change| change.user_agent), Some("Hiddify/2.5.7"), "the sample that differs");
        assert_eq!(change("v2rayNG"), None, "it gets what it reads");
    }

    #[test]
    fn former_patterns_match_no_client_but_those_that_today_s_rules_know() {
        let known = rules_of_programs(|program| program.reads);
        for user_agent in [
            "clash-verge",
            "Clash-verge",
            "clashmeta",
            "clash-meta",
            "ClashMeta",
            "clash",
            "Clash",
            "stash",
            "Stash",
            "SFA",
            "SFI",
            "SFM",
            "SFT",
            "karing",
            "Karing",
            "hiddifynext",
            "HiddifyNext",
            "v2rayN/6.50",
            "v2rayN/:6.50",
            "v2rayN/7.1",
            "v2rayNG/2",
            "v2rayNG/1.10",
            "v2rayNG/1.8.17",
            "streisand",
            "Streisand",
        ] {
            assert!(result(&former_rules()[..8], user_agent).is_some(), "{user_agent}");
            assert!(result(&known, user_agent).is_some(), "{user_agent}");
        }
    }

    #[test]
    fn own_rules_for_other_clients_stay_in_force() {
        let mut stored = former_rules();
        stored.insert(0, rule("^Happ", RuleResult::Xray));
        stored.insert(5, rule("^(?:Shadowrocket|v2rayNG/0)", RuleResult::Links));
        // Known programs and others in one rule: the others keep it.
        stored.insert(1, rule("^(?:clash|MyApp)", RuleResult::ClashMeta));
        *stored.last_mut().expect("rules") = rule(".*", RuleResult::Links);
        // It never matched.
        stored.push(rule("^Later", RuleResult::SingBox));
        let offer = offer(&stored);
        let patterns: Vec<&str> = offer.rules.iter().map(|rule| rule.pattern.as_str()).collect();
        assert_eq!(patterns[..2], ["^Happ", "^(?:Shadowrocket|v2rayNG/0)"]);
        assert_eq!(patterns[patterns.len() - 3..], ["^(?:clash|MyApp)", ".*", "^Later"]);
        for user_agent in ["Happ/3.4", "Shadowrocket/1", "v2rayNG/0.9", "MyApp/1", "Later/1", "Mozilla/5.0", ""] {
            assert_eq!(result(&offer.rules, user_agent), result(&stored, user_agent), "{user_agent}");
        }
        for (program, user_agent) in samples() {
            assert_eq!(result(&offer.rules, user_agent), Some(program.reads), "{user_agent}");
        }
        assert_eq!(super::offer(&offer.rules), RuleOffer { changes: Vec::new(), rules: offer.rules }, "once is enough");
    }

    #[test]
    fn own_rules_do_not_overtake_rules_that_were_before_them() {
        let stored = [
            rule("^(?:clash|MyApp)", RuleResult::ClashMeta),
            rule("^My", RuleResult::Links),
            rule("^[Cc]lash", RuleResult::Clash),
            rule("^(?i)CLASHY", RuleResult::Xray),
            rule("^Other(?=/)", RuleResult::Xray),
        ];
        let offer = offer(&stored);
        for user_agent in ["MyApp/1", "MyOther/1", "Other/1", "Nobody/1"] {
            assert_eq!(result(&offer.rules, user_agent), result(&stored, user_agent), "{user_agent}");
        }
        // It was for nobody: `^[Cc]lash` is before it.
        assert_ne!(result(&offer.rules, "ClashY/1"), Some(RuleResult::Xray));
    }

    #[test]
    fn blocked_programs_stay_blocked_unless_a_rule_for_everybody_blocks_them() {
        let stored = [
            rule("^[Cc]lash-verge", RuleResult::ClashMeta),
            rule("^[Cc]lash", RuleResult::Block),
            rule("^Karing", RuleResult::Template),
            rule("^(?!Streisand)", RuleResult::Block),
        ];
        let offer = offer(&stored);
        for (user_agent, expected) in [
            ("clash-verge/v2.4.2", RuleResult::ClashMeta),
            ("ClashforWindows/0.20.39", RuleResult::Block),
            ("clash.meta/v1.19.10", RuleResult::Block),
            ("Karing/1.0.25", RuleResult::Template),
            ("FlClash/v0.8.80", RuleResult::ClashMeta),
            ("Streisand/1.6", RuleResult::Xray),
            ("Happ/3.4", RuleResult::Block),
        ] {
            assert_eq!(result(&offer.rules, user_agent), Some(expected), "{user_agent}");
        }
        let change = |name: &str| offer.changes.iter().find(|change| change.program == name).map(|change| change.now);
        assert_eq!(change("Clash"), None);
        assert_eq!(change("FlClash"), Some(Some(RuleResult::Block)));
        assert_eq!(change("Streisand"), Some(None), "no rule was for it");
    }

    #[test]
    fn rules_that_match_nothing_are_left_out_and_no_rules_get_those_of_programs() {
        assert_eq!(offer(&[]).rules, default_rules()[..5]);
        assert_eq!(offer(&[]).changes.len(), PROGRAMS.len());
        let stored = [rule("(", RuleResult::Xray), rule("^Happ", RuleResult::Links)];
        assert_eq!(offer(&stored).rules[0], stored[1]);
    }
}
