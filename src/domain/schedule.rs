//! The scheduled tasks, and the arithmetic of their slots. A slot is computed from the clock, never from the slot
//! before it: so any two hosts agree on it, and a gap shifts nothing.

use super::moment::{HOUR, Moment, SECOND};

/// Everything that runs on schedule, on one process of the cluster at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Task {
    /// Collects the nodes' counters and applies them to users and nodes.
    RecordUserUsages,
    /// Deactivates users who ran out and starts on-hold users who came online.
    ReviewUsers,
    /// Sets used traffic back to zero where its period is over.
    ResetUserDataUsage,
    /// Tells whose account ends in so many days.
    ExpireDaysReached,
    /// Has nodes synced again whose last full sync is too long ago.
    SyncNodes,
    /// Rolls old usage up, and deletes what is kept for a while only.
    Prune,
}

/// When a task runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// Which task.
    pub task: Task,
    /// Microseconds between two slots; at least one second.
    pub period: i64,
}

/// How far back a slot that nobody ran gets its row in the ledger (microseconds).
pub const WINDOW: i64 = HOUR;

/// How often one slot is tried at most.
pub const MAX_ATTEMPTS: i64 = 3;

impl Task {
    /// All tasks.
    pub const ALL: [Self; 6] = [
        Self::RecordUserUsages,
        Self::ReviewUsers,
        Self::ResetUserDataUsage,
        Self::ExpireDaysReached,
        Self::SyncNodes,
        Self::Prune,
    ];

    /// The name in the ledger, in logs and in the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::RecordUserUsages => "record_user_usages",
            Self::ReviewUsers => "review_users",
            Self::ResetUserDataUsage => "reset_user_data_usage",
            Self::ExpireDaysReached => "expire_days_reached",
            Self::SyncNodes => "sync_nodes",
            Self::Prune => "prune",
        }
    }

    /// From the name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|task| task.name() == name)
    }

    /// Microseconds by which the task's slots are shifted, so that not all tasks start at once.
    pub const fn phase(self) -> i64 {
        match self {
            Self::RecordUserUsages => 0,
            Self::ReviewUsers => 5 * SECOND,
            Self::ResetUserDataUsage => 12 * SECOND,
            Self::ExpireDaysReached => 10 * SECOND,
            Self::SyncNodes => 14 * SECOND,
            Self::Prune => 17 * SECOND,
        }
    }
}

impl Schedule {
    /// The newest slot at `now`: `phase + floor((now − phase) / period) · period`.
    pub const fn slot(self, now: Moment) -> Moment {
        let since = now.micros() - self.task.phase();
        Moment::from_micros(now.micros() - since.rem_euclid(self.period))
    }

    /// The slot after the newest one.
    pub const fn next_slot(self, now: Moment) -> Moment {
        self.slot(now).plus(self.period)
    }

    /// The slots before the newest one that should have a row in the ledger: within the window, not before `since`
    /// (when the task or its period came to be), oldest first.
    pub fn older_slots(self, now: Moment, since: Moment) -> Vec<Moment> {
        let newest = self.slot(now);
        let start = now.plus(-WINDOW).max(since);
        let mut slots = Vec::new();
        let mut slot = newest.plus(-self.period);
        while slot >= start {
            slots.push(slot);
            slot = slot.plus(-self.period);
        }
        slots.reverse();
        slots
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REVIEW: Schedule = Schedule { task: Task::ReviewUsers, period: 30 * SECOND };

    const fn at(seconds: i64) -> Moment {
        Moment::from_micros(seconds * SECOND)
    }

    #[test]
    fn a_slot_lasts_until_the_next_one() {
        assert_eq!(REVIEW.slot(at(35)), at(35));
        assert_eq!(REVIEW.slot(at(64)), at(35));
        assert_eq!(REVIEW.slot(at(65)), at(65));
        assert_eq!(REVIEW.slot(at(4)), at(-25), "before the first slot's phase too");
        assert_eq!(REVIEW.next_slot(at(64)), at(65));
    }

    #[test]
    fn older_slots_reach_back_to_the_window_or_the_beginning() {
        assert_eq!(REVIEW.older_slots(at(100), at(40)), [at(65)]);
        assert_eq!(REVIEW.older_slots(at(100), at(35)), [at(35), at(65)]);
        assert_eq!(REVIEW.older_slots(at(1_000_000), at(0)).len(), 119);
        assert!(REVIEW.older_slots(at(100), at(100)).is_empty());
    }

    #[test]
    fn names_are_their_own_inverse() {
        for task in Task::ALL {
            assert_eq!(Task::from_name(task.name()), Some(task));
        }
    }
}
