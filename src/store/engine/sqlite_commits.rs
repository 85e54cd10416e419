//! Notices on SQLite that somebody else has committed: another process, or another connection of this one. Costs a look at
//! the log's file while nobody writes.
//!
//! Every commit writes to the log of changes (`-wal`). If the file is as it was, nothing was committed. Otherwise SQLite is
//! asked over the connection that this set of pools writes with: its `data_version` leaves that connection's own commits out.

use sqlx::query_scalar;

use super::db::Db;
use super::error::StoreError;
use super::sqlite::Lite;
use super::sqlite_file::LogState;
use super::statement::statements;
use crate::clock::Clock;
use crate::domain::moment::SECOND;

/// Age of the log's last change from which SQLite need not be asked again (microseconds): the kernel's time stamps are coarse
/// (10 ms at most), and a commit can be read a moment after it was written. A commit that takes longer is noticed with the next.
const SETTLED: i64 = 100_000;
/// The same on file systems whose time stamps are whole seconds, or every other one.
const SETTLED_COARSE: i64 = 2_100_000;

statements! {
    DATA_VERSION => pg "SELECT CAST(0 AS BIGINT)", lite "PRAGMA data_version";
}

/// Commits by others than these pools' own writer.
#[derive(Debug)]
pub struct OtherCommits {
    lite: Lite,
    clock: Clock,
    /// The log as it was when SQLite was asked last, if it had not changed for a while.
    settled: Option<LogState>,
    version: Option<Version>,
}

/// The version of the data as one connection sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Version {
    /// Number of the connection: versions of two connections can't be compared.
    connection: u64,
    version: i64,
}

impl Db {
    /// Watches for commits by others than this set of pools. `None` on PostgreSQL, which has no such sign.
    pub fn other_commits(&self, clock: &Clock) -> Option<OtherCommits> {
        match self {
            Self::Pg(_) => None,
            Self::Lite(lite) => {
                Some(OtherCommits { lite: lite.clone(), clock: clock.clone(), settled: None, version: None })
            }
        }
    }
}

impl OtherCommits {
    /// True if somebody else may have committed since the last call, and at the first call.
    pub async fn any(&mut self) -> Result<bool, StoreError> {
        let (now, log) = (self.clock.now(), self.lite.log_state());
        if log.is_some() && log == self.settled {
            return Ok(false);
        }
        self.settled = None;
        let (connection, mut writer) = self.lite.writer().await?;
        let version = query_scalar::<_, i64>(DATA_VERSION.lite).fetch_one(&mut *writer).await;
        let version = version.map_err(|source| StoreError::new(DATA_VERSION.name, source))?;
        self.settled = log.filter(|log| now.since(log.changed) >= settled_after(*log));
        let version = Version { connection, version };
        Ok(self.version.replace(version) != Some(version))
    }
}

const fn settled_after(log: LogState) -> i64 {
    if log.changed.micros() % SECOND == 0 { SETTLED_COARSE } else { SETTLED }
}
