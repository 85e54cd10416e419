//! Keeps every node in step while this process leads: one task per enabled node, one dispatcher for all.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::connected::ConnectedNode;
use super::dispatcher::{dispatch, rang};
use super::full_lists::Lists;
use super::node_health::Roster;
use super::node_task::{NodeTask, keep};
use super::pending_changes::Desk;
use super::session::Context;
use super::tls::PanelIdentity;
use crate::clock::Clock;
use crate::domain::ids::NodeId;
use crate::domain::node::NodeStatus;
use crate::foundation::with_sources;
use crate::store::nodes::sync_state;
use crate::store::nodes::sync_state::{Health, NodeRow};
use crate::store::{Fence, FenceError};

/// How often and how long. The default is what the service runs with.
#[derive(Clone, Debug)]
pub struct Timing {
    /// Between two looks at the marks of changed users.
    pub poll_changes: Duration,
    /// Between two looks at the table of nodes.
    pub poll_nodes: Duration,
    /// Between two full syncs of a node, give or take a tenth.
    pub resync: Duration,
    /// How long a node may take over a list, and how much longer for each user: it hands each to an engine.
    pub list: (Duration, Duration),
    /// How long a node may hold back a change, or the end of a batch.
    pub batch: Duration,
    /// How long a batch must have been quiet at a node that does not acknowledge, before it counts as delivered.
    pub settle: Duration,
    /// How long a full sync may keep others from beginning.
    pub permit: Duration,
    /// The first pause before connecting again; it doubles up to the second.
    pub backoff: (Duration, Duration),
    /// A session that lasted this long begins with the first pause again, and a node that flapped is as others again.
    pub steady: Duration,
    /// A full sync that was asked for so long ago in vain may be had by a new connection. Longer than any list takes:
    /// what is inside of one has time-outs of its own.
    pub in_vain: Duration,
}

/// Keeps nodes in step. One per process, and clones are the same; it does nothing until it is told to lead.
#[derive(Clone, Debug)]
pub struct Supervisor {
    clock: Clock,
    identity: PanelIdentity,
    wake: watch::Receiver<()>,
    seed: u64,
    timing: Timing,
    roster: Arc<Roster>,
    /// Held for a whole term: the next one begins when the last one has cleared its desk.
    leading: Arc<tokio::sync::Mutex<()>>,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            poll_changes: Duration::from_millis(200),
            poll_nodes: Duration::from_secs(1),
            resync: Duration::from_secs(15 * 60),
            list: (Duration::from_secs(60), Duration::from_millis(20)),
            batch: Duration::from_secs(60),
            settle: Duration::from_millis(500),
            permit: Duration::from_secs(10),
            backoff: (Duration::from_millis(500), Duration::from_secs(30)),
            steady: Duration::from_secs(60),
            in_vain: Duration::from_secs(15 * 60),
        }
    }
}

impl Timing {
    /// How long a node may take over a list of so many users.
    pub(super) fn patience(&self, users: usize) -> Duration {
        let (least, each) = self.list;
        least.saturating_add(each.saturating_mul(u32::try_from(users).unwrap_or(u32::MAX)))
    }
}

impl Supervisor {
    /// `wake` rings when marks or nodes may have changed; `seed` is for jitter.
    pub fn new(clock: Clock, identity: PanelIdentity, wake: watch::Receiver<()>, seed: u64, timing: Timing) -> Self {
        let roster = Arc::new(Roster::new(timing.steady));
        Self { clock, identity, wake, seed, timing, roster, leading: Arc::default() }
    }

    /// The nodes with a session, by id. Empty while this process does not lead.
    pub fn connected(&self) -> Vec<ConnectedNode> {
        self.roster.connected()
    }

    /// Keeps all nodes in step until `stop`, then closes every session and marks those with sends under way.
    pub async fn lead(&self, fence: Fence, stop: CancellationToken) {
        let _turn = self.leading.lock().await;
        let stop = stop.child_token();
        // Also when this future is dropped.
        let _guard = stop.clone().drop_guard();
        let context = Arc::new(Context {
            fence: fence.clone(),
            clock: self.clock.clone(),
            identity: self.identity.clone(),
            timing: self.timing.clone(),
            roster: self.roster.clone(),
            desk: Arc::new(Desk::default()),
            lists: Lists::default(),
        });
        let dispatching = dispatch(&fence, &context.desk, self.wake.clone(), self.timing.poll_changes, &stop);
        let watching = self.watch(&context, &stop);
        tokio::join!(dispatching, watching);
        self.roster.forget_all();
    }

    /// Waits until a term that has ended has cleared its desk.
    pub async fn has_left(&self) {
        drop(self.leading.lock().await);
    }

