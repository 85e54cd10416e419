//! The ledger of runs. Each write is a fenced transaction.

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::domain::ids::Epoch;
use crate::domain::moment::Moment;
use crate::domain::schedule::{Schedule, Task};
use crate::store::clock;
use crate::store::cluster::requests;
use crate::store::cluster::runs;
use crate::store::cluster::runs::{Outcome, Run};
use crate::store::{Fence, FenceError, FencedTx};

/// Number of coalesced slots recorded in one statement: few enough for its time limit on a slow database.
const COALESCE_BATCH: usize = 500;

/// A request to the leader.
#[derive(Clone, Copy, Debug)]
pub(super) enum RequestKind {
    /// Run a task now. The slot of the run is the time of the request.
    Run(Task, Moment),
    /// Hand the lease over.
    StepDown,
}

/// The ledger as the leader of one term writes it.
#[derive(Clone, Debug)]
pub(super) struct Ledger {
    pub(super) fence: Fence,
    pub(super) instance: Uuid,
}

impl Ledger {
    /// The first fenced transaction of a term: stores the tasks with their periods, and marks runs of earlier terms that
    /// will not be repeated as abandoned. Returns each schedule with the time since which it has applied.
    pub(super) async fn settle(&self, schedules: &[Schedule]) -> Result<Vec<(Schedule, Moment)>, FenceError> {
        let now = clock::now(self.fence.db()).await?;
        let enter = async |tx: &mut FencedTx| -> Result<_, FenceError> {
            requests::delete_old(tx, now).await?;
            let registered = runs::registered_tasks(tx).await?;
            let mut since = Vec::with_capacity(schedules.len());
            for schedule in schedules {
                let found = registered.iter().find(|(known, _)| known == schedule);
                since.push((
                    *schedule,
                    match found {
                        Some((_, since)) => *since,
                        None => runs::set_task(tx, *schedule, now).await?,
                    },
                ));
            }
            let tasks: Vec<Task> = schedules.iter().map(|schedule| schedule.task).collect();
            Ok((since, runs::abandon(tx, &tasks, self.epoch(), now).await?))
        };
        let (since, abandoned) = self.fence.transaction("settle ledger", enter).await?;
        for (task, count) in counts(abandoned) {
            tracing::warn!(task, count, "runs of an earlier leader were not finished and will not be repeated");
            metrics::counter!("scheduler_slots_total", "task" => task, "state" => "abandoned").increment(count);
        }
        Ok(since)
    }

    /// Records slots that nobody ran.
    pub(super) async fn coalesce(&self, slots: &[(Task, Moment)], now: Moment) -> Result<(), FenceError> {
        for slots in slots.chunks(COALESCE_BATCH) {
            let coalesce = async |tx: &mut FencedTx| -> Result<_, FenceError> {
                Ok(runs::coalesce(tx, slots, self.epoch(), self.instance, now).await?)
            };
            let entered = self.fence.transaction("coalesce slots", coalesce).await?;
            for (task, count) in counts(entered) {
                metrics::counter!("scheduler_slots_total", "task" => task, "state" => "coalesced").increment(count);
            }
        }
        Ok(())
    }

    /// Records the start of a run and deletes its request. Returns the number of the attempt; `None` if the slot needs no
    /// run. May be repeated with the same `now` after an error.
    pub(super) async fn start(&self, run: Run, request: Option<Uuid>, now: Moment) -> Result<Option<i64>, FenceError> {
        let start = async |tx: &mut FencedTx| {
            let attempt = runs::start(tx, run, self.epoch(), self.instance, now).await?;
            if let Some(request) = request {
                requests::delete(tx, request).await?;
            }
            Ok(attempt)
        };
        self.fence.transaction("start run", start).await
    }

    /// Records the outcome of a run. May be repeated after an error.
    pub(super) async fn finish(&self, run: Run, outcome: &Outcome) -> Result<(), FenceError> {
        let now = clock::now(self.fence.db()).await?;
        let finish = async |tx: &mut FencedTx| Ok(runs::finish(tx, run, self.epoch(), outcome, now).await?);
        self.fence.transaction("finish run", finish).await
    }

    /// Reads the requests, oldest first, without those for tasks that only another version knows.
    pub(super) async fn requests(&self) -> Result<Vec<(Uuid, RequestKind)>, FenceError> {
        let known = |request: requests::Request| {
            let kind = match Task::from_name(&request.task) {
                Some(task) => RequestKind::Run(task, Moment::from_micros(request.requested_at)),
                None if request.task == requests::STEP_DOWN => RequestKind::StepDown,
                None => return None,
            };
            Some((request.id, kind))
        };
        Ok(requests::unhandled(self.fence.db()).await?.into_iter().filter_map(known).collect())
    }

    /// Deletes a request.
    pub(super) async fn take(&self, request: Uuid) -> Result<(), FenceError> {
        self.fence.transaction("take request", async |tx| Ok(requests::delete(tx, request).await?)).await
    }

    fn epoch(&self) -> Epoch {
        self.fence.term().epoch()
    }
}

/// Number of runs of each task.
fn counts(tasks: Vec<String>) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for task in tasks {
        *counts.entry(task).or_default() += 1;
    }
    counts
}
