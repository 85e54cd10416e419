//! The ledger of task runs as people read it: the newest run of each task, and pages of all runs.

use std::collections::BTreeMap;

use sqlx::{query_as, query_scalar};
use uuid::Uuid;

use crate::domain::moment::Moment;
use crate::domain::schedule::Task;
use crate::store::engine::statement::{db_read, row, statements};
use crate::store::engine::{Db, StoreError};

statements! {
    LAST =
        "SELECT t.task, t.period, r.slot, r.state, r.started_at, r.finished_at, r.lag_ms, r.items, r.instance, r.error
         FROM task AS t LEFT JOIN task_run AS r
         ON r.task = t.task AND r.slot = (SELECT MAX(x.slot) FROM task_run AS x WHERE x.task = t.task)";
    LAST_SUCCESSES =
        "SELECT t.task, (SELECT r.finished_at FROM task_run AS r WHERE r.task = t.task AND r.state = 'done'
                         ORDER BY r.slot DESC LIMIT 1) AS finished_at FROM task AS t";
    PAGE =
        "SELECT task, slot, epoch, instance, attempts, trigger, state, started_at, finished_at, lag_ms, items, error
         FROM task_run WHERE ($1 = '' OR task = $1) AND ($2 = '' OR $2 LIKE '%,' || state || ',%')
         ORDER BY slot DESC, task LIMIT $3 OFFSET $4";
    COUNT =
        "SELECT COUNT(*) FROM task_run WHERE ($1 = '' OR task = $1) AND ($2 = '' OR $2 LIKE '%,' || state || ',%')";
}

/// The state of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunState {
    /// Running, or its process died.
    Running,
    /// Succeeded.
    Done,
    /// Failed.
    Failed,
    /// Not run, because a later slot did its work.
    Coalesced,
    /// Skipped. No current version writes this state: a slot of a task that the leader does not know has no row until a
    /// leader knows the task, and is run or coalesced then.
    Skipped,
    /// Its process died, and no other process repeated it.
    Abandoned,
}

impl RunState {
    /// All states.
    pub const ALL: [Self; 6] =
        [Self::Running, Self::Done, Self::Failed, Self::Coalesced, Self::Skipped, Self::Abandoned];

    /// Returns the text in the ledger.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Coalesced => "coalesced",
            Self::Skipped => "skipped",
            Self::Abandoned => "abandoned",
        }
    }
}

/// Filter of a list of runs.
#[derive(Clone, Debug, Default)]
pub struct RunFilter {
    /// Only runs of this task; empty: all tasks.
    pub task: String,
    /// Only runs in these states; empty: all states.
    pub states: Vec<RunState>,
}

row! {
    /// A row of the ledger. Times are unix microseconds.
    #[derive(Clone, Debug)]
    pub struct RunRow {
        /// Name of the task.
        pub task: String,
        /// Slot.
        pub slot: i64,
        /// Epoch of the leader.
        pub epoch: i64,
        /// Instance of the process.
        pub instance: Uuid,
        /// Number of attempts.
        pub attempts: i64,
        /// Trigger: `schedule` or `request`.
        pub trigger: String,
        /// State.
        pub state: String,
        /// Start of the last attempt.
        pub started_at: i64,
        /// End of the last attempt.
        pub finished_at: Option<i64>,
        /// Delay of the start after the slot, in milliseconds.
        pub lag_ms: i64,
        /// Number of items processed.
        pub items: i64,
        /// Error of a failed run.
        pub error: Option<String>,
    }
}

row! {
    /// A task that a leader has registered, with its newest run, if there is one. Times are unix microseconds.
    #[derive(Clone, Debug)]
    pub struct LastRun {
        /// Name of the task.
        pub task: String,
        /// Period, in microseconds.
        pub period: i64,
        /// Newest slot.
        pub slot: Option<i64>,
        /// State.
        pub state: Option<String>,
        /// Start of the last attempt.
        pub started_at: Option<i64>,
        /// End of the last attempt.
        pub finished_at: Option<i64>,
        /// Delay of the start after the slot, in milliseconds.
        pub lag_ms: Option<i64>,
        /// Number of items processed.
        pub items: Option<i64>,
        /// Instance of the process.
        pub instance: Option<Uuid>,
        /// Error of a failed run.
        pub error: Option<String>,
    }
}

/// Returns every registered task with its newest run.
pub async fn last(db: &Db) -> Result<Vec<LastRun>, StoreError> {
    db_read!(db, LAST, |sql, c| query_as::<_, LastRun>(sql).fetch_all(c).await)
}

/// Returns the time of each task's last success; a task that never succeeded is left out.
pub async fn last_successes(db: &Db) -> Result<BTreeMap<Task, Moment>, StoreError> {
    let rows = db_read!(db, LAST_SUCCESSES, |sql, c| { query_as::<_, (String, Option<i64>)>(sql).fetch_all(c).await })?;
    let known = |(task, at): (String, Option<i64>)| Some((Task::from_name(&task)?, Moment::from_micros(at?)));
    Ok(rows.into_iter().filter_map(known).collect())
}

/// Returns a page of the ledger, newest first.
pub async fn page(db: &Db, filter: &RunFilter, limit: i64, offset: i64) -> Result<Vec<RunRow>, StoreError> {
    let states = filter.states();
    db_read!(db, PAGE, |sql, c| {
        query_as::<_, RunRow>(sql).bind(&filter.task).bind(&states).bind(limit).bind(offset).fetch_all(c).await
    })
}

/// Returns the number of rows on all pages.
pub async fn count(db: &Db, filter: &RunFilter) -> Result<i64, StoreError> {
    let states = filter.states();
    db_read!(db, COUNT, |sql, c| query_scalar::<_, i64>(sql).bind(&filter.task).bind(&states).fetch_one(c).await)
}

impl RunFilter {
    /// Returns `,done,failed,`: one bind on either engine.
    fn states(&self) -> String {
        self.states.iter().fold(String::new(), |text, state| {
            format!("{}{},", if text.is_empty() { "," } else { &text }, state.word())
        })
    }
}
