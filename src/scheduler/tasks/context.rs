//! The context of a task's run: fenced transactions, the time, dependencies, pauses; and its errors.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::actions::changes::Changes;
use crate::actions::notification_targets::LiveTargets;
use crate::backup::{BackupError, Scheduled};
use crate::clock::Clock;
use crate::config::crash_point::CrashPoint;
use crate::domain::audit::{Actor, Entry, Origin};
use crate::domain::moment::Moment;
use crate::domain::schedule::Task;
use crate::nodes::collector::Collector;
use crate::store::audit::entries;
use crate::store::{Db, Engine, Fault, Fence, FenceError, StoreError, Transient, Tx};

/// Time limit of a statement that may wait for a transaction which writes the totals of many users.
pub(super) const LOCK_WAIT_LIMIT: Duration = Duration::from_secs(60);
/// Time that a task writes to SQLite without a pause. On PostgreSQL a task pauses after each transaction.
const WRITE_TIME: Duration = Duration::from_millis(100);
/// Pause in which other processes write to SQLite, and longest pause in which PostgreSQL has time for requests.
const WRITE_PAUSE: Duration = Duration::from_millis(50);

/// Dependencies and settings of the tasks; the same for every run.
pub struct Deps {
    /// Connections of the workers.
    pub db: Db,
    /// The host's clock, for deadlines. For all else a task uses `Context::now`.
    pub clock: Clock,
    /// Publishes what a commit changed.
    pub changes: Changes,
    /// Fetches traffic from the nodes.
    pub collector: Collector,
    /// Receivers of notifications about users.
    pub targets: LiveTargets,
    /// True: traffic is recorded per node and hour (`DISABLE_RECORDING_NODE_USAGE` unset).
    pub node_hours: bool,
    /// Percent of the data limit that causes a notification (`NOTIFY_REACHED_USAGE_PERCENT`).
    pub usage_percent: u32,
    /// Days before the expiry date that cause a notification (`NOTIFY_DAYS_LEFT`).
    pub days_left: u32,
    /// The place at which a test kills this process.
    pub crash: CrashPoint,
    /// Days until hourly traffic is summed up into daily traffic; `None`: never.
    pub hourly_retention: Option<u32>,
    /// Days until entries of the audit log are deleted; `None`: never.
    pub audit_retention: Option<u32>,
    /// Where back-ups go; `None`: none are made.
    pub back_up: Option<Scheduled>,
}

/// One run of a task.
pub struct Context {
    /// Begins fenced transactions, which are the only writes of a task.
    pub fence: Fence,
    /// Cancelled when the term ends.
    pub stop: CancellationToken,
    /// Time of the run, by the database's clock.
    pub now: Moment,
    /// Dependencies and settings.
    pub deps: Arc<Deps>,
}

/// Pauses between a task's transactions, for other writers: SQLite has one writer at a time, and requests share the
/// processors of PostgreSQL with the task.
pub(super) struct Throttle {
    engine: Engine,
    /// End of the last pause.
    since: Instant,
}

impl Context {
    /// Enters a change of this transaction into the audit log, unless nothing changed.
    pub(super) async fn record(&self, tx: &mut Tx, task: Task, entry: &Entry) -> Result<(), StoreError> {
        if entry.count == 0 {
            return Ok(());
        }
        let origin = Origin::of(Actor::Task { name: task.name(), epoch: self.fence.term().epoch().0 });
        entries::insert(tx, &origin, entry, self.now).await
    }

    pub(super) fn throttle(&self) -> Throttle {
        Throttle { engine: self.deps.db.engine(), since: Instant::now() }
    }
}

impl Throttle {
    /// Pauses, if it is time. Call between two transactions.
    pub(super) async fn pause(&mut self) {
        let worked = self.since.elapsed();
        match self.engine {
            Engine::Sqlite if worked < WRITE_TIME => return,
            Engine::Sqlite => sleep(WRITE_PAUSE).await,
            Engine::Postgres => sleep(WRITE_PAUSE.min(worked)).await,
        }
        self.since = Instant::now();
    }
}

/// Reason why a run failed.
#[derive(Debug, thiserror::Error)]
pub enum TaskError {
    /// The fenced transaction failed, or the term is over.
    #[error(transparent)]
    Fence(#[from] FenceError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No back-up could be made.
    #[error("no back-up was made")]
    BackUp(#[source] BackupError),
    /// A bug.
    #[error("the task panicked")]
    Panicked(#[source] tokio::task::JoinError),
}

impl Transient for TaskError {
    fn is_transient(&self) -> bool {
        match self {
            Self::Fence(error) => error.is_transient(),
            Self::Store(error) => error.is_transient(),
            Self::BackUp(_) | Self::Panicked(_) => false,
        }
    }
}

impl TaskError {
    /// True if the database refuses the values: the same transaction would fail again.
    pub(super) fn is_data(&self) -> bool {
        match self {
            Self::Fence(FenceError::Store(error)) | Self::Store(error) => error.fault() == Fault::Data,
            _ => false,
        }
    }
}
