//! Runs a task for a slot: the ledger's row, the body on the workers, the attempts.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::timeout;
use uuid::Uuid;

use super::ledger::Ledger;
use super::tasks::{self, Context, Deps, TaskError};
use crate::cluster::leadership::Leadership;
use crate::domain::change::Changed;
use crate::domain::moment::{Moment, SECOND};
use crate::domain::schedule::{MAX_ATTEMPTS, Schedule, Task};
use crate::foundation::{FailureStreak, chain, lock, with_sources};
use crate::store::clock;
use crate::store::cluster::runs::{Outcome, Run};
use crate::store::{Db, Fence, FenceError};

/// Pause before a write to the ledger is tried again.
const LEDGER_RETRY: Duration = Duration::from_millis(200);

/// Makes the fence of a term on the given connections.
pub type MakeFence = Arc<dyn Fn(&Db, &Leadership) -> Fence + Send + Sync>;

/// Runs tasks under one term.
#[derive(Clone)]
pub(super) struct Runner {
    pub(super) ledger: Ledger,
    pub(super) leadership: Leadership,
    /// Connections of the lease's thread, for the clock.
    pub(super) db: Db,
    pub(super) fence: MakeFence,
    /// The runtime of the tasks' bodies.
    pub(super) workers: Handle,
    pub(super) deps: Arc<Deps>,
    /// Failed writes to the ledger, of all runs.
    pub(super) failures: Arc<Mutex<FailureStreak>>,
}

impl Runner {
    /// Runs a task, and tries again after a failure. `request`: the request that the run serves.
    pub(super) async fn run(self, run: Run, request: Option<Uuid>, schedule: Schedule) -> Task {
        let period = Duration::from_micros(schedule.period.unsigned_abs());
        // An error means that this term is over: the next leader repeats the run.
        let _ = self.attempts(run, request, period).await;
        run.task
    }

    async fn attempts(&self, run: Run, request: Option<Uuid>, period: Duration) -> Result<(), FenceError> {
        for _ in 0..MAX_ATTEMPTS {
            let now = self.until_written(|| async { Ok(clock::now(&self.db).await?) }).await?;
            let start = self.until_written(|| self.ledger.start(run, request, now)).await?;
            let Some(attempt) = start else { return Ok(()) };
            metrics::histogram!("scheduler_slot_lag_seconds", "task" => run.task.name())
                .record(now.since(run.slot) as f64 / SECOND as f64);
            let outcome = match self.body(run, now).await {
                Ok(items) => Outcome::Done(items),
                Err(TaskError::Fence(FenceError::Deposed)) => return Err(FenceError::Deposed),
                Err(error) => Outcome::Failed(chain(&error)),
            };
            self.until_written(|| self.ledger.finish(run, &outcome)).await?;
            // What came of a request, and failures, are announced; other runs are too many.
            if request.is_some() || matches!(outcome, Outcome::Failed(_)) {
                self.deps.changes.publish(Changed::LeaderRequests);
            }
            let Outcome::Failed(error) = outcome else {
                metrics::counter!("scheduler_slots_total", "task" => run.task.name(), "state" => "done").increment(1);
                return Ok(());
            };
            metrics::counter!("scheduler_slots_total", "task" => run.task.name(), "state" => "failed").increment(1);
            tracing::warn!(task = run.task.name(), slot = %run.slot.utc_iso(), attempt, error, "a task failed");
            // A tenth of the period apart, so that all attempts fit into the slot.
            if timeout(period / 10, self.leadership.stop.cancelled()).await.is_ok() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Runs the task's body on the workers. A panic is a failed run and does not end the scheduler.
    async fn body(&self, run: Run, now: Moment) -> Result<i64, TaskError> {
        let context = Context {
            fence: (self.fence)(&self.deps.db, &self.leadership),
            stop: self.leadership.stop.clone(),
            now,
            deps: self.deps.clone(),
        };
        let body = self.workers.spawn(async move { tasks::run(run.task, &context).await });
        body.await.unwrap_or_else(|panic| Err(TaskError::Panicked(panic)))
    }

    /// Repeats a write to the ledger until it succeeds or the term is over: a run must not be lost because the database
    /// does not answer for a moment.
    async fn until_written<T, F: Future<Output = Result<T, FenceError>>>(
        &self,
        mut write: impl FnMut() -> F,
    ) -> Result<T, FenceError> {
        loop {
            match write().await {
                Err(FenceError::Store(error)) => {
                    let reason = error.reason();
                    if lock(&self.failures).failed(reason) {
                        let error = with_sources(&error);
                        tracing::warn!(error, "could not write the ledger of runs: {reason}; trying again");
                    }
                }
                settled => {
                    let failures = lock(&self.failures).ended();
                    if let Some(failures) = failures.filter(|_| settled.is_ok()) {
                        tracing::info!(failures, "the ledger of runs can be written again");
                    }
                    return settled;
                }
            }
            if timeout(LEDGER_RETRY, self.leadership.stop.cancelled()).await.is_ok() {
                return Err(FenceError::Deposed);
            }
        }
    }
}
