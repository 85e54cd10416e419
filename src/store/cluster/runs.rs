//! The ledger: one row per task and slot, so that no slot runs twice and none goes missing.

use sqlx::{query_as, query_scalar};
use uuid::Uuid;

use crate::domain::ids::Epoch;
use crate::domain::moment::{HOUR, Moment};
use crate::domain::schedule::{MAX_ATTEMPTS, Schedule, Task};
use crate::store::engine::statement::{db_affected, db_execute, db_read, db_run, row, statements};
use crate::store::engine::{Db, IdList, StoreError, Tx};

statements! {
    SET_TASK =
        "INSERT INTO task (task, period, phase, changed_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT (task) DO UPDATE SET period = excluded.period, phase = excluded.phase, changed_at = excluded.changed_at
         WHERE task.period <> excluded.period OR task.phase <> excluded.phase";
    TASK_CHANGED_AT = "SELECT changed_at FROM task WHERE task = $1";
    ABANDON =
        "UPDATE task_run SET state = 'abandoned', finished_at = $4
         WHERE task = $1 AND state = 'running' AND epoch < $2 AND (slot < $3 OR attempts >= $5 OR trigger = 'request')";
    COALESCE =>
        pg "INSERT INTO task_run (task, slot, epoch, instance, attempts, trigger, state, started_at, finished_at, lag_ms)
            SELECT $2, slot, $3, $4, 0, 'schedule', 'coalesced', $5, $5, ($5 - slot) / 1000 FROM UNNEST($1::BIGINT[]) AS slots (slot)
            ON CONFLICT (task, slot) DO NOTHING",
        lite "INSERT INTO task_run (task, slot, epoch, instance, attempts, trigger, state, started_at, finished_at, lag_ms)
            SELECT $2, value, $3, $4, 0, 'schedule', 'coalesced', $5, $5, ($5 - value) / 1000 FROM json_each($1) WHERE TRUE
            ON CONFLICT (task, slot) DO NOTHING";
    START =
        "INSERT INTO task_run (task, slot, epoch, instance, attempts, trigger, state, started_at, lag_ms)
         VALUES ($1, $2, $3, $4, 1, $5, 'running', $6, $7)
         ON CONFLICT (task, slot) DO UPDATE SET epoch = excluded.epoch, instance = excluded.instance,
             attempts = task_run.attempts + CASE WHEN task_run.state = 'running' AND task_run.epoch = excluded.epoch
                 AND task_run.started_at = excluded.started_at THEN 0 ELSE 1 END,
             state = 'running', started_at = excluded.started_at, finished_at = NULL, error = NULL
         WHERE (task_run.attempts < $8
                AND (task_run.state = 'failed' OR (task_run.state = 'running' AND task_run.epoch < excluded.epoch)))
            -- Our own start, whose commit we did not hear of.
            OR (task_run.state = 'running' AND task_run.epoch = excluded.epoch
                AND task_run.instance = excluded.instance AND task_run.started_at = excluded.started_at)
         RETURNING attempts";
    FINISH =
        "UPDATE task_run SET state = $4, finished_at = $5, items = $6, error = $7
         WHERE task = $1 AND slot = $2 AND epoch = $3 AND state = 'running'";
    REQUEST = "INSERT INTO task_request (id, task, requested_at) VALUES ($1, $2, $3)";
    REQUESTS = "SELECT id, task, requested_at FROM task_request ORDER BY requested_at, id LIMIT 200";
    FORGET_REQUESTS = "DELETE FROM task_request WHERE requested_at < $1";
    LAST =
        "SELECT t.task, t.period, r.slot, r.state, r.started_at, r.finished_at, r.lag_ms, r.items, r.instance, r.error
         FROM task AS t LEFT JOIN task_run AS r
         ON r.task = t.task AND r.slot = (SELECT MAX(x.slot) FROM task_run AS x WHERE x.task = t.task)";
    LAST_SUCCESS = "SELECT finished_at FROM task_run WHERE task = $1 AND state = 'done' ORDER BY slot DESC LIMIT 1";
    PAGE =
        "SELECT task, slot, epoch, instance, attempts, trigger, state, started_at, finished_at, lag_ms, items, error
         FROM task_run WHERE ($1 = '' OR task = $1) AND ($2 = '' OR $2 LIKE '%,' || state || ',%')
         ORDER BY slot DESC, task LIMIT $3 OFFSET $4";
    COUNT =
        "SELECT COUNT(*) FROM task_run WHERE ($1 = '' OR task = $1) AND ($2 = '' OR $2 LIKE '%,' || state || ',%')";
    TAKE_REQUEST = "DELETE FROM task_request WHERE id = $1";
    PRUNE =
        "DELETE FROM task_run WHERE (task, slot) IN
            (SELECT task, slot FROM task_run WHERE slot < $1 AND state <> 'running' ORDER BY slot LIMIT $2)";
}

