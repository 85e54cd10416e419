//! The scheduled tasks and their time slots. A slot is computed from the clock, never from the previous slot, so that
//! all hosts agree on it and a pause does not shift later slots.

use super::moment::{DAY, HOUR, Moment, SECOND};

/// The scheduled tasks; the cluster's leader runs them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Task {
    /// Applies the traffic that nodes reported to users and nodes.
    RecordUserUsages,
    /// Deactivates users whose account has ended and starts on-hold users who came online.
    ReviewUsers,
    /// Begins the periods of admins' quotas, and disables and enables users by them.
    ReviewAdmins,
    /// Resets the used traffic of users whose period is over.
    ResetUserDataUsage,
    /// Notifies about accounts that expire within the configured days.
    ExpireDaysReached,
    /// Requests a full sync of nodes whose last one is too old.
    SyncNodes,
    /// Chains the new entries of the audit log.
    SealAudit,
    /// Aggregates old usage and deletes expired rows.
    Prune,
    /// Writes a back-up.
    BackUp,
}

/// The period of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// The task.
    pub task: Task,
    /// Microseconds between two slots; at least one second.
    pub period: i64,
}

/// The age up to which a missed slot still gets a row in the ledger, in microseconds.
pub const WINDOW: i64 = HOUR;

/// The most attempts for one slot.
pub const MAX_ATTEMPTS: i64 = 3;

impl Task {
    /// All tasks.
    pub const ALL: [Self; 9] = [
        Self::RecordUserUsages,
        Self::ReviewUsers,
        Self::ReviewAdmins,
        Self::ResetUserDataUsage,
        Self::ExpireDaysReached,
        Self::SyncNodes,
        Self::SealAudit,
        Self::Prune,
        Self::BackUp,
    ];

    /// The name in the ledger, in logs and in the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::RecordUserUsages => "record_user_usages",
            Self::ReviewUsers => "review_users",
            Self::ReviewAdmins => "review_admins",
            Self::ResetUserDataUsage => "reset_user_data_usage",
            Self::ExpireDaysReached => "expire_days_reached",
            Self::SyncNodes => "sync_nodes",
            Self::SealAudit => "seal_audit",
            Self::Prune => "prune",
            Self::BackUp => "back_up",
        }
    }

    /// Reads the name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|task| task.name() == name)
    }

    /// Microseconds by which the task's slots are shifted, so that not all tasks start at once.
    pub const fn phase(self) -> i64 {
        match self {
            Self::RecordUserUsages => 0,
            Self::ReviewUsers => 5 * SECOND,
            Self::ReviewAdmins => 7 * SECOND,
            Self::ResetUserDataUsage => 12 * SECOND,
            Self::ExpireDaysReached => 10 * SECOND,
            Self::SyncNodes => 14 * SECOND,
            Self::SealAudit => 20 * SECOND,
            Self::Prune => 17 * SECOND,
            // At 03:00 UTC each day, if the period is a day.
            Self::BackUp => 3 * HOUR,
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

    /// Returns true when the newest slot should run, for a task that has had this period since `since`. With a period
    /// above a day a task first runs in the next slot: operators switch a task off with a very long period.
    pub const fn newest_counts(self, now: Moment, since: Moment) -> bool {
        self.period <= DAY || self.slot(now).micros() >= since.micros()
    }

    /// The slots before the newest one that need a row in the ledger, oldest first: within the window and not before
    /// `since`, when the task or its period was introduced.
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
    fn very_long_period_switches_a_task_off() {
        let counts = |period, since| Schedule { period, ..REVIEW }.newest_counts(at(1_700_000_000), at(since));
        assert!(counts(DAY, 1_699_999_990));
        assert!(!counts(DAY + SECOND, 1_699_999_990) && !counts(3_155_760_000 * SECOND, 1_600_000_000));
        assert!(counts(30 * DAY, 1_600_000_000), "its slots run after the first period");
    }

    #[test]
    fn slot_lasts_until_the_next_one() {
        assert_eq!(REVIEW.slot(at(35)), at(35));
        assert_eq!(REVIEW.slot(at(64)), at(35));
        assert_eq!(REVIEW.slot(at(65)), at(65));
        assert_eq!(REVIEW.slot(at(4)), at(-25), "before the first slot's phase too");
        assert_eq!(REVIEW.next_slot(at(64)), at(65));
    }

    #[test]
    fn missed_slots_reach_back_to_the_window_or_the_introduction() {
        assert_eq!(REVIEW.older_slots(at(100), at(40)), [at(65)]);
        assert_eq!(REVIEW.older_slots(at(100), at(35)), [at(35), at(65)]);
        assert_eq!(REVIEW.older_slots(at(1_000_000), at(0)).len(), 119);
        assert!(REVIEW.older_slots(at(100), at(100)).is_empty());
    }

    #[test]
    fn names_read_back() {
        for task in Task::ALL {
            assert_eq!(Task::from_name(task.name()), Some(task));
        }
    }
}
