//! The scheduler's loop: looks at the database's clock, starts what is due, and enters it in the ledger.
//!
//! It runs on the lease's own thread, and beats the heartbeat by which the renewer knows that it is not stuck. The bodies
//! of tasks run on the workers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use super::ledger::{Asked, Ledger};
use super::tasks::{self, Context, Deps, TaskError};
use crate::cluster::leadership::Leadership;
use crate::cluster::wakeup::{Wakeup, WakeupReceiver};
use crate::domain::moment::{Moment, SECOND};
use crate::domain::schedule::{MAX_ATTEMPTS, Schedule, Task};
use crate::foundation::{chain, with_sources};
use crate::store::clock;
use crate::store::cluster::runs;
use crate::store::cluster::runs::{Outcome, Run, Trigger};
use crate::store::{Db, Fence, FenceError, StoreError};

/// The poll behind the wakeup, and the longest pause of the loop.
const POLL: Duration = Duration::from_millis(200);

/// Slots that nobody ran, entered in one statement: well within its time-out, also on a slow database, or the same
/// many would be tried for ever.
const COALESCED_AT_ONCE: usize = 100;

/// Makes the fence of a term, on the connections given.
pub type MakeFence = Arc<dyn Fn(&Db, &Leadership) -> Fence + Send + Sync>;

/// What the driver is made of; the same for every term.
#[derive(Clone)]
pub struct Driver {
    /// This process.
    pub instance: Uuid,
    /// When each task runs. The leader's periods count.
    pub schedules: Vec<Schedule>,
    /// Connections of the lease's thread, for the ledger.
    pub db: Db,
    /// How long one look at the clock and the ledger may take.
    pub patience: Duration,
    /// Makes a fence for a term, on the connections given.
    pub fence: MakeFence,
    /// Rung when there may be a request.
    pub wakeup: Wakeup,
    /// Where the bodies of tasks run.
    pub workers: Handle,
    /// What the tasks need.
    pub deps: Arc<Deps>,
}

/// What the loop knows of each task.
struct State {
    /// The newest slot that has been seen to.
    seen: BTreeMap<Task, Moment>,
    since: BTreeMap<Task, Moment>,
    running: BTreeSet<Task>,
    /// When each task did its work last.
    succeeded: BTreeMap<Task, Moment>,
}

/// How a pass of the loop ended.
#[derive(Debug, thiserror::Error)]
enum PassError {
    #[error(transparent)]
    Fence(#[from] FenceError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the database takes too long")]
    Slow,
}

impl Driver {
    /// Drives one term, until its stop is called or its fence finds it deposed.
    pub async fn lead(self, leadership: Leadership) {
        let ledger = Ledger { fence: (self.fence)(&self.db, &leadership), instance: self.instance };
        let Some(since) = self.settle(&ledger, &leadership).await else { return };
        let mut state = State { seen: BTreeMap::new(), since, running: BTreeSet::new(), succeeded: BTreeMap::new() };
        let mut under_way = JoinSet::new();
        let mut wakeups = self.wakeup.subscribe();
        while !leadership.stop.is_cancelled() {
            self.beat(&leadership);
            while let Some(ended) = under_way.try_join_next() {
                if let Ok(task) = ended {
                    state.running.remove(&task);
                    // To be read again.
                    state.succeeded.remove(&task);
                }
            }
            let pause = match self.patient_pass(&ledger, &leadership, &mut state, &mut under_way).await {
                Ok(pause) => pause,
                Err(PassError::Fence(FenceError::Deposed)) => {
                    leadership.stop.cancelled().await;
                    break;
                }
                Err(error) => {
                    tracing::warn!(error = with_sources(&error), "a pass of the scheduler failed; trying again");
                    POLL
                }
            };
            self.beat(&leadership);
            self.deps.crash.pass_loop().await;
            tokio::select! {
                () = leadership.stop.cancelled() => {}
                () = rest(pause, &mut wakeups) => {}
            }
        }
        // Runs end by themselves: their next fenced transaction is refused. The ledger's row stays "running", and
        // the next leader takes it up.
        under_way.detach_all();
        for schedule in &self.schedules {
            // Whoever leads next tells it.
            success_age(schedule.task).set(f64::NAN);
        }
    }

