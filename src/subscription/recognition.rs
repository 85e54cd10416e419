//! Finds out what a client gets by its User-Agent alone: which rule is for it, and which program it is.

use crate::domain::client_rule::RuleResult;
use crate::domain::programs::Program;

use super::client::{Client, Version};
use super::client_rules::ClientRules;
use super::format::Format;

/// A client's program, and the rule that is for it.
#[derive(Debug)]
pub struct Recognition {
    /// The index of the rule that is for the client; `None`: no rule matches, and the client gets nothing.
    pub rule: Option<usize>,
    /// The answer of that rule.
    pub result: Option<RuleResult>,
    /// The format of that answer; `None`: the web page, or nothing.
    pub format: Option<&'static Format>,
    /// The program, if it is a known one.
    pub program: Option<&'static Program>,
    /// The version of the program's core; `None`: the client does not tell it. That of a known program is taken for current.
    pub core_version: Option<Version>,
}

/// Applies these rules to a User-Agent.
pub fn recognize(rules: &ClientRules, user_agent: &str) -> Recognition {
    let client = Client::of(user_agent);
    let rule = rules.first(user_agent);
    let result = rule.map(|rule| rule.result);
    Recognition {
        rule: rule.map(|rule| rule.index),
        result,
        format: result.and_then(Format::from_rule_result),
        program: client.program(),
        core_version: client.core_version(),
    }
}
