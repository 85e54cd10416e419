//! The ledger of task runs: one row per task and slot, so that no slot runs twice and none is lost.

use sqlx::query_scalar;
use uuid::Uuid;

use crate::domain::ids::Epoch;
use crate::domain::moment::Moment;
use crate::domain::schedule::{MAX_ATTEMPTS, Schedule, Task};
use crate::store::engine::statement::{db_affected, db_execute, db_run, statements};
use crate::store::engine::{IdList, StoreError, Tx};

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
            -- The same start again, after a commit whose outcome was unknown.
            OR (task_run.state = 'running' AND task_run.epoch = excluded.epoch
                AND task_run.instance = excluded.instance AND task_run.started_at = excluded.started_at)
         RETURNING attempts";
    FINISH =
        "UPDATE task_run SET state = $4, finished_at = $5, items = $6, error = $7
         WHERE task = $1 AND slot = $2 AND epoch = $3 AND state = 'running'";
    PRUNE =
        "DELETE FROM task_run WHERE (task, slot) IN
            (SELECT task, slot FROM task_run WHERE slot < $1 AND state <> 'running' ORDER BY slot LIMIT $2)";
}

/// The trigger of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// The schedule.
    Schedule,
    /// A request.
    Request,
}

/// A run in the ledger.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// Task.
    pub task: Task,
    /// Slot; for a request, the time of the request.
    pub slot: Moment,
    /// Trigger.
    pub trigger: Trigger,
}

/// The outcome of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Success, with the number of items processed.
    Done(i64),
    /// Failure, with the error for the operator.
    Failed(String),
}

/// Registers a task with its period. Returns the time since when both are unchanged.
pub async fn set_task(tx: &mut Tx, schedule: Schedule, now: Moment) -> Result<Moment, StoreError> {
    let name = schedule.task.name();
    db_execute!(tx, SET_TASK, name, schedule.period, schedule.task.phase(), now.micros())?;
    let since = db_run!(tx, TASK_CHANGED_AT, |sql, c| query_scalar::<_, i64>(sql).bind(name).fetch_one(c).await)?;
    Ok(Moment::from_micros(since))
}

/// Marks unfinished runs of older terms as abandoned, except for those of the newest slot. Returns their number.
pub async fn abandon(tx: &mut Tx, task: Task, epoch: Epoch, newest: Moment, now: Moment) -> Result<u64, StoreError> {
    db_affected!(tx, ABANDON, task.name(), epoch.0, newest.micros(), now.micros(), MAX_ATTEMPTS)
}

/// Inserts rows for slots that were not run, whose work the newest slot does. Slots with a row keep it. Returns the
/// number of new rows.
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

/// Starts a run, or repeats one that failed or whose process died. Returns the number of the attempt; `None`: the slot
/// is done, is running, or has used all attempts. A repeated call with the same `now` is the same attempt, for the case
/// that the commit's outcome was unknown.
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

/// Records the outcome of a run of this term.
pub async fn finish(tx: &mut Tx, run: Run, epoch: Epoch, outcome: &Outcome, now: Moment) -> Result<(), StoreError> {
    let (state, items, error) = match outcome {
        Outcome::Done(items) => ("done", *items, None),
        Outcome::Failed(error) => ("failed", 0, Some(error.as_str())),
    };
    db_execute!(tx, FINISH, run.task.name(), run.slot.micros(), epoch.0, state, now.micros(), items, error)
}

/// Deletes at most `limit` rows of slots before `before`. Returns their number.
pub async fn prune(tx: &mut Tx, before: Moment, limit: i64) -> Result<u64, StoreError> {
    db_affected!(tx, PRUNE, before.micros(), limit)
}

impl Trigger {
    /// Returns the text in the ledger.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Schedule => "schedule",
            Self::Request => "request",
        }
    }
}
