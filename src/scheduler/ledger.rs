//! The ledger under the fence: each entry is a fenced transaction of its own.

use uuid::Uuid;

use crate::domain::ids::Epoch;
use crate::domain::moment::Moment;
use crate::domain::schedule::{Schedule, Task};
use crate::store::clock;
use crate::store::cluster::runs;
use crate::store::cluster::runs::{Outcome, Run};
use crate::store::{Fence, FenceError};

/// What people ask of the leader.
#[derive(Clone, Copy, Debug)]
pub(super) enum Asked {
    /// A task, and the slot of the run.
    Run(Task, Moment),
    /// To hand over.
    StepDown,
}

/// The ledger of one term, kept by one process.
#[derive(Clone, Debug)]
pub(super) struct Ledger {
    pub(super) fence: Fence,
    pub(super) instance: Uuid,
}

impl Ledger {
    /// The first fenced transaction of a term: enters the tasks with their periods, and gives up runs of older terms
    /// that nobody will take up again. Returns since when each task and period have been so.
    pub(super) async fn settle(&self, schedules: &[Schedule]) -> Result<Vec<(Task, Moment)>, FenceError> {
        let now = clock::now(self.fence.db()).await?;
        let mut tx = self.fence.begin().await?;
        runs::forget_requests(&mut tx, now).await?;
        let (mut since, mut abandoned) = (Vec::with_capacity(schedules.len()), Vec::new());
        for schedule in schedules {
            since.push((schedule.task, runs::set_task(&mut tx, *schedule, now).await?));
            let count = runs::abandon(&mut tx, schedule.task, self.epoch(), schedule.slot(now), now).await?;
            if count > 0 {
                abandoned.push((schedule.task.name(), count));
            }
        }
        tx.commit().await?;
        for (task, count) in abandoned {
            tracing::warn!(task, count, "runs of an earlier leader were never finished");
            metrics::counter!("scheduler_slots_total", "task" => task, "state" => "abandoned").increment(count);
        }
        Ok(since)
    }

    /// Gives every slot that nobody ran a row.
    pub(super) async fn coalesce(&self, task: Task, slots: &[Moment], now: Moment) -> Result<u64, FenceError> {
        let mut tx = self.fence.begin().await?;
        let entered = runs::coalesce(&mut tx, task, slots, self.epoch(), self.instance, now).await?;
        tx.commit().await?;
        Ok(entered)
    }

    /// Starts a run, and takes the request for it off the list; `None` when its slot needs none. May be repeated with
    /// the same `now` after an error.
    pub(super) async fn start(&self, run: Run, request: Option<Uuid>, now: Moment) -> Result<Option<i64>, FenceError> {
        let mut tx = self.fence.begin().await?;
        let attempt = runs::start(&mut tx, run, self.epoch(), self.instance, now).await?;
        if let Some(request) = request {
            runs::take_request(&mut tx, request).await?;
        }
        tx.commit().await?;
        Ok(attempt)
    }

    /// Enters how a run ended. May be repeated after an error.
    pub(super) async fn finish(&self, run: Run, outcome: &Outcome) -> Result<(), FenceError> {
        let now = clock::now(self.fence.db()).await?;
        let mut tx = self.fence.begin().await?;
        runs::finish(&mut tx, run, self.epoch(), outcome, now).await?;
        tx.commit().await
    }

    /// What was asked for, oldest first. A request for a task that this version does not know waits for one that does.
    pub(super) async fn requests(&self) -> Result<Vec<(Uuid, Asked)>, FenceError> {
        let asked = |request: runs::Request| {
            let asked = match Task::from_name(&request.task) {
                Some(task) => Asked::Run(task, Moment::from_micros(request.requested_at)),
                None if request.task == runs::STEP_DOWN => Asked::StepDown,
                None => return None,
            };
            Some((request.id, asked))
        };
        Ok(runs::requests(self.fence.db()).await?.into_iter().filter_map(asked).collect())
    }

    /// Takes a request off the list.
    pub(super) async fn take(&self, request: Uuid) -> Result<(), FenceError> {
        let mut tx = self.fence.begin().await?;
        runs::take_request(&mut tx, request).await?;
        tx.commit().await
    }

    fn epoch(&self) -> Epoch {
        self.fence.term().epoch()
    }
}
