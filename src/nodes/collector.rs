//! Fetches usage from the connected nodes. A fetch is never cancelled: the node has reset its counters, and its reply
//! is the only copy.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::connected::{ConnectedNode, Usage, UsageError};
use super::reply_memory::ReplyMemory;
use super::spool::Spool;
use super::staging::{self, Staging};
use super::supervisor::Supervisor;
use crate::clock::Clock;
use crate::config::crash_point::{CrashPoint, UsageStep};
use crate::domain::ids::{NodeId, UserId};
use crate::domain::moment::Moment;
use crate::domain::usage::UsageReply;
use crate::foundation::lock;
use crate::store::clock;
use crate::store::nodes::expected_users;
use crate::store::usage::batches;
use crate::store::{Db, Fence, StoreError};

/// Fetches usage, spools it and stages it. Clones share its state.
#[derive(Clone)]
pub struct Collector(Arc<Inner>);

struct Inner {
    db: Db,
    clock: Clock,
    supervisor: Supervisor,
    staging: Staging,
    /// Memory of all replies together.
    memory: ReplyMemory,
    /// Nodes with a fetch under way.
    asking: Mutex<BTreeSet<NodeId>>,
    fetches: TaskTracker,
    crash: CrashPoint,
}

/// Fetches under way. They continue when this is dropped, and a later run applies their replies.
#[derive(Debug, Default)]
pub struct Replies(JoinSet<()>);

impl Replies {
    /// Waits for all fetches, until `end` at the latest. Returns whether all have ended.
    pub async fn until(&mut self, end: Instant) -> bool {
        timeout_at(end, async { while self.0.join_next().await.is_some() {} }).await.is_ok()
    }
}

impl Drop for Replies {
    fn drop(&mut self) {
        // Dropping a `JoinSet` aborts its tasks.
        self.0.detach_all();
    }
}

impl Collector {
    /// Creates this process's spool file under `data_dir/spool`.
    pub fn new(
        db: Db,
        clock: Clock,
        supervisor: Supervisor,
        data_dir: &Path,
        instance: Uuid,
        crash: CrashPoint,
    ) -> io::Result<Self> {
        let staging = Staging::new(db.clone(), data_dir, instance, crash)?;
        let (memory, asking, fetches) = (ReplyMemory::default(), Mutex::default(), TaskTracker::new());
        Ok(Self(Arc::new(Inner { db, clock, supervisor, staging, memory, asking, fetches, crash })))
    }

    /// Creates a spool file under `data_dir/spool`, and removes it again, with the folders that were missing.
    pub fn probe(data_dir: &Path) -> io::Result<()> {
        Spool::probe(&staging::folder(data_dir))
    }

    /// Starts a fetch from every connected node that has none under way. Asks no node if the database does not answer
    /// or the spool has no space: the bytes are safe on the nodes.
    pub async fn collect(&self, fence: &Fence) -> Result<Replies, StoreError> {
        // A process that shuts down waits for this token: announced nodes are either asked or withdrawn.
        let _under_way = self.0.fetches.token();
        if self.0.fetches.is_closed() {
            return Ok(Replies::default());
        }
        let now = clock::now(&self.0.db).await?;
        let newest = expected_users::newest(&self.0.db).await?;
        let nodes: Vec<(Uuid, ConnectedNode)> = {
            let mut asking = self.0.asking();
            let connected = self.0.supervisor.connected().into_iter();
            connected.filter(|node| asking.insert(node.id)).map(|node| (Uuid::now_v7(), node)).collect()
        };
        let requests = nodes.iter().map(|(id, node)| (*id, UsageReply::new(node.id, now, node.coefficient, [])));
        let mut replies = Replies::default();
        if !self.0.staging.announce(requests.collect()).await {
            self.0.asking().retain(|id| nodes.iter().all(|(_, node)| node.id != *id));
            return Ok(replies);
        }
        for (id, node) in nodes {
            let (inner, fence) = (self.0.clone(), fence.clone());
            replies.0.spawn(self.0.fetches.track_future(async move {
                let asked = node.id;
                inner.fetch(id, node, &fence, now, newest).await;
                inner.asking().remove(&asked);
            }));
        }
        Ok(replies)
    }

    /// Stages replies that the database did not accept before, and replies that processes left behind. To be called by
    /// every process, at start and each minute.
    pub async fn replay(&self) {
        self.0.staging.retry_unstaged().await;
        self.0.staging.replay_orphans(self.0.clock.now()).await;
    }

    /// Updates the metric of batches that wait in the database, by state.
    pub async fn report_pending(&self) -> Result<(), StoreError> {
        let pending = batches::pending(&self.0.db).await?;
        for (state, count) in
            [("staged", pending.staged), ("applied", pending.applied), ("set_aside", pending.quarantined)]
        {
            metrics::gauge!("usage_batches_pending", "state" => state).set(count as f64);
        }
        Ok(())
    }

    /// Waits for fetches under way, until `end` at the latest. The process that replays this process's file counts the
    /// others as ambiguous: a counter of this process would not be read any more.
    pub async fn shut_down(&self, end: Instant) {
        self.0.fetches.close();
        if timeout_at(end, self.0.fetches.wait()).await.is_err() {
            for node in self.0.asking().iter() {
                tracing::warn!(
                    node = node.0,
                    "shutting down during a usage fetch; the bytes counted since the last fetch may be lost"
                );
            }
        }
        self.replay().await;
        // A reply that is still under way needs the file.
        if self.0.asking().is_empty() {
            self.0.staging.close().await;
        }
    }
}

impl Inner {
    async fn fetch(&self, id: Uuid, node: ConnectedNode, fence: &Fence, now: Moment, newest: UserId) {
        if !fence.is_alive() {
            return self.staging.drop_batch(id).await;
        }
        self.crash.pass(UsageStep::BeforeRpc);
        match node.fetch_usage(newest, &self.memory).await {
            Ok(Usage { entries, memory: _memory }) => {
                let reply = UsageReply::new(node.id, now, node.coefficient, entries);
                if !reply.is_empty() {
                    return self.staging.keep(id, reply).await;
                }
            }
            Err(error @ UsageError::NotSent(_)) => {
                tracing::debug!(node = node.id.0, %error, "could not fetch a node's usage; the node still has it");
            }
            Err(error @ UsageError::Ambiguous(_)) => {
                metrics::counter!("usage_rpc_ambiguous_total", "node" => node.id.to_string()).increment(1);
                tracing::warn!(
                    node = node.id.0,
                    %error,
                    "could not fetch a node's usage; the bytes counted since the last fetch may be lost"
                );
            }
        }
        self.staging.drop_batch(id).await;
    }

    fn asking(&self) -> MutexGuard<'_, BTreeSet<NodeId>> {
        lock(&self.asking)
    }
}
