//! Diagnosis of a user: everything that stands in the way of the user's connection, with codes for programs and texts for
//! people.

mod account;
mod facts;
mod fetch;
mod finding;
mod hosts;
mod nodes;

pub use facts::{AbsentInbound, AppFacts, Facts, HostFacts, NodeFacts, ServiceFacts, UsedUpQuota};
pub use finding::{Code, Details, Finding, ObjectKind, ObjectRef, Severity};

use super::moment::Moment;

/// Most findings of a diagnosis: a panel with thousands of hosts has one reason for most of them.
pub const MOST_FINDINGS: usize = 200;

/// The result of a diagnosis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnosis {
    /// True if no finding is an error.
    pub works: bool,
    /// Errors first, then warnings; within a severity in the order in which to look at them.
    pub findings: Vec<Finding>,
    /// Number of further findings, beyond [`MOST_FINDINGS`].
    pub left_off: usize,
}

/// Derives the findings from the facts about a user.
pub fn diagnose(facts: &Facts<'_>, now: Moment) -> Diagnosis {
    let mut findings = account::findings(facts, now);
    findings.extend(nodes::findings(facts));
    findings.extend(hosts::findings(facts));
    findings.extend(fetch::findings(facts));
    // Stable: the order of the rules holds within a severity.
    findings.sort_by_key(|finding| finding.severity);
    let works = findings.first().is_none_or(|worst| worst.severity != Severity::Error);
    let left_off = findings.len().saturating_sub(MOST_FINDINGS);
    findings.truncate(MOST_FINDINGS);
    Diagnosis { works, findings, left_off }
}

#[cfg(test)]
mod tests {
    use super::facts::sample::{NOW, codes, host, nothing_wrong};
    use super::*;
    use crate::domain::user::User;

    #[test]
    fn user_with_nothing_in_the_way_has_only_the_last_fetch() {
        let found = diagnose(&nothing_wrong(), NOW);
        assert_eq!(codes(&found.findings), [Code::LastFetch]);
        assert!(found.works);
    }

    #[test]
    fn errors_come_first_and_further_findings_are_counted() {
        let facts = nothing_wrong();
        let user = User { enabled: false, ..facts.user.clone() };
        let hosts = (0..300).map(|id| host(id, Some("no port"))).collect();
        let found = diagnose(&Facts { user: &user, hosts, ..facts }, NOW);
        assert!(!found.works);
        assert_eq!((found.findings.len(), found.left_off), (MOST_FINDINGS, 103));
        assert_eq!(codes(&found.findings[..2]), [Code::UserDisabled, Code::NoHostForApp]);
    }

    #[test]
    fn codes_are_unique_words_that_the_documentation_lists() {
        let mut words: Vec<&str> = Code::ALL.iter().map(|code| code.word()).collect();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), Code::ALL.len());
        assert!(words.iter().all(|word| word.chars().all(|sign| sign.is_ascii_lowercase() || sign == '_')));
        let documentation = include_str!("../../../docs/diagnosis.md");
        for word in words {
            assert!(documentation.contains(&format!("| `{word}` | ")), "{word}");
        }
    }
}
