//! States of a database in which it can't serve some or all statements, and the last such state that was seen.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;

use crate::foundation::lock;

/// A state of the database, or of the way to it, that no caller has caused. All but `Replaced` pass without a restart of
/// the panel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// No connection can be made, or an open one broke.
    Unreachable,
    /// A statement, or the wait for a connection, exceeded its time limit.
    TimedOut,
    /// The server is starting, stopping or recovering.
    ShuttingDown,
    /// The database refuses writes: a standby, `default_transaction_read_only`, or a file without write permission.
    ReadOnly,
    /// The name, the password or a permission is refused.
    AccessRefused,
    /// The server has no connection left for this role.
    OutOfConnections,
    /// The server or this process has no memory left, or another limit of the server is reached.
    OutOfResources,
    /// The disk of the database is full.
    DiskFull,
    /// The disk of the database fails.
    IoError,
    /// The file or a table is damaged.
    Damaged,
    /// The database, its file or its tables do not exist.
    Missing,
    /// The SQLite file, or one of the files beside it, was deleted or replaced while it was open.
    Replaced,
}

impl Condition {
    /// Every condition, for tests and tables.
    pub const ALL: [Self; 12] = [
        Self::Unreachable,
        Self::TimedOut,
        Self::ShuttingDown,
        Self::ReadOnly,
        Self::AccessRefused,
        Self::OutOfConnections,
        Self::OutOfResources,
        Self::DiskFull,
        Self::IoError,
        Self::Damaged,
        Self::Missing,
        Self::Replaced,
    ];

    /// One clause for clients, health reports and the log.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Unreachable => "the database is unreachable",
            Self::TimedOut => "the database did not answer in time",
            Self::ShuttingDown => "the database is starting or stopping",
            Self::ReadOnly => "the database is read-only",
            Self::AccessRefused => "the database refuses access",
            Self::OutOfConnections => "the database has no free connection",
            Self::OutOfResources => "the database is out of memory or at another limit",
            Self::DiskFull => "the disk of the database is full",
            Self::IoError => "the disk of the database fails",
            Self::Damaged => "the database is damaged",
            Self::Missing => "the database or its tables do not exist",
            Self::Replaced => "the file of the database was deleted or replaced",
        }
    }

    /// The operator's next step.
    pub const fn hint(self) -> &'static str {
        match self {
            Self::Unreachable => "check SQLALCHEMY_DATABASE_URL, the server and the network",
            Self::TimedOut => "check the load of the server, its locks and the network",
            Self::ShuttingDown => "wait for the server, or check why it does not start",
            Self::ReadOnly => {
                "check that the address leads to the primary and that default_transaction_read_only is off; on SQLite, \
                 the file's permissions"
            }
            Self::AccessRefused => {
                "check the password in SQLALCHEMY_DATABASE_URL, pg_hba.conf and the role's permissions"
            }
            Self::OutOfConnections => "raise max_connections of the server, or lower DATABASE_CONNECTIONS",
            Self::OutOfResources => "check the memory of the machine and the limits of the server",
            Self::DiskFull => "free space on the disk of the database",
            Self::IoError => "check the disk of the database and the log of the machine",
            Self::Damaged => "restore a back-up, or repair the database",
            Self::Missing => "check the name of the database and its file, and that migrations were applied",
            Self::Replaced => {
                "the panel reads and writes nothing until it is restarted; copy a deleted file from /proc/PID/fd, stop \
                 the panel, put the file back, and start it"
            }
        }
    }

    /// True if the state belongs to the database as a whole although reads may still succeed, so that one failed write
    /// is enough to call the database unusable.
    const fn concerns_writes(self) -> bool {
        matches!(self, Self::ReadOnly | Self::DiskFull | Self::IoError | Self::Damaged | Self::Replaced)
    }
}

impl std::fmt::Display for Condition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.reason())
    }
}

/// A condition that a write met is reported for this long, unless a probe shows that it is over.
const REMEMBERED: Duration = Duration::from_secs(10);

