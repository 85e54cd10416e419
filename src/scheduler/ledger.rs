//! The ledger under the fence: each entry is a fenced transaction of its own.

use uuid::Uuid;

use crate::domain::ids::Epoch;
use crate::domain::moment::Moment;
use crate::domain::schedule::{Schedule, Task};
use crate::store::runs::{self, Outcome, Run, Trigger};
use crate::store::{Fence, FenceError, clock, retry};

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
        let mut tx = self.fence.begin().await?;
        let now = clock::now(self.fence.db()).await?;
        let mut since = Vec::with_capacity(schedules.len());
        for schedule in schedules {
            since.push((schedule.task, runs::set_task(&mut tx, *schedule, now).await?));
            let abandoned = runs::abandon(&mut tx, schedule.task, self.epoch(), schedule.slot(now), now).await?;
            if abandoned > 0 {
                tracing::warn!(task = schedule.task.name(), abandoned, "runs of an earlier leader were never finished");
            }
        }
        tx.commit().await?;
        Ok(since)
    }

    /// Gives every slot that nobody ran a row.
    pub(super) async fn coalesce(&self, task: Task, slots: &[Moment], now: Moment) -> Result<u64, FenceError> {
        let mut tx = self.fence.begin().await?;
        let entered = runs::coalesce(&mut tx, task, slots, self.epoch(), self.instance, now).await?;
        tx.commit().await?;
        Ok(entered)
    }

    /// Starts a run; `None` when its slot needs none.
    pub(super) async fn start(&self, run: Run, now: Moment) -> Result<Option<i64>, FenceError> {
        retry(FenceError::is_retry, || async {
            let mut tx = self.fence.begin().await?;
            let attempt = runs::start(&mut tx, run, self.epoch(), self.instance, now).await?;
            tx.commit().await?;
            Ok(attempt)
        })
        .await
    }

    /// Enters how a run ended.
    pub(super) async fn finish(&self, run: Run, outcome: &Outcome) -> Result<(), FenceError> {
        retry(FenceError::is_retry, || async {
            let mut tx = self.fence.begin().await?;
            let now = clock::now(self.fence.db()).await?;
            runs::finish(&mut tx, run, self.epoch(), outcome, now).await?;
            tx.commit().await
        })
        .await
    }

    /// Takes up the oldest request for a task of which `is_free` says that it is not running.
    pub(super) async fn take_request(
        &self,
        now: Moment,
        is_free: impl Fn(Task) -> bool,
    ) -> Result<Option<Run>, FenceError> {
        for request in runs::requests(self.fence.db()).await? {
            let task = Task::from_name(&request.task);
            if task.is_some_and(|task| !is_free(task)) {
                continue;
            }
            let mut tx = self.fence.begin().await?;
            let taken = runs::take_request(&mut tx, request.id).await?;
            tx.commit().await?;
            match task {
                Some(task) if taken => return Ok(Some(Run { task, slot: now, trigger: Trigger::Request })),
                Some(_) => {}
                None => {
                    tracing::warn!(task = request.task, "somebody asked for a task that this version does not know")
                }
            }
        }
        Ok(None)
    }

    fn epoch(&self) -> Epoch {
        self.fence.term().epoch()
    }
}