/// Why a run was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// Its slot had come.
    Schedule,
    /// Somebody asked for it.
    Request,
}

/// A run in the ledger.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// What runs.
    pub task: Task,
    /// For which slot; for a request: the moment it was taken up.
    pub slot: Moment,
    /// Why.
    pub trigger: Trigger,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It did its work on this many things.
    Done(i64),
    /// It failed, with what to tell the operator.
    Failed(String),
}

row! {
    /// "Run now", asked for on any host.
    pub struct Request {
        /// Unique.
        pub id: Uuid,
        /// The task's name, or [`STEP_DOWN`].
        pub task: String,
        /// When (unix microseconds): the slot of the run.
        pub requested_at: i64,
    }
}

/// Asked for like a task, and not one: the leader hands over.
pub const STEP_DOWN: &str = "step_down";

/// A request that nobody took up for so long is forgotten (microseconds).
const REQUEST_LIFE: i64 = HOUR;

/// How far a run has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunState {
    /// It runs, or its process died.
    Running,
    /// It did its work.
    Done,
    /// It failed.
    Failed,
    /// Nobody ran it: the slot after it did its work.
    Coalesced,
    /// It was left out: not done now. A slot of a task that the leader does not know has no row until somebody leads who
    /// does, and is run or coalesced then.
    Skipped,
    /// Its process died, and nobody took it up.
    Abandoned,
}

impl RunState {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Running, Self::Done, Self::Failed, Self::Coalesced, Self::Skipped, Self::Abandoned];

    /// The word of the ledger.
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

/// Which rows of the ledger to show.
#[derive(Clone, Debug, Default)]
pub struct RunFilter {
    /// Of this task; empty: of all.
    pub task: String,
    /// In these states; empty: in all.
    pub states: Vec<RunState>,
}

row! {
    /// A row of the ledger. Times are unix microseconds.
    #[derive(Clone, Debug)]
    pub struct RunRow {
        /// The task's name.
        pub task: String,
        /// Its slot.
        pub slot: i64,
        /// Under which term.
        pub epoch: i64,
        /// By which process.
        pub instance: Uuid,
        /// How often it was tried.
        pub attempts: i64,
        /// `schedule` or `request`.
        pub trigger: String,
        /// How far it has come.
        pub state: String,
        /// When the last attempt began.
        pub started_at: i64,
        /// When it ended.
        pub finished_at: Option<i64>,
        /// How late it began, milliseconds.
        pub lag_ms: i64,
        /// On how many things it worked.
        pub items: i64,
        /// Why it failed.
        pub error: Option<String>,
    }
}

row! {
    /// A task that a leader has entered, with its newest run, if there is one. Times are unix microseconds.
    #[derive(Clone, Debug)]
    pub struct LastRun {
        /// The task's name.
        pub task: String,
        /// Its period, microseconds.
        pub period: i64,
        /// The newest slot.
        pub slot: Option<i64>,
        /// How far it has come.
        pub state: Option<String>,
        /// When its last attempt began.
        pub started_at: Option<i64>,
        /// When it ended.
        pub finished_at: Option<i64>,
        /// How late it began, milliseconds.
        pub lag_ms: Option<i64>,
        /// On how many things it worked.
        pub items: Option<i64>,
        /// By which process.
        pub instance: Option<Uuid>,
        /// Why it failed.
        pub error: Option<String>,
    }
}

/// Enters a task and its period, and tells since when they have been so.
pub async fn set_task(tx: &mut Tx, schedule: Schedule, now: Moment) -> Result<Moment, StoreError> {
    let name = schedule.task.name();
    db_execute!(tx, SET_TASK, name, schedule.period, schedule.task.phase(), now.micros())?;
    let since = db_run!(tx, TASK_CHANGED_AT, |sql, c| query_scalar::<_, i64>(sql).bind(name).fetch_one(c).await)?;
    Ok(Moment::from_micros(since))
}

/// Marks runs of older terms that nobody will take up again: all but those of the newest slot.
pub async fn abandon(tx: &mut Tx, task: Task, epoch: Epoch, newest: Moment, now: Moment) -> Result<u64, StoreError> {
    db_affected!(tx, ABANDON, task.name(), epoch.0, newest.micros(), now.micros(), MAX_ATTEMPTS)
}

/// Enters slots that nobody ran and nobody will: the newest one does their work. Slots that have a row keep it.
pub async fn coalesce(
    tx: &mut Tx,
    task: Task,
    slots: &[Moment],
    epoch: Epoch,
    instance: Uuid,
    now: Moment,
) -> Result<u64, StoreError> {
    let slots = IdList::new(slots.iter().map(|slot| slot.micros()));
    db_affected!(tx, COALESCE, slots, task.name(), epoch.0, instance, now.micros())
}

