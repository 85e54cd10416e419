//! Keeps every node in step while this process leads: one task per enabled node, and one dispatcher for all.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::connected::ConnectedNode;
use super::dispatcher::{dispatch, notified};
use super::doubt;
use super::engine_probe::{probe_engines, recall};
use super::fleet::Fleet;
use super::full_lists::FullLists;
use super::node_health::HealthRegistry;
use super::pending_changes::Tracker;
use super::running_calls::RunningCalls;
use super::session::Context;

use super::timing::{AFTER_FAILURE, Timing};
use super::tls::PanelIdentity;
use crate::clock::Clock;
use crate::domain::ids::UserId;
use crate::foundation::with_sources;
use crate::store::nodes::doubt::Users;
use crate::store::nodes::expected_users;
use crate::store::users::changes;
use crate::store::{Fence, FenceError, IdList, StoreError};

/// Keeps nodes in step while [`Supervisor::lead`] runs. One per process; clones share it.
#[derive(Clone, Debug)]
pub struct Supervisor {
    clock: Clock,
    identity: PanelIdentity,
    wake: watch::Receiver<()>,
    seed: u64,
    timing: Timing,
    health: Arc<HealthRegistry>,
    calls: RunningCalls,
    holding: TaskTracker,
    /// Held for a whole term: the next term starts when the sessions of the last one have ended.
    leading: Arc<tokio::sync::Mutex<()>>,
}

impl Supervisor {
    /// `wake` is notified when users or nodes may have changed; `seed` is for jitter.
    pub fn new(clock: Clock, identity: PanelIdentity, wake: watch::Receiver<()>, seed: u64, timing: Timing) -> Self {
        let health = Arc::new(HealthRegistry::new(timing.steady));
        let holding = TaskTracker::new();
        holding.close();
        let (calls, leading) = (RunningCalls::default(), Arc::default());
        Self { clock, identity, wake, seed, timing, health, calls, holding, leading }
    }

    /// Returns the nodes from which usage can be fetched, by id. Empty while this process does not lead.
    pub fn connected(&self) -> Vec<ConnectedNode> {
        self.health.connected()
    }

    /// Notified whenever this process wrote the status of nodes.
    pub fn written_status(&self) -> watch::Receiver<()> {
        self.health.written.subscribe()
    }

    /// Notified whenever this process wrote a report that differs from what the database had: engines or inbounds came,
    /// went or changed.
    pub fn written_reports(&self) -> watch::Receiver<()> {
        self.health.new_report.subscribe()
    }

    /// Keeps all nodes in step until `stop`, then ends every session and marks nodes with unconfirmed sends as dirty.
    /// Calls that change a node's users run to their end after that.
    pub async fn lead(&self, fence: Fence, stop: CancellationToken) {
        let _leading = self.leading.lock().await;
        // A hand-over waits for the marks, so that the next leader sees them.
        let _announced = fence.open_work();
        let stop = stop.child_token();
        // The tasks also stop when this future is dropped.
        let _guard = stop.clone().drop_guard();
        let Some(unconfirmed) = stop.run_until_cancelled(unconfirmed(&fence)).await else { return };
        let context = Arc::new(Context {
            fence: fence.clone(),
            clock: self.clock.clone(),
            identity: self.identity.clone(),
            timing: self.timing.clone(),
            health: self.health.clone(),
            tracker: Tracker::default(),
            full_lists: FullLists::default(),
            unconfirmed,
            calls: self.calls.clone(),
            leaving: stop.clone(),
            holding: self.holding.clone(),
        });
        recall(&context).await;
        let dispatching = dispatch(&fence, &context.tracker, self.wake.clone(), self.timing.poll_changes, &stop);
        let reconciling = self.reconcile(&context, &stop);
        tokio::join!(dispatching, reconciling, probe_engines(&context, &stop));
        self.health.forget_all();
    }

    /// Waits until the sessions of a term that is over have ended, and every call that changes a node's users.
    pub async fn stopped(&self) {
        drop(self.leading.lock().await);
        self.calls.ended().await;
        self.holding.wait().await;
    }

    async fn reconcile(&self, context: &Arc<Context>, stop: &CancellationToken) {
        let mut wake = self.wake.clone();
        let mut fleet = Fleet::new(self.seed);
        let mut failing = false;
        while !stop.is_cancelled() {
            match fleet.reconcile(context, stop).await {
                Ok(()) => failing = false,
                Err(FenceError::Deposed) => {}
                Err(FenceError::Store(error)) => {
                    if !std::mem::replace(&mut failing, true) {
                        let error = with_sources(&error);
                        tracing::warn!(error, "could not read nodes or save their status; trying again");
                    }
                }
            }
            let pause = if failing { self.timing.poll_nodes.min(AFTER_FAILURE) } else { self.timing.poll_nodes };
            tokio::select! {
                () = stop.cancelled() => {}
                () = sleep(pause) => {}
                () = notified(&mut wake) => {}
                () = self.health.changed() => {}
            }
        }
        fleet.stop().await;
    }
}

/// Returns the users whose changes an earlier leader had not confirmed when it died: it may have died in the middle of one.
/// None if there are too many of them.
async fn unconfirmed(fence: &Fence) -> Users {
    loop {
        let failed = match read_unconfirmed(fence).await {
            Ok(users) => return users,
            Err(error) => error,
        };
        tracing::debug!(error = with_sources(&failed), "could not read unconfirmed changes; trying again");
        sleep(AFTER_FAILURE).await;
    }
}

async fn read_unconfirmed(fence: &Fence) -> Result<Users, StoreError> {
    let marks = changes::page(fence.db(), UserId(i64::MIN), doubt::MOST + 1).await?;
    if marks.is_empty() || marks.len() > doubt::MOST {
        return Ok(Users::new());
    }
    let ids = IdList::new(marks.iter().map(|mark| mark.user_id));
    let users = expected_users::chosen(fence.db(), &ids).await?;
    Ok(users.into_iter().map(|user| (user.id, user.username)).collect())
}
