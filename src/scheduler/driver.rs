//! The scheduler's loop: reads the database's clock, starts the runs that are due or requested, and records slots that
//! nobody ran.
//!
//! It runs on the lease's thread, and beats the heartbeat by which the lease renewal sees that it is not stuck. The bodies of
//! tasks run on the workers.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use super::heartbeat::Heartbeat;
use super::ledger::{Ledger, RequestKind};
pub use super::runner::MakeFence;
use super::runner::Runner;
use super::tasks::Deps;
use crate::cluster::leadership::Leadership;
use crate::cluster::tick::{TICK, tick};
use crate::cluster::wakeup::{PollReceiver, Wakeup};
use crate::domain::change::Changed;
use crate::domain::moment::{Moment, SECOND};
use crate::domain::schedule::{Schedule, Task};
use crate::foundation::{FailureStreak, with_sources};
use crate::store::clock;
use crate::store::cluster::run_history;
use crate::store::cluster::runs::{Run, Trigger};
use crate::store::{Db, Engine, FenceError, StoreError};

/// Pause after a pass that failed, and on PostgreSQL the longest pause between two passes: requests are found by polling if a
/// wake-up is lost.
const POLL: Duration = TICK;
/// The longest pause between two passes on SQLite, where a commit of somebody else is noticed and starts one.
const POLL_WATCHED: Duration = Duration::from_secs(5);

/// Dependencies of the loop; the same for every term.
#[derive(Clone)]
pub struct Driver {
    /// This process.
    pub instance: Uuid,
    /// Period of each task. The leader's apply.
    pub schedules: Vec<Schedule>,
    /// Connections of the lease's thread, for the clock and the ledger.
    pub db: Db,
    /// Time limit of one pass.
    pub pass_limit: Duration,
    /// Makes the fence of a term on the given connections.
    pub fence: MakeFence,
    /// Wake-ups: there may be a request.
    pub wakeup: Wakeup,
    /// The runtime of the tasks' bodies.
    pub workers: Handle,
    /// Dependencies of the tasks.
    pub deps: Arc<Deps>,
}

/// The loop during one term.
struct TermLoop {
    driver: Driver,
    runner: Runner,
    heartbeat: Heartbeat,
    tasks: Vec<ScheduledTask>,
    /// Runs under way.
    runs: JoinSet<Task>,
    /// Failed passes.
    failures: FailureStreak,
}

/// State of one task during a term.
struct ScheduledTask {
    schedule: Schedule,
    /// Since when the ledger has the task with this period.
    since: Moment,
    /// The newest slot that was started.
    started: Option<Moment>,
    running: bool,
    /// Time of the last successful run; `None`: not read from the ledger yet.
    last_success: Option<Moment>,
}

/// Reason why a pass failed.
#[derive(Debug, thiserror::Error)]
enum PassError {
    #[error(transparent)]
    Fence(#[from] FenceError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the database took longer than {0:?}")]
    TimedOut(Duration),
}

impl PassError {
    fn reason(&self) -> &'static str {
        match self {
            Self::Fence(error) => fence_reason(error),
            Self::Store(error) => error.reason(),
            Self::TimedOut(_) => "the database did not answer in time",
        }
    }
}

fn fence_reason(error: &FenceError) -> &'static str {
    match error {
        FenceError::Deposed => "another process leads",
        FenceError::Store(error) => error.reason(),
    }
}

impl Driver {
    /// Drives one term, until its `stop` is cancelled.
    pub async fn lead(self, leadership: Leadership) {
        let heartbeat = Heartbeat { heartbeat: leadership.heartbeat.clone(), clock: self.deps.clock.clone() };
        let runner = Runner {
            ledger: Ledger { fence: (self.fence)(&self.db, &leadership), instance: self.instance },
            leadership,
            db: self.db.clone(),
            fence: self.fence.clone(),
            workers: self.workers.clone(),
            deps: self.deps.clone(),
            failures: Arc::default(),
        };
        if let Some(tasks) = self.settle(&runner, &heartbeat).await {
            // Another process leads now.
            self.deps.changes.publish(Changed::LeaderRequests);
            let (runs, failures) = (JoinSet::new(), FailureStreak::default());
            TermLoop { driver: self, runner, heartbeat, tasks, runs, failures }.run().await;
        }
    }

