//! Reasons to leave an entry out, with the versions of the client's core for which they hold.

use std::sync::OnceLock;

use super::client::{Age, Version};

/// Why a host is not in a document; completes the sentence "host 7 is left out: …".
pub type Reason = &'static str;

/// The number of formats.
pub(super) const FORMATS: usize = 7;

/// The reasons to leave a host out of each format, once one of its entries has been judged.
pub(super) type Judged = [OnceLock<Vec<Refusal>>; FORMATS];

/// A reason to leave an entry out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub versions: Versions,
    pub reason: Reason,
}

/// The versions of a core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Versions {
    /// All, and programs without this core.
    Any,
    /// All, in programs that are known to have this core.
    Known,
    /// Those that are certainly this one or later.
    From(Version),
    /// Those that are certainly older.
    Before(Version),
    /// All but those that are certainly this one or later.
    NotFrom(Version),
}

impl Versions {
    fn contain(self, age: Age) -> bool {
        match self {
            Self::Any => true,
            Self::Known => !matches!(age, Age::Unknown),
            Self::From(version) => age.is_known_from(version),
            Self::Before(version) => age.is_known_before(version),
            Self::NotFrom(version) => !age.is_known_from(version),
        }
    }
}

/// The reasons of this list that hold.
pub(super) fn holding<const N: usize>(checks: [(bool, Versions, Reason); N]) -> Vec<Refusal> {
    checks.into_iter().filter(|(holds, ..)| *holds).map(|(_, versions, reason)| Refusal { versions, reason }).collect()
}

/// The first reason that holds for a core of this age.
pub(super) fn first(refusals: &[Refusal], age: Age) -> Option<Reason> {
    refusals.iter().find(|refusal| refusal.versions.contain(age)).map(|refusal| refusal.reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_reason_that_holds_for_the_version_counts() {
        let version = Version(1, 12, 0);
        let of = |versions| {
            let list = holding([(false, Versions::Any, "no"), (true, versions, "yes")]);
            let ages = [Age::Unknown, Age::Current, Age::Of(Version(1, 11, 9)), Age::Of(version)];
            ages.map(|age| first(&list, age).is_some())
        };
        assert_eq!(of(Versions::Any), [true, true, true, true]);
        assert_eq!(of(Versions::Known), [false, true, true, true]);
        assert_eq!(of(Versions::From(version)), [false, false, false, true]);
        assert_eq!(of(Versions::Before(version)), [false, false, true, false]);
        assert_eq!(of(Versions::NotFrom(version)), [true, true, true, false]);
    }
}
