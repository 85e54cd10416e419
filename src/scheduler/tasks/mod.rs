//! The tasks. Each is a reconciler: it takes no input but the database, and its next run is its retry.

mod expire_days_reached;
mod notifications;
mod prune;
mod record_user_usages;
mod reset_user_data_usage;
mod review_users;
mod sync_nodes;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::actions::notification_targets::LiveTargets;
use crate::clock::Clock;
use crate::cluster::wakeup::Wakeup;
use crate::config::crash_point::CrashPoint;
use crate::domain::moment::Moment;
use crate::domain::schedule::Task;
use crate::nodes::collector::Collector;
use crate::store::{Db, Engine, Fault, Fence, FenceError, StoreError, Transient};

/// How long a statement may take that first waits for whoever writes the totals of many users.
const TURN_LIMIT: Duration = Duration::from_secs(60);
/// How long a task writes to SQLite chunk after chunk before it pauses; to PostgreSQL for one chunk.
const STINT: Duration = Duration::from_millis(100);
/// How long it then leaves SQLite to other processes (writers of this process take turns with each chunk), and at most
/// PostgreSQL to requests: as long as it has worked.
const BREATH: Duration = Duration::from_millis(50);

/// What tasks need; the same for every run.
pub struct Deps {
    /// The workers' connections.
    pub db: Db,
    /// The host's clock, for deadlines. What time it is, a task is told.
    pub clock: Clock,
    /// Rung when users changed.
    pub wakeup: Wakeup,
    /// Brings home what the nodes counted.
    pub collector: Collector,
    /// Who is told of what happens to users.
    pub targets: LiveTargets,
    /// Whether usage is recorded by node and hour (`DISABLE_RECORDING_NODE_USAGE` unset).
    pub node_hours: bool,
    /// Percent of their data limit at which users are told of.
    pub usage_percent: u32,
    /// Days before the end of their accounts when users are told of.
    pub days_left: u32,
    /// Where a test has this process die.
    pub crash: CrashPoint,
    /// Days for which usage is kept by the hour; `None`: for ever.
    pub hourly_retention: Option<u32>,
}

/// One run.
pub struct Context {
    /// The only way to write.
    pub fence: Fence,
    /// Cancelled when the term ends.
    pub stop: CancellationToken,
    /// The database's clock at the tick.
    pub now: Moment,
    /// What tasks need.
    pub deps: Arc<Deps>,
}

/// Keeps a run from being the only one who works: others write to SQLite only while nobody else does, and requests share
/// PostgreSQL's processors with it.
struct Pace {
    engine: Engine,
    /// When this stint began.
    since: Instant,
}

impl Context {
    fn pace(&self) -> Pace {
        Pace { engine: self.deps.db.engine(), since: Instant::now() }
    }
}

impl Pace {
    /// Between two transactions.
    async fn breathe(&mut self) {
        let stint = self.since.elapsed();
        match self.engine {
            Engine::Sqlite if stint < STINT => return,
            Engine::Sqlite => sleep(BREATH).await,
            Engine::Postgres => sleep(BREATH.min(stint)).await,
        }
        self.since = Instant::now();
    }
}

/// Why a run failed.
#[derive(Debug, thiserror::Error)]
pub enum TaskError {
    /// The fence refused.
    #[error(transparent)]
    Fence(#[from] FenceError),
    /// The database refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A mistake of ours.
    #[error("the task panicked")]
    Panicked(#[source] tokio::task::JoinError),
}

impl Transient for TaskError {
    fn is_transient(&self) -> bool {
        match self {
            Self::Fence(error) => error.is_transient(),
            Self::Store(error) => error.is_transient(),
            Self::Panicked(_) => false,
        }
    }
}

impl TaskError {
    /// True when the values themselves are what the database refuses: the same again would fail again.
    fn is_data(&self) -> bool {
        match self {
            Self::Fence(FenceError::Store(error)) | Self::Store(error) => error.fault() == Fault::Data,
            _ => false,
        }
    }
}

/// Runs a task; returns on how many things it worked.
pub async fn run(task: Task, context: &Context) -> Result<i64, TaskError> {
    match task {
        Task::RecordUserUsages => record_user_usages::run(context).await,
        Task::ReviewUsers => review_users::run(context).await,
        Task::ResetUserDataUsage => reset_user_data_usage::run(context).await,
        Task::ExpireDaysReached => expire_days_reached::run(context).await,
        Task::SyncNodes => sync_nodes::run(context).await,
        Task::Prune => prune::run(context).await,
    }
}