    async fn settle(&self, ledger: &Ledger, leadership: &Leadership) -> Option<BTreeMap<Task, Moment>> {
        while !leadership.stop.is_cancelled() {
            let settled = timeout(self.patience, ledger.settle(&self.schedules));
            match self.beating(leadership, settled).await {
                Err(_) => tracing::warn!("settling the ledger takes too long; trying again"),
                Ok(Ok(since)) => return Some(since.into_iter().collect()),
                Ok(Err(FenceError::Deposed)) => return None,
                Ok(Err(error)) => {
                    tracing::warn!(error = with_sources(&error), "the ledger can't be settled; trying again");
                    sleep(POLL).await;
                }
            }
        }
        None
    }

    /// One pass, beating all the while: a database that does not answer is no reason to give the lease up. (If it is
    /// gone for good, the renewals say so.)
    async fn patient_pass(
        &self,
        ledger: &Ledger,
        leadership: &Leadership,
        state: &mut State,
        under_way: &mut JoinSet<Task>,
    ) -> Result<Duration, PassError> {
        let pass = timeout(self.patience, self.pass(ledger, leadership, state, under_way));
        self.beating(leadership, pass).await.map_err(|_| PassError::Slow)?
    }

    /// Waits for the database, beating all the while.
    async fn beating<T>(&self, leadership: &Leadership, answer: impl Future<Output = T>) -> T {
        tokio::pin!(answer);
        loop {
            self.beat(leadership);
            tokio::select! {
                answer = &mut answer => return answer,
                () = sleep(POLL) => {}
            }
        }
    }

    /// Starts what is due; returns how long nothing else will be.
    async fn pass(
        &self,
        ledger: &Ledger,
        leadership: &Leadership,
        state: &mut State,
        under_way: &mut JoinSet<Task>,
    ) -> Result<Duration, PassError> {
        let now = clock::now(&self.db).await?;
        let mut pause = POLL;
        self.tell_ages(state, now).await?;
        for schedule in &self.schedules {
            let until_next = schedule.next_slot(now).since(now).max(0);
            pause = pause.min(Duration::from_micros(until_next.unsigned_abs()) + Duration::from_millis(1));
            let slot = schedule.slot(now);
            let seen = state.seen.get(&schedule.task).copied();
            if seen == Some(slot) || state.running.contains(&schedule.task) {
                continue;
            }
            self.coalesce(ledger, *schedule, seen, state, now).await?;
            state.seen.insert(schedule.task, slot);
            state.running.insert(schedule.task);
            let run = Run { task: schedule.task, slot, trigger: Trigger::Schedule };
            under_way.spawn(self.clone().run(ledger.clone(), leadership.clone(), run, None, schedule.period));
        }
        for (request, asked) in ledger.requests().await? {
            let (task, slot) = match asked {
                Asked::Run(task, slot) => (task, slot),
                Asked::StepDown => {
                    ledger.take(request).await?;
                    leadership.hand_over.notify_one();
                    continue;
                }
            };
            let Some(schedule) = self.schedules.iter().find(|schedule| schedule.task == task) else { continue };
            if state.running.insert(task) {
                let run = Run { task, slot, trigger: Trigger::Request };
                under_way.spawn(self.clone().run(
                    ledger.clone(),
                    leadership.clone(),
                    run,
                    Some(request),
                    schedule.period,
                ));
            }
        }
        Ok(pause)
    }

    /// How long ago each task did its work last: what to be woken for.
    async fn tell_ages(&self, state: &mut State, now: Moment) -> Result<(), StoreError> {
        for schedule in &self.schedules {
            let task = schedule.task;
            let last = match state.succeeded.get(&task) {
                Some(last) => *last,
                None => runs::last_success(&self.db, task).await?.or(state.since.get(&task).copied()).unwrap_or(now),
            };
            state.succeeded.insert(task, last);
            success_age(task).set(now.since(last).max(0) as f64 / SECOND as f64);
        }
        Ok(())
    }

