//! The ledger under the fence: each entry is a fenced transaction of its own.

use uuid::Uuid;

use crate::domain::ids::Epoch;
use crate::domain::moment::Moment;
use crate::domain::schedule::{Schedule, Task};
use crate::store::clock;
use crate::store::cluster::runs;
use crate::store::cluster::runs::{Outcome, Run};
use crate::store::{Fence, FenceError, FencedTx};

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
        let enter = async |tx: &mut FencedTx| -> Result<_, FenceError> {
            runs::forget_requests(tx, now).await?;
            let (mut since, mut abandoned) = (Vec::with_capacity(schedules.len()), Vec::new());
            for schedule in schedules {
                since.push((schedule.task, runs::set_task(tx, *schedule, now).await?));
                let count = runs::abandon(tx, schedule.task, self.epoch(), schedule.slot(now), now).await?;
                if count > 0 {
                    abandoned.push((schedule.task.name(), count));
                }
            }
            Ok((since, abandoned))
        };
        let (since, abandoned) = self.fence.transaction("settle ledger", enter).await?;
        for (task, count) in abandoned {
            tracing::warn!(task, count, "runs of an earlier leader were never finished");
            metrics::counter!("scheduler_slots_total", "task" => task, "state" => "abandoned").increment(count);
        }
        Ok(since)
    }

    /// Gives every slot that nobody ran a row.
    pub(super) async fn coalesce(&self, task: Task, slots: &[Moment], now: Moment) -> Result<u64, FenceError> {
        let coalesce =
            async |tx: &mut FencedTx| Ok(runs::coalesce(tx, task, slots, self.epoch(), self.instance, now).await?);
        self.fence.transaction("coalesce slots", coalesce).await
    }

    /// Starts a run, and takes the request for it off the list; `None` when its slot needs none. May be repeated with
    /// the same `now` after an error.
    pub(super) async fn start(&self, run: Run, request: Option<Uuid>, now: Moment) -> Result<Option<i64>, FenceError> {
        let start = async |tx: &mut FencedTx| {
            let attempt = runs::start(tx, run, self.epoch(), self.instance, now).await?;
            if let Some(request) = request {
                runs::take_request(tx, request).await?;
            }
            Ok(attempt)
        };
        self.fence.transaction("start run", start).await
    }

    /// Enters how a run ended. May be repeated after an error.
    pub(super) async fn finish(&self, run: Run, outcome: &Outcome) -> Result<(), FenceError> {
        let now = clock::now(self.fence.db()).await?;
        let finish = async |tx: &mut FencedTx| Ok(runs::finish(tx, run, self.epoch(), outcome, now).await?);
        self.fence.transaction("finish run", finish).await
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
        self.fence.transaction("take request", async |tx| Ok(runs::take_request(tx, request).await?)).await
    }

    fn epoch(&self) -> Epoch {
        self.fence.term().epoch()
    }
}
