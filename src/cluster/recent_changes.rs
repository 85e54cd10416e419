//! The last changes that a process knows of, its own and those of others, in a bounded list with numbers: a reader
//! asks for those since its number, and learns whether some are missing.

use std::collections::{HashSet, VecDeque};

use crate::domain::change::Change;

/// Number of changes that are stored.
const MOST: usize = 512;

/// Where a change was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// By this process.
    Local,
    /// By another process.
    Remote,
}

/// The last changes, with consecutive numbers.
#[derive(Debug, Default)]
pub(super) struct RecentChanges {
    /// Number of the next change.
    next: u64,
    entries: VecDeque<(Origin, Change)>,
}

/// Changes since a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Since {
    /// Each change once, oldest first.
    pub changes: Vec<Change>,
    /// False if changes in between are not known any more, or the number is not one of this list.
    pub is_complete: bool,
    /// The number to ask with next.
    pub next: u64,
}

impl RecentChanges {
    /// Number of the next change.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// Adds a change.
    pub(super) fn push(&mut self, origin: Origin, change: Change) {
        if self.entries.len() == MOST {
            self.entries.pop_front();
        }
        self.entries.push_back((origin, change));
        self.next += 1;
    }

    /// A copy of the changes with that number and later ones.
    pub(super) fn tail(&self, number: u64) -> Self {
        let first = self.next - self.entries.len() as u64;
        let skipped = usize::try_from(number.saturating_sub(first)).unwrap_or(usize::MAX);
        Self { next: self.next, entries: self.entries.iter().skip(skipped).copied().collect() }
    }

    /// Returns the changes with that number and later ones that `wanted` accepts.
    pub(super) fn since(&self, number: u64, wanted: impl Fn(Origin) -> bool) -> Since {
        let first = self.next - self.entries.len() as u64;
        let skipped = usize::try_from(number.saturating_sub(first)).unwrap_or(usize::MAX);
        let mut seen = HashSet::new();
        let entries =
            self.entries.iter().skip(skipped).filter(|(origin, _)| wanted(*origin)).map(|(_, change)| *change);
        let changes = entries.filter(|change| seen.insert(*change)).collect();
        Since { changes, is_complete: (first..=self.next).contains(&number), next: self.next }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::change::Changed;

    fn since(recent: &RecentChanges, number: u64) -> Since {
        recent.tail(number).since(number, |_| true)
    }

    #[test]
    fn changes_since_a_number_are_returned_once_each() {
        let mut recent = RecentChanges::default();
        assert_eq!(since(&recent, 0), Since { changes: vec![], is_complete: true, next: 0 });
        let (ann, ben) = (Changed::Users.row(1), Changed::Users.row(2));
        for change in [ann, ben, ann] {
            recent.push(Origin::Local, change);
        }
        recent.push(Origin::Remote, Changed::Hosts.any());
        let all = vec![ann, ben, Changed::Hosts.any()];
        assert_eq!(since(&recent, 0), Since { changes: all, is_complete: true, next: 4 });
        assert_eq!(since(&recent, 3).changes, [Changed::Hosts.any()]);
        assert_eq!(recent.since(0, |origin| origin == Origin::Local).changes, [ann, ben]);
        assert_eq!(since(&recent, 4), Since { changes: vec![], is_complete: true, next: 4 });
        assert!(!since(&recent, 5).is_complete, "a number of another process");
    }

    #[test]
    fn list_is_bounded_and_says_when_changes_are_missing() {
        let mut recent = RecentChanges::default();
        for id in 0..=MOST as i64 {
            recent.push(Origin::Local, Changed::Users.row(id));
        }
        assert!(!since(&recent, 0).is_complete);
        let known = since(&recent, 1);
        assert!(known.is_complete);
        assert_eq!((known.changes.len(), known.changes[0]), (MOST, Changed::Users.row(1)));
    }
}
