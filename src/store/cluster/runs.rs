//! The ledger of task runs: one row per task and slot, so that no slot runs twice and none is lost.

use sqlx::{query_as, query_scalar};
use uuid::Uuid;

use crate::domain::ids::Epoch;
use crate::domain::moment::Moment;
use crate::domain::schedule::{MAX_ATTEMPTS, Schedule, Task};
use crate::store::engine::statement::{db_affected, db_execute, db_run, row, statements};
use crate::store::engine::{StoreError, Tx};

statements! {
    SET_TASK =
        "INSERT INTO task (task, period, phase, changed_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT (task) DO UPDATE SET period = excluded.period, phase = excluded.phase, changed_at = excluded.changed_at
         WHERE task.period <> excluded.period OR task.phase <> excluded.phase";
    TASK_CHANGED_AT = "SELECT changed_at FROM task WHERE task = $1";
    TASKS = "SELECT task, period, phase, changed_at FROM task";
    // All tasks in one statement: each round trip delays the first runs of a term. The newest slot of a task is computed
    // as in `Schedule::slot`.
    ABANDON =>
        pg "UPDATE task_run AS r SET state = 'abandoned', finished_at = $2 FROM task AS t
            WHERE t.task = r.task AND r.task IN (SELECT value FROM json_array_elements_text(CAST($3 AS JSON)))
                AND r.state = 'running' AND r.epoch < $1
                AND (r.slot < t.phase + ($2 - t.phase) / t.period * t.period OR r.attempts >= $4 OR r.trigger = 'request')
            RETURNING r.task",
        lite "UPDATE task_run AS r SET state = 'abandoned', finished_at = $2 FROM task AS t
            WHERE t.task = r.task AND r.task IN (SELECT value FROM json_each($3))
                AND r.state = 'running' AND r.epoch < $1
                AND (r.slot < t.phase + ($2 - t.phase) / t.period * t.period OR r.attempts >= $4 OR r.trigger = 'request')
            RETURNING task";
    COALESCE =>
        pg "INSERT INTO task_run (task, slot, epoch, instance, attempts, trigger, state, started_at, finished_at, lag_ms)
            SELECT task, slot, $2, $3, 0, 'schedule', 'coalesced', $4, $4, ($4 - slot) / 1000
            FROM json_to_recordset(CAST($1 AS JSON)) AS s (task TEXT, slot BIGINT)
            ON CONFLICT (task, slot) DO NOTHING RETURNING task",
        lite "INSERT INTO task_run (task, slot, epoch, instance, attempts, trigger, state, started_at, finished_at, lag_ms)
            SELECT value ->> 'task', value ->> 'slot', $2, $3, 0, 'schedule', 'coalesced', $4, $4,
                ($4 - (value ->> 'slot')) / 1000
            FROM json_each($1) WHERE TRUE
            ON CONFLICT (task, slot) DO NOTHING RETURNING task";
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
    // The newest slot of a task stays, however long its period is: without its row it would run again.
    PRUNE =
        "DELETE FROM task_run WHERE (task, slot) IN
            (SELECT r.task, r.slot FROM task_run AS r
             WHERE r.slot < $1 AND r.state <> 'running' AND (r.trigger = 'request' OR NOT EXISTS
                 (SELECT 1 FROM task AS t WHERE t.task = r.task AND r.slot + t.period > $1))
             ORDER BY r.slot LIMIT $2)";
}

row! {
    struct TaskRow {
        task: String,
        period: i64,
        phase: i64,
        changed_at: i64,
    }
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

/// Returns the registered schedules, each with the time since when it is unchanged. A task that only another version
/// knows is left out.
pub async fn registered_tasks(tx: &mut Tx) -> Result<Vec<(Schedule, Moment)>, StoreError> {
    let rows = db_run!(tx, TASKS, |sql, c| query_as::<_, TaskRow>(sql).fetch_all(c).await)?;
    let known = |row: TaskRow| {
        let task = Task::from_name(&row.task).filter(|task| task.phase() == row.phase)?;
        Some((Schedule { task, period: row.period }, Moment::from_micros(row.changed_at)))
    };
    Ok(rows.into_iter().filter_map(known).collect())
}

/// Marks unfinished runs of older terms as abandoned, except for those of each task's newest slot. The tasks must be
/// registered. Returns the task of each run.
pub async fn abandon(tx: &mut Tx, tasks: &[Task], epoch: Epoch, now: Moment) -> Result<Vec<String>, StoreError> {
    let names = tasks.iter().map(|task| task.name()).collect::<serde_json::Value>().to_string();
    db_run!(tx, ABANDON, |sql, c| {
        let query = query_scalar::<_, String>(sql).bind(epoch.0).bind(now.micros()).bind(&names).bind(MAX_ATTEMPTS);
        query.fetch_all(c).await
    })
}

/// Inserts rows for slots that were not run, whose work the newest slot does. Slots with a row keep it. Returns the
/// task of each new row.
pub async fn coalesce(
    tx: &mut Tx,
    slots: &[(Task, Moment)],
    epoch: Epoch,
    instance: Uuid,
    now: Moment,
) -> Result<Vec<String>, StoreError> {
    let entry = |(task, slot): &(Task, Moment)| serde_json::json!({"task": task.name(), "slot": slot.micros()});
    let list = slots.iter().map(entry).collect::<serde_json::Value>().to_string();
    db_run!(tx, COALESCE, |sql, c| {
        query_scalar::<_, String>(sql).bind(&list).bind(epoch.0).bind(instance).bind(now.micros()).fetch_all(c).await
    })
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

/// Deletes at most `limit` rows of slots that ended before `before`. Returns their number.
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