    /// Enters the tasks into the ledger. `None`: the term ended meanwhile.
    async fn settle(&self, runner: &Runner, heartbeat: &Heartbeat) -> Option<Vec<ScheduledTask>> {
        let mut failures = FailureStreak::default();
        while !runner.leadership.stop.is_cancelled() {
            let settled = timeout(self.pass_limit, runner.ledger.settle(&self.schedules));
            match heartbeat.beat_during(settled).await {
                Err(_) => {
                    if failures.failed("timed_out") {
                        tracing::warn!("preparing the ledger of runs takes too long; trying again");
                    }
                }
                Ok(Ok(tasks)) => return Some(tasks.into_iter().map(ScheduledTask::new).collect()),
                Ok(Err(FenceError::Deposed)) => return None,
                Ok(Err(error)) => {
                    let reason = fence_reason(&error);
                    if failures.failed(reason) {
                        let error = with_sources(&error);
                        tracing::warn!(error, "could not prepare the ledger of runs: {reason}; trying again");
                    }
                    sleep(POLL).await;
                }
            }
        }
        None
    }
}

impl TermLoop {
    async fn run(mut self) {
        let stop = self.runner.leadership.stop.clone();
        let mut wakeups = self.driver.wakeup.subscribe_polling();
        while !stop.is_cancelled() {
            self.heartbeat.beat();
            self.collect_ended_runs();
            let pause = match self.limited_pass().await {
                Ok(pause) => {
                    if let Some(failures) = self.failures.ended() {
                        tracing::info!(failures, "passes of the scheduler succeed again");
                    }
                    pause
                }
                Err(PassError::Fence(FenceError::Deposed)) => {
                    stop.cancelled().await;
                    break;
                }
                Err(error) => {
                    let reason = error.reason();
                    if self.failures.failed(reason) {
                        let error = with_sources(&error);
                        tracing::warn!(error, "a pass of the scheduler failed: {reason}; trying again");
                    }
                    POLL
                }
            };
            self.heartbeat.beat();
            self.driver.deps.crash.pass_loop().await;
            stop.run_until_cancelled(self.pause(pause, &mut wakeups)).await;
        }
        // Runs end by themselves, because their next fenced transaction is refused. Their rows stay `running`, and the next
        // leader repeats them.
        self.runs.detach_all();
        for task in &self.tasks {
            // Only the leader reports the age.
            success_age(task.schedule.task).set(f64::NAN);
        }
    }

    /// Waits for the time of the next pass, for a wake-up, or for the end of a run. The heartbeat goes on meanwhile.
    async fn pause(&mut self, pause: Duration, wakeups: &mut PollReceiver) {
        let Self { heartbeat, runs, tasks, .. } = self;
        // Also by the clock that slots are computed from: this one may be set, and timers stand still in suspend.
        let until = heartbeat.clock.now().plus(i64::try_from(pause.as_micros()).unwrap_or(i64::MAX));
        let clock = heartbeat.clock.clone();
        let late = async {
            while clock.now() < until {
                tick().await;
            }
        };
        let waiting = async {
            tokio::select! {
                () = sleep(pause) => {}
                () = late => {}
                () = wakeups.wait() => {}
                Some(ended) = runs.join_next() => collect(tasks, ended),
            }
        };
        heartbeat.beat_during(waiting).await;
    }

    fn collect_ended_runs(&mut self) {
        while let Some(ended) = self.runs.try_join_next() {
            collect(&mut self.tasks, ended);
        }
    }

    /// One pass with a time limit. The heartbeat goes on meanwhile: a database that does not answer is no reason to release
    /// the lease. If the database stays away, the lease expires.
    async fn limited_pass(&mut self) -> Result<Duration, PassError> {
        let (heartbeat, limit) = (self.heartbeat.clone(), self.driver.pass_limit);
        heartbeat.beat_during(timeout(limit, self.pass())).await.map_err(|_| PassError::TimedOut(limit))?
    }

