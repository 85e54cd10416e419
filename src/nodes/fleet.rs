//! The tasks of all enabled nodes, reconciled with the table of nodes.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::node_task::{NodeTask, run_sessions};
use super::session::Context;
use crate::domain::ids::NodeId;
use crate::store::FenceError;
use crate::store::nodes::sync_state::{self, NodeRow};

/// Delay that each node adds to the start of a new leader's sessions, at most [`LONGEST_SPREAD`]: 200 starts per
/// second.
const SPREAD_PER_NODE: Duration = Duration::from_millis(5);
const LONGEST_SPREAD: Duration = Duration::from_secs(10);

/// The tasks of all enabled nodes.
pub(super) struct Fleet {
    tasks: HashMap<NodeId, NodeTask>,
    /// Tasks that are stopping.
    stopping: Vec<JoinHandle<()>>,
    rng: StdRng,
}

impl Fleet {
    /// `seed` is for jitter.
    pub(super) fn new(seed: u64) -> Self {
        Self { tasks: HashMap::new(), stopping: Vec::new(), rng: StdRng::seed_from_u64(seed) }
    }

    /// Starts and stops tasks as the table of nodes says, and writes the nodes' health to the table.
    pub(super) async fn reconcile(
        &mut self,
        context: &Arc<Context>,
        stop: &CancellationToken,
    ) -> Result<(), FenceError> {
        let mut rows = sync_state::nodes(context.fence.db()).await?;
        rows.retain(|row| row.is_enabled());
        self.stop_all_but(context, &rows);

        let spread =
            if self.tasks.is_empty() { SPREAD_PER_NODE.saturating_mul(rows.len() as u32) } else { Duration::ZERO };
        let spread = spread.min(LONGEST_SPREAD);
        let mut changed = Vec::new();
        for row in &rows {
            let id = NodeId(row.id);
            self.reconcile_node(context, stop, row, spread);
            context.health.set_coefficient(id, row.usage_coefficient);
            if let Some(health) = context.health.reported(id)
                && (health.status.word() != row.status || health.message != row.message)
            {
                changed.push((id, health));
            }
        }
        if !changed.is_empty() {
            sync_state::set_health(&context.fence, &changed, context.clock.now()).await?;
            context.health.written.send_replace(());
        }
        Ok(())
    }

    /// Stops the tasks of nodes that are not among `rows`.
    fn stop_all_but(&mut self, context: &Context, rows: &[NodeRow]) {
        let enabled: HashSet<NodeId> = rows.iter().map(|row| NodeId(row.id)).collect();
        let gone = self.tasks.extract_if(|id, _| !enabled.contains(id));
        for (id, task) in gone {
            task.stop.cancel();
            self.stopping.push(task.handle);
            context.health.forget(id);
        }
        self.stopping.retain(|handle| !handle.is_finished());
    }

    /// Lets the node's task continue, or starts another one after a random delay of at most `spread`.
    fn reconcile_node(&mut self, context: &Arc<Context>, stop: &CancellationToken, row: &NodeRow, spread: Duration) {
        let id = NodeId(row.id);
        let previous = match self.tasks.remove(&id) {
            Some(mut task) if task.fits(row, context.timing.unserved) => {
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
                context.health.forget(id);
                Some(task.handle)
            }
            None => None,
        };
        let task = self.start(context, stop.child_token(), row.clone(), previous, spread);
        self.tasks.insert(id, task);
    }

    /// Starts a node's task. It waits for the previous one to end: a node has one session at a time.
    fn start(
        &mut self,
        context: &Arc<Context>,
        stop: CancellationToken,
        row: NodeRow,
        previous: Option<JoinHandle<()>>,
        spread: Duration,
    ) -> NodeTask {
        let resync = Arc::new(Notify::new());
        let delay = spread.mul_f64(self.rng.random_range(0.0..1.0));
        let rng = StdRng::seed_from_u64(self.rng.random());
        let reconnect = Arc::new(Notify::new());
        let sessions = run_sessions(context.clone(), row.clone(), stop.clone(), resync.clone(), reconnect.clone(), rng);
        let stopped = stop.clone();
        let handle = tokio::spawn(async move {
            if let Some(previous) = previous {
                previous.await.ok();
            }
            if stopped.run_until_cancelled(sleep(delay)).await.is_some() {
                sessions.await;
            }
        });
        NodeTask { row, asked: None, stop, resync, reconnect, handle }
    }

    /// Stops all tasks and waits for them.
    pub(super) async fn stop(self) {
        for task in self.tasks.values() {
            task.stop.cancel();
        }
        for handle in self.tasks.into_values().map(|task| task.handle).chain(self.stopping) {
            handle.await.ok();
        }
    }
}