/// The last condition that a probe or a write met. Cheap to clone; clones share it.
#[derive(Clone, Debug, Default)]
pub struct LastCondition(Arc<Mutex<Last>>);

#[derive(Debug, Default)]
struct Last {
    probed: Option<Condition>,
    /// The moment of which the last probe says that the database could not even be read.
    away_as_of: Option<Instant>,
    met: Option<(Condition, Instant)>,
}

impl LastCondition {
    /// Records what a statement met. Conditions that may concern one connection only are left to the probe.
    pub(in crate::store) fn record(&self, condition: Condition) {
        if condition.concerns_writes() {
            lock(&self.0).met = Some((condition, Instant::now()));
        }
    }

    /// Records the result of a probe.
    pub(in crate::store) fn set_probed(&self, condition: Option<Condition>) {
        let mut last = lock(&self.0);
        if matches!(condition, None | Some(Condition::ReadOnly)) {
            last.away_as_of = None;
        }
        last.probed = condition;
    }

    /// Records that the database could not be read up to this moment, before it is known why.
    pub(in crate::store) fn set_away(&self, as_of: Instant) {
        lock(&self.0).away_as_of = Some(as_of);
    }

    /// Forgets a condition that a write met: the database was seen without it.
    pub(in crate::store) fn forget(&self, condition: Condition) {
        lock(&self.0).met.take_if(|(met, _)| *met == condition);
    }

    /// Returns the condition, `None` if the database can be used.
    pub(in crate::store) fn get(&self) -> Option<Condition> {
        self.get_at(Instant::now())
    }

    /// True unless the last probe, which reads, failed.
    pub(in crate::store) fn answers(&self) -> bool {
        lock(&self.0).probed.is_none()
    }

    /// Returns the moment of which the last probe says that the database could not even be read.
    pub(in crate::store) fn away_as_of(&self) -> Option<Instant> {
        lock(&self.0).away_as_of
    }

    fn get_at(&self, now: Instant) -> Option<Condition> {
        let mut last = lock(&self.0);
        last.met.take_if(|(_, at)| now.saturating_duration_since(*at) > REMEMBERED);
        last.probed.or(last.met.map(|(condition, _)| condition))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn condition_of_writes_is_remembered_for_its_time_and_of_connections_not_at_all() {
        let last = LastCondition::default();
        last.record(Condition::Unreachable);
        assert_eq!(last.get(), None);
        last.record(Condition::DiskFull);
        let now = Instant::now();
        assert_eq!(last.get_at(now + REMEMBERED / 2), Some(Condition::DiskFull));
        assert_eq!(last.get_at(now + REMEMBERED * 2), None);
    }

    #[test]
    fn only_a_condition_that_is_over_is_forgotten() {
        let last = LastCondition::default();
        last.record(Condition::ReadOnly);
        last.forget(Condition::DiskFull);
        assert_eq!(last.get(), Some(Condition::ReadOnly));
        last.forget(Condition::ReadOnly);
        assert_eq!(last.get(), None);
    }

    #[test]
    fn database_is_away_from_a_probe_that_could_not_read_until_one_that_could() {
        let last = LastCondition::default();
        for (condition, is_away) in
            [(None, false), (Some(Condition::ReadOnly), false), (Some(Condition::TimedOut), true)]
        {
            let asked = Instant::now();
            last.set_away(asked);
            assert_eq!(last.away_as_of(), Some(asked));
            last.set_probed(condition);
            assert_eq!(last.away_as_of(), is_away.then_some(asked), "{condition:?}");
        }
        last.record(Condition::DiskFull);
        last.set_probed(None);
        assert_eq!(last.away_as_of(), None, "writes fail");
    }

    #[test]
    fn probe_that_fails_comes_before_what_writes_met() {
        let last = LastCondition::default();
        last.record(Condition::DiskFull);
        last.set_probed(Some(Condition::Unreachable));
        assert_eq!(last.get(), Some(Condition::Unreachable));
        last.set_probed(None);
        assert_eq!(last.get(), Some(Condition::DiskFull));
    }
}
