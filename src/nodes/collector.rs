//! Brings home what nodes counted: fetch, spool, stage, in this order and never cancelled in between, because a
//! node's reply is the only copy.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::connected::{ConnectedNode, UsageError};
use super::spool::{self, Orphan, Spool};
use super::supervisor::Supervisor;
use crate::clock::Clock;
use crate::config::crash_point::{CrashPoint, UsageStep};
use crate::domain::ids::NodeId;
use crate::domain::moment::Moment;
use crate::domain::usage::{UsageReply, raw_total};
use crate::foundation::{lock, with_sources};
use crate::store::clock;
use crate::store::usage::batches;
use crate::store::{Db, Fence, StoreError};

/// Fetches, spools and stages. Cheap to clone.
#[derive(Clone)]
pub struct Collector(Arc<Inner>);

struct Inner {
    db: Db,
    clock: Clock,
    supervisor: Supervisor,
    folder: PathBuf,
    spool: Mutex<Spool>,
    /// Nodes that are being asked.
    asking: Mutex<BTreeSet<NodeId>>,
    /// Replies that the database did not take yet.
    unstaged: Mutex<Vec<Unstaged>>,
    fetches: TaskTracker,
    crash: CrashPoint,
}

/// Fetches under way. Dropped, they go on; what they bring is applied by a later run.
#[derive(Debug, Default)]
pub struct Replies(JoinSet<()>);

impl Replies {
    /// Waits until all have come, but not longer than until `end`. True: all have.
    pub async fn until(&mut self, end: Instant) -> bool {
        timeout_at(end, async { while self.0.join_next().await.is_some() {} }).await.is_ok()
    }
}

impl Drop for Replies {
    fn drop(&mut self) {
        // A set that is dropped would cancel what is in it.
        self.0.detach_all();
    }
}