/// Starts a run, or takes it up again where it failed or its process died. Returns the number of this attempt;
/// `None`: the slot is done, being done, or has been tried often enough. The same start again (same `now`) is the same
/// attempt: so it may be repeated when its commit was unclear.
pub async fn start(
    tx: &mut Tx,
    run: Run,
    epoch: Epoch,
    instance: Uuid,
    now: Moment,
) -> Result<Option<i64>, StoreError> {
    let lag_ms = now.since(run.slot) / 1_000;
    db_run!(tx, START, |sql, c| {
        let query = query_scalar::<_, i64>(sql).bind(run.task.name()).bind(run.slot.micros()).bind(epoch.0);
        let query = query.bind(instance).bind(run.trigger.word()).bind(now.micros()).bind(lag_ms).bind(MAX_ATTEMPTS);
        query.fetch_optional(c).await
    })
}

/// Enters how a run of this term ended.
pub async fn finish(tx: &mut Tx, run: Run, epoch: Epoch, outcome: &Outcome, now: Moment) -> Result<(), StoreError> {
    let (state, items, error) = match outcome {
        Outcome::Done(items) => ("done", *items, None),
        Outcome::Failed(error) => ("failed", 0, Some(error.as_str())),
    };
    db_execute!(tx, FINISH, run.task.name(), run.slot.micros(), epoch.0, state, now.micros(), items, error)
}

/// Asks for a run of `task`, whose slot will be `now`, or for [`STEP_DOWN`].
pub async fn request(tx: &mut Tx, task: &str, now: Moment) -> Result<(), StoreError> {
    db_execute!(tx, REQUEST, Uuid::new_v4(), task, now.micros())
}

/// Forgets requests that nobody took up: for a task that no leader knew.
pub async fn forget_requests(tx: &mut Tx, now: Moment) -> Result<(), StoreError> {
    let before = now.plus(-REQUEST_LIFE).micros();
    db_execute!(tx, FORGET_REQUESTS, before)
}

/// Every task that a leader has entered, with its newest run.
pub async fn last(db: &Db) -> Result<Vec<LastRun>, StoreError> {
    db_read!(db, LAST, |sql, c| query_as::<_, LastRun>(sql).fetch_all(c).await)
}

/// When a task did its work last.
pub async fn last_success(db: &Db, task: Task) -> Result<Option<Moment>, StoreError> {
    let at = db_read!(db, LAST_SUCCESS, |sql, c| {
        query_scalar::<_, Option<i64>>(sql).bind(task.name()).fetch_optional(c).await
    })?;
    Ok(at.flatten().map(Moment::from_micros))
}

/// A page of the ledger, newest first.
pub async fn page(db: &Db, filter: &RunFilter, limit: i64, offset: i64) -> Result<Vec<RunRow>, StoreError> {
    let states = filter.states();
    db_read!(db, PAGE, |sql, c| {
        query_as::<_, RunRow>(sql).bind(&filter.task).bind(&states).bind(limit).bind(offset).fetch_all(c).await
    })
}

/// How many rows there are on all pages.
pub async fn count(db: &Db, filter: &RunFilter) -> Result<i64, StoreError> {
    let states = filter.states();
    db_read!(db, COUNT, |sql, c| query_scalar::<_, i64>(sql).bind(&filter.task).bind(&states).fetch_one(c).await)
}

impl RunFilter {
    /// `,done,failed,`: one bind on either engine.
    fn states(&self) -> String {
        self.states.iter().fold(String::new(), |text, state| {
            format!("{}{},", if text.is_empty() { "," } else { &text }, state.word())
        })
    }
}

/// What was asked for and not yet taken up, oldest first.
pub async fn requests(db: &Db) -> Result<Vec<Request>, StoreError> {
    db_read!(db, REQUESTS, |sql, c| query_as::<_, Request>(sql).fetch_all(c).await)
}

/// Takes a request off the list: in the transaction that starts its run.
pub async fn take_request(tx: &mut Tx, id: Uuid) -> Result<(), StoreError> {
    db_execute!(tx, TAKE_REQUEST, id)
}

/// Deletes at most `limit` rows of slots before `before`; returns how many.
pub async fn prune(tx: &mut Tx, before: Moment, limit: i64) -> Result<u64, StoreError> {
    db_affected!(tx, PRUNE, before.micros(), limit)
}

impl Trigger {
    /// The word of the ledger.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Schedule => "schedule",
            Self::Request => "request",
        }
    }
}
