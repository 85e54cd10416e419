//! Brings home what nodes counted: fetch, spool, stage, in this order and never cancelled in between, because a
//! node's reply is the only copy.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::connected::{ConnectedNode, UsageError};
use super::spool::{self, Orphan, Spool};
use super::supervisor::Supervisor;
use crate::clock::Clock;
use crate::domain::ids::NodeId;
use crate::domain::moment::Moment;
use crate::domain::usage::{UsageReply, raw_total};
use crate::store::{Db, Fence, StoreError, clock, usage_batches};

/// How long a run waits for slow nodes. Their fetches go on; what they bring is applied by a later run.
const PATIENCE: Duration = Duration::from_secs(10);

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
}

/// A reply that waits for the database.
struct Unstaged {
    id: Uuid,
    reply: UsageReply,
    spooled: bool,
}

impl Collector {
    /// Creates this process's spool file under `data_dir/spool`.
    pub fn new(db: Db, clock: Clock, supervisor: Supervisor, data_dir: &Path, instance: Uuid) -> io::Result<Self> {
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
        })))
    }

    /// Asks every connected node, and waits for the replies of all but the slow ones. Asks nobody when the database
    /// does not answer or the spool has no room: the bytes are safe on the nodes.
    pub async fn collect(&self, fence: &Fence) -> Result<(), StoreError> {
        let now = clock::now(&self.0.db).await?;
        let reserved = self.blocking(|inner| lock(&inner.spool).reserve()).await;
        if let Err(error) = reserved {
            tracing::error!(%error, folder = %self.0.folder.display(), "the spool has no room; usage stays on the nodes");
            return Ok(());
        }
        let mut replies = Vec::new();
        for node in self.0.supervisor.connected() {
            if lock(&self.0.asking).insert(node.id) {
                let (this, fence) = (self.clone(), fence.clone());
                replies.push(self.0.fetches.spawn(async move {
                    let id = node.id;
                    this.fetch(node, &fence, now).await;
                    lock(&this.0.asking).remove(&id);
                }));
            }
        }
        // Dropping a handle does not cancel its task.
        let _ = timeout(PATIENCE, join_all(replies)).await;
        Ok(())
    }

    async fn fetch(&self, node: ConnectedNode, fence: &Fence, now: Moment) {
        if !fence.is_alive() {
            return;
        }
        match node.fetch_usage().await {
            Ok(entries) => {
                let reply = UsageReply::new(node.id, now, node.coefficient, entries);
                if !reply.entries.is_empty() {
                    self.keep(reply).await;
                }
            }
            Err(error @ UsageError::NotSent(_)) => tracing::debug!(node = node.id.0, %error, "a node keeps its usage"),
            Err(error @ UsageError::Ambiguous(_)) => {
                metrics::counter!("usage_rpc_ambiguous_total", "node" => node.id.to_string()).increment(1);
                tracing::warn!(node = node.id.0, %error, "what a node had counted may be lost");
            }
        }
    }

    /// Spools a reply, then stages it.
    async fn keep(&self, reply: UsageReply) {
        let id = Uuid::now_v7();
        let reply = Arc::new(reply);
        let spooling = reply.clone();
        let spooled = self.blocking(move |inner| lock(&inner.spool).append(id, &spooling)).await;
        if let Err(error) = &spooled {
            tracing::error!(%error, "a reply could not be spooled; it goes to the database all the same");
        }
        let reply = Arc::unwrap_or_clone(reply);
        self.stage(Unstaged { id, reply, spooled: spooled.is_ok() }).await;
        metrics::gauge!("usage_spool_bytes").set(lock(&self.0.spool).len() as f64);
    }

    async fn stage(&self, unstaged: Unstaged) {
        match usage_batches::stage(&self.0.db, unstaged.id, &unstaged.reply).await {
            Ok(_) if unstaged.spooled => {
                if let Err(error) = self.blocking(|inner| lock(&inner.spool).settled()).await {
                    tracing::warn!(%error, "the spool could not be emptied; its records will be replayed, which does no harm");
                }
            }
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
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
            if let Err(error) = usage_batches::stage(&self.0.db, *id, reply).await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "a spooled reply could not be staged; trying again in a minute"
                );
                return;
            }
        }
        if !orphan.replies.is_empty() {
            tracing::info!(replies = orphan.replies.len(), "staged what another process had spooled");
        }
        if let Err(error) = self.blocking(move |_| orphan.settle()).await {
            tracing::warn!(%error, "a replayed spool file could not be removed; it will be replayed again, which does no harm");
        }
    }

    /// Tells the metrics how many batches wait in the database.
    pub async fn report_pending(&self) -> Result<(), StoreError> {
        let pending = usage_batches::pending(&self.0.db).await?;
        for (state, count) in
            [("staged", pending.staged), ("applied", pending.applied), ("set_aside", pending.set_aside)]
        {
            metrics::gauge!("usage_batches_pending", "state" => state).set(count as f64);
        }
        Ok(())
    }

    /// Waits until `end` for fetches that are under way; what has not come by then is counted as ambiguous.
    pub async fn shut_down(&self, end: Instant) {
        self.0.fetches.close();
        if timeout_at(end, self.0.fetches.wait()).await.is_err() {
            for node in lock(&self.0.asking).iter() {
                metrics::counter!("usage_rpc_ambiguous_total", "node" => node.to_string()).increment(1);
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

/// A panic elsewhere does not make what is inside worse.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