    /// Enters the slots that went by since the last one that was seen to (on a claim: all in the window).
    async fn coalesce(
        &self,
        ledger: &Ledger,
        schedule: Schedule,
        seen: Option<Moment>,
        state: &State,
        now: Moment,
    ) -> Result<(), FenceError> {
        let since = state.since.get(&schedule.task).copied().unwrap_or(now);
        let since = seen.map_or(since, |seen| since.max(seen.plus(1)));
        for older in schedule.older_slots(now, since).chunks(COALESCED_AT_ONCE) {
            let entered = ledger.coalesce(schedule.task, older, now).await?;
            metrics::counter!("scheduler_slots_total", "task" => schedule.task.name(), "state" => "coalesced")
                .increment(entered);
        }
        Ok(())
    }

    /// One run with its attempts, from the ledger's row to its end.
    async fn run(self, ledger: Ledger, leadership: Leadership, run: Run, request: Option<Uuid>, period: i64) -> Task {
        // Deposed: the next leader takes the run up.
        let _ = self.attempts(&ledger, &leadership, run, request, Duration::from_micros(period.unsigned_abs())).await;
        run.task
    }

    async fn attempts(
        &self,
        ledger: &Ledger,
        leadership: &Leadership,
        run: Run,
        request: Option<Uuid>,
        period: Duration,
    ) -> Result<(), FenceError> {
        for _ in 0..MAX_ATTEMPTS {
            let now = surely(leadership, || async { Ok(clock::now(&self.db).await?) }).await?;
            let start = surely(leadership, || ledger.start(run, request, now)).await?;
            let Some(attempt) = start else { return Ok(()) };
            metrics::histogram!("scheduler_slot_lag_seconds", "task" => run.task.name())
                .record(now.since(run.slot) as f64 / SECOND as f64);
            let outcome = match self.body(leadership, run, now).await {
                Ok(items) => Outcome::Done(items),
                Err(TaskError::Fence(FenceError::Deposed)) => return Err(FenceError::Deposed),
                Err(error) => Outcome::Failed(chain(&error)),
            };
            surely(leadership, || ledger.finish(run, &outcome)).await?;
            let Outcome::Failed(error) = outcome else {
                metrics::counter!("scheduler_slots_total", "task" => run.task.name(), "state" => "done").increment(1);
                return Ok(());
            };
            metrics::counter!("scheduler_slots_total", "task" => run.task.name(), "state" => "failed").increment(1);
            tracing::warn!(task = run.task.name(), slot = %run.slot.utc_iso(), attempt, error, "a run failed");
            // A tenth of the period apart, so that all attempts fit into the slot.
            if timeout(period / 10, leadership.stop.cancelled()).await.is_ok() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// The body, on the workers. A panic there is a failed run, not the end of the scheduler.
    async fn body(&self, leadership: &Leadership, run: Run, now: Moment) -> Result<i64, TaskError> {
        let context = Context {
            fence: (self.fence)(&self.deps.db, leadership),
            stop: leadership.stop.clone(),
            now,
            deps: self.deps.clone(),
        };
        let body = self.workers.spawn(async move { tasks::run(run.task, &context).await });
        body.await.unwrap_or_else(|panic| Err(TaskError::Panicked(panic)))
    }

    fn beat(&self, leadership: &Leadership) {
        leadership.heartbeat.beat(self.deps.clock.boot());
    }
}

fn success_age(task: Task) -> metrics::Gauge {
    metrics::gauge!("scheduler_last_success_age_seconds", "task" => task.name())
}

/// Does something in the ledger until it is done or the term is over: a slot whose row can't be written just now must
/// not be forgotten.
async fn surely<T, F: Future<Output = Result<T, FenceError>>>(
    leadership: &Leadership,
    mut entry: impl FnMut() -> F,
) -> Result<T, FenceError> {
    loop {
        match entry().await {
            Err(FenceError::Store(error)) => {
                tracing::warn!(error = with_sources(&error), "the ledger does not answer; trying again");
            }
            settled => return settled,
        }
        if timeout(POLL, leadership.stop.cancelled()).await.is_ok() {
            return Err(FenceError::Deposed);
        }
    }
}

async fn rest(pause: Duration, wakeups: &mut WakeupReceiver) {
    tokio::select! {
        () = sleep(pause) => {}
        () = wakeups.wait() => {}
    }
}