    async fn watch(&self, context: &Arc<Context>, stop: &CancellationToken) {
        let mut wake = self.wake.clone();
        let mut fleet = Fleet { tasks: HashMap::new(), leaving: Vec::new(), rng: StdRng::seed_from_u64(self.seed) };
        let mut failing = false;
        while !stop.is_cancelled() {
            match fleet.reconcile(context, stop).await {
                Ok(()) => failing = false,
                Err(FenceError::Deposed) => {}
                Err(FenceError::Store(error)) => {
                    if !std::mem::replace(&mut failing, true) {
                        let error = with_sources(&error);
                        tracing::warn!(error, "nodes can't be read, or how they are can't be written");
                    }
                }
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = sleep(self.timing.poll_nodes) => {}
                () = rang(&mut wake) => {}
                () = self.roster.changed() => {}
            }
        }
        fleet.disband().await;
    }
}

/// The tasks of the nodes.
struct Fleet {
    tasks: HashMap<NodeId, NodeTask>,
    /// Told to stop, and nearly done.
    leaving: Vec<JoinHandle<()>>,
    rng: StdRng,
}

impl Fleet {
    /// Makes the tasks what the table of nodes says, and the table's health what the tasks say.
    async fn reconcile(&mut self, context: &Arc<Context>, stop: &CancellationToken) -> Result<(), FenceError> {
        let rows = sync_state::nodes(context.fence.db()).await?;
        let enabled = || rows.iter().filter(|row| row.status != NodeStatus::Disabled.word());
        let ids: HashSet<NodeId> = enabled().map(|row| NodeId(row.id)).collect();
        let gone: Vec<NodeId> = self.tasks.keys().filter(|id| !ids.contains(id)).copied().collect();
        for id in gone {
            if let Some(task) = self.tasks.remove(&id) {
                task.stop.cancel();
                self.leaving.push(task.handle);
            }
            context.roster.forget(id);
        }
        self.leaving.retain(|handle| !handle.is_finished());

        // A new leader finds all nodes waiting at once: about two hundred a second.
        let spread = if self.tasks.is_empty() { Duration::from_millis(5 * rows.len() as u64) } else { Duration::ZERO };
        let spread = spread.min(Duration::from_secs(10));
        let mut news = Vec::new();
        for row in enabled() {
            let id = NodeId(row.id);
            self.keep_one(context, stop, row, spread);
            context.roster.set_coefficient(id, row.usage_coefficient);
            let health = context.roster.health(id);
            news.extend(
                health
                    .filter(|health| health.status.word() != row.status || health.message != row.message)
                    .map(|health| (id, health)),
            );
        }
        if !news.is_empty() {
            sync_state::set_health(&context.fence, &news, context.clock.now()).await?;
        }
        Ok(())
    }

    fn keep_one(&mut self, context: &Arc<Context>, stop: &CancellationToken, row: &NodeRow, spread: Duration) {
        let id = NodeId(row.id);
        // The first list may be on its way: whoever kills it for a request of another one begins it for ever.
        let has_failed = |health: Health| health.status == NodeStatus::Unhealthy;
        let works = !context.roster.health(id).is_some_and(has_failed);
        let before = match self.tasks.remove(&id) {
            Some(mut task) if task.fits(row, works, context.timing.in_vain) => {
                if task.is_asked(row) {
                    task.resync(row);
                } else if row.dirty {
                    task.resync.notify_one();
                }
                task.row = row.clone();
                self.tasks.insert(id, task);
                return;
            }
            Some(task) => {
                task.stop.cancel();
                context.roster.forget(id);
                Some(task.handle)
            }
            None => None,
        };
        let stop = stop.child_token();
        let resync = Arc::new(Notify::new());
        let delay = spread.mul_f64(self.rng.random_range(0.0..1.0));
        let rng = StdRng::seed_from_u64(self.rng.random());
        let keeping = keep(context.clone(), row.clone(), stop.clone(), resync.clone(), rng);
        let waiting = stop.clone();
        let handle = tokio::spawn(async move {
            // One session per node at a time.
            if let Some(before) = before {
                before.await.ok();
            }
            if waiting.run_until_cancelled(sleep(delay)).await.is_some() {
                keeping.await;
            }
        });
        self.tasks.insert(id, NodeTask { row: row.clone(), asked: None, stop, resync, handle });
    }

    async fn disband(self) {
        for task in self.tasks.values() {
            task.stop.cancel();
        }
        for handle in self.tasks.into_values().map(|task| task.handle).chain(self.leaving) {
            handle.await.ok();
        }
    }
}