    /// Starts every run that is due or requested; returns the time until the next pass.
    async fn pass(&mut self) -> Result<Duration, PassError> {
        let now = clock::now(&self.driver.db).await?;
        self.report_success_ages(now).await?;
        let pause = self.start_due_runs(now).await?;
        self.serve_requests().await?;
        Ok(pause)
    }

    /// Time since each task's last success, for alerts.
    async fn report_success_ages(&mut self, now: Moment) -> Result<(), StoreError> {
        if self.tasks.iter().any(|task| task.last_success.is_none()) {
            let last = run_history::last_successes(&self.driver.db).await?;
            for task in &mut self.tasks {
                task.last_success = Some(last.get(&task.schedule.task).copied().unwrap_or(task.since));
            }
        }
        for task in &self.tasks {
            let age = now.since(task.last_success.unwrap_or(task.since)).max(0);
            success_age(task.schedule.task).set(age as f64 / SECOND as f64);
        }
        Ok(())
    }

    async fn start_due_runs(&mut self, now: Moment) -> Result<Duration, FenceError> {
        let is_due = |task: &ScheduledTask| task.is_due(now);
        let missed: Vec<(Task, Moment)> =
            self.tasks.iter().filter(|task| is_due(task)).flat_map(|task| task.missed_slots(now)).collect();
        self.runner.ledger.coalesce(&missed, now).await?;
        let mut pause = match self.driver.db.engine() {
            Engine::Postgres => POLL,
            Engine::Sqlite => POLL_WATCHED,
        };
        for task in &mut self.tasks {
            pause = pause.min(task.until_next_slot(now) + Duration::from_millis(1));
            if !is_due(task) {
                continue;
            }
            let slot = task.schedule.slot(now);
            task.started = Some(slot);
            task.running = true;
            let run = Run { task: task.schedule.task, slot, trigger: Trigger::Schedule };
            self.runs.spawn(self.runner.clone().run(run, None, task.schedule));
        }
        Ok(pause)
    }

    async fn serve_requests(&mut self) -> Result<(), FenceError> {
        for (request, kind) in self.runner.ledger.requests().await? {
            match kind {
                RequestKind::StepDown => {
                    self.runner.ledger.take(request).await?;
                    self.runner.leadership.step_down.notify_one();
                }
                RequestKind::Run(task, slot) => self.start_requested_run(request, task, slot),
            }
        }
        Ok(())
    }

    /// Starts a requested run. A request for a task that runs now or is not scheduled here stays in the list.
    fn start_requested_run(&mut self, request: Uuid, task: Task, slot: Moment) {
        let found = self.tasks.iter_mut().find(|known| known.schedule.task == task && !known.running);
        let Some(known) = found else { return };
        known.running = true;
        let run = Run { task, slot, trigger: Trigger::Request };
        self.runs.spawn(self.runner.clone().run(run, Some(request), known.schedule));
    }
}

impl ScheduledTask {
    fn new((schedule, since): (Schedule, Moment)) -> Self {
        Self { schedule, since, started: None, running: false, last_success: None }
    }

    fn is_due(&self, now: Moment) -> bool {
        let is_started = self.started == Some(self.schedule.slot(now));
        !is_started && !self.running && self.schedule.newest_counts(now, self.since)
    }

    fn until_next_slot(&self, now: Moment) -> Duration {
        Duration::from_micros(self.schedule.next_slot(now).since(now).max(0).unsigned_abs())
    }

    /// The slots since the last one that was started; after a claim, all in the window.
    fn missed_slots(&self, now: Moment) -> impl Iterator<Item = (Task, Moment)> {
        let since = self.started.map_or(self.since, |started| self.since.max(started.plus(1)));
        self.schedule.older_slots(now, since).into_iter().map(|slot| (self.schedule.task, slot))
    }
}

fn success_age(task: Task) -> metrics::Gauge {
    metrics::gauge!("scheduler_last_success_age_seconds", "task" => task.name())
}

/// Records that a run has ended.
fn collect(tasks: &mut [ScheduledTask], ended: Result<Task, JoinError>) {
    let Ok(ended) = ended else { return };
    for task in tasks.iter_mut().filter(|task| task.schedule.task == ended) {
        task.running = false;
        // To be read from the ledger again.
        task.last_success = None;
    }
}