/// A reply that waits for the database.
struct Unstaged {
    id: Uuid,
    reply: UsageReply,
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
        let folder = data_dir.join("spool");
        let spool = Spool::create(&folder, instance)?;
        Ok(Self(Arc::new(Inner {
            db,
            clock,
            supervisor,
            folder,
            spool: Mutex::new(spool),
            asking: Mutex::default(),
            unstaged: Mutex::default(),
            fetches: TaskTracker::new(),
            crash,
        })))
    }

    /// Asks every connected node that is not being asked already. Asks nobody when the database does not answer or
    /// the spool has no room: the bytes are safe on the nodes.
    pub async fn collect(&self, fence: &Fence) -> Result<Replies, StoreError> {
        // A process that stops waits for this, too: who is noted as asked must be asked, or not be noted.
        let _under_way = self.0.fetches.token();
        if self.0.fetches.is_closed() {
            return Ok(Replies::default());
        }
        let now = clock::now(&self.0.db).await?;
        let mut replies = Replies::default();
        let nodes: Vec<(Uuid, ConnectedNode)> = {
            let mut asking = lock(&self.0.asking);
            let connected = self.0.supervisor.connected().into_iter();
            connected.filter(|node| asking.insert(node.id)).map(|node| (Uuid::now_v7(), node)).collect()
        };
        let asked: Vec<(Uuid, UsageReply)> =
            nodes.iter().map(|(id, node)| (*id, UsageReply::new(node.id, now, node.coefficient, []))).collect();
        let noted = self.blocking(move |inner| {
            let mut spool = lock(&inner.spool);
            spool.reserve(asked.len())?;
            if asked.is_empty() { Ok(()) } else { spool.ask(&asked) }
        });
        if let Err(error) = noted.await {
            tracing::error!(%error, folder = %self.0.folder.display(), "the spool has no room; usage stays on the nodes");
            lock(&self.0.asking).retain(|id| nodes.iter().all(|(_, node)| node.id != *id));
            return Ok(replies);
        }
        for (id, node) in nodes {
            let (this, fence) = (self.clone(), fence.clone());
            replies.0.spawn(self.0.fetches.track_future(async move {
                let asked = node.id;
                this.fetch(id, node, &fence, now).await;
                lock(&this.0.asking).remove(&asked);
            }));
        }
        Ok(replies)
    }

    async fn fetch(&self, id: Uuid, node: ConnectedNode, fence: &Fence, now: Moment) {
        if !fence.is_alive() {
            return self.settle(id).await;
        }
        self.0.crash.pass(UsageStep::BeforeRpc);
        match node.fetch_usage().await {
            Ok(entries) => {
                let reply = UsageReply::new(node.id, now, node.coefficient, entries);
                if !reply.entries.is_empty() {
                    return self.keep(id, reply).await;
                }
            }
            Err(error @ UsageError::NotSent(_)) => tracing::debug!(node = node.id.0, %error, "a node keeps its usage"),
            Err(error @ UsageError::Ambiguous(_)) => {
                metrics::counter!("usage_rpc_ambiguous_total", "node" => node.id.to_string()).increment(1);
                tracing::warn!(node = node.id.0, %error, "what a node had counted may be lost");
            }
        }
        self.settle(id).await;
    }

    /// Spools a reply, then stages it.
    async fn keep(&self, id: Uuid, reply: UsageReply) {
        self.0.crash.pass(UsageStep::AfterReply);
        let reply = Arc::new(reply);
        let spooling = reply.clone();
        let spooled = self.blocking(move |inner| lock(&inner.spool).append(id, &spooling)).await;
        if let Err(error) = &spooled {
            tracing::error!(%error, "a reply could not be spooled; it goes to the database all the same");
        }
        self.0.crash.pass(UsageStep::AfterSpool);
        metrics::gauge!("usage_spool_bytes").set(lock(&self.0.spool).len() as f64);
        let reply = Arc::unwrap_or_clone(reply);
        self.stage(Unstaged { id, reply }).await;
    }

    /// Nothing needs to be remembered of a reply any more.
    async fn settle(&self, id: Uuid) {
        if let Err(error) = self.blocking(move |inner| lock(&inner.spool).settled(id)).await {
            tracing::warn!(%error, "the spool could not be emptied; its records will be replayed, which does no harm");
        }
        metrics::gauge!("usage_spool_bytes").set(lock(&self.0.spool).len() as f64);
    }

    async fn stage(&self, unstaged: Unstaged) {
        match batches::stage(&self.0.db, unstaged.id, &unstaged.reply).await {
            Ok(_) => {
                self.0.crash.pass(UsageStep::AfterBatch);
                self.settle(unstaged.id).await;
            }
            Err(error) => {
                tracing::warn!(
                    error = with_sources(&error),
                    node = unstaged.reply.node.0,
                    bytes = raw_total(&unstaged.reply.entries),
                    "a reply could not be staged; it is kept and tried again"
                );
                lock(&self.0.unstaged).push(unstaged);
            }
        }
    }

    /// Stages what the database would not take before, and what processes that are gone left behind. For every
    /// process, at start and each minute.
    pub async fn replay(&self) {
        let waiting = std::mem::take(&mut *lock(&self.0.unstaged));
        for unstaged in waiting {
            self.stage(unstaged).await;
        }
        let now = self.0.clock.now();
        match self.blocking(move |inner| spool::orphans(&inner.folder, now)).await {
            Ok(found) => {
                for orphan in found.files {
                    self.adopt(orphan).await;
                }
            }
            Err(error) => tracing::warn!(%error, folder = %self.0.folder.display(), "the spool folder can't be read"),
        }
    }

    async fn adopt(&self, orphan: Orphan) {
        if orphan.torn > 0 {
            tracing::error!(bytes = orphan.torn, "a process died while spooling a reply; what it had of it is dropped");
        }
        if orphan.too_old > 0 {
            tracing::error!(records = orphan.too_old, "spooled replies are older than 30 days; set aside, not counted");
        }
        for (id, reply) in &orphan.replies {
            if let Err(error) = batches::stage(&self.0.db, *id, reply).await {
                tracing::warn!(
                    error = with_sources(&error),
                    "a spooled reply could not be staged; trying again in a minute"
                );
                return;
            }
        }
        if !orphan.replies.is_empty() {
            tracing::info!(replies = orphan.replies.len(), "staged what another process had spooled");
        }
        let unanswered = orphan.unanswered.clone();
        if let Err(error) = self.blocking(move |_| orphan.settle()).await {
            tracing::warn!(%error, "a replayed spool file could not be removed; it will be replayed again, which does no harm");
            return;
        }
        for node in unanswered {
            metrics::counter!("usage_rpc_ambiguous_total", "node" => node.to_string()).increment(1);
            tracing::warn!(
                node = node.0,
                "a process died while it asked a node for its usage; what the node had counted may be lost"
            );
        }
    }

    /// Tells the metrics how many batches wait in the database.
    pub async fn report_pending(&self) -> Result<(), StoreError> {
        let pending = batches::pending(&self.0.db).await?;
        for (state, count) in
            [("staged", pending.staged), ("applied", pending.applied), ("set_aside", pending.set_aside)]
        {
            metrics::gauge!("usage_batches_pending", "state" => state).set(count as f64);
        }
        Ok(())
    }

    /// Waits until `end` for fetches that are under way. What has not come by then is counted as ambiguous by whoever
    /// finds this process's file: here nobody would see the counter any more.
    pub async fn shut_down(&self, end: Instant) {
        self.0.fetches.close();
        if timeout_at(end, self.0.fetches.wait()).await.is_err() {
            for node in lock(&self.0.asking).iter() {
                tracing::warn!(
                    node = node.0,
                    "this process stops before a node's usage came; what it had counted may be lost"
                );
            }
        }
        self.replay().await;
        if !lock(&self.0.asking).is_empty() {
            // A reply may still come: it needs its file.
            return;
        }
        if let Err(error) = self.blocking(|inner| lock(&inner.spool).close()).await {
            tracing::warn!(%error, "the spool file could not be removed; another process will");
        }
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let inner = self.0.clone();
        tokio::task::spawn_blocking(move || work(&inner)).await.unwrap_or_else(|panic| Err(io::Error::other(panic)))
    }
}
