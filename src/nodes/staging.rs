//! Brings usage replies into the database: a reply is spooled first, because it is the only copy, and then staged. A
//! reply that the database will never accept is set aside.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use uuid::Uuid;

use super::replay::{Refusal, blocking, replay, report_refused};
use super::spool::{self, Spool};
use crate::config::crash_point::{CrashPoint, UsageStep};
use crate::domain::moment::Moment;
use crate::domain::usage::UsageReply;
use crate::foundation::{lock, with_sources};
use crate::store::Db;
use crate::store::usage::batches;

/// The way of a reply from the node to the table `usage_batch`.
pub(super) struct Staging {
    db: Db,
    folder: PathBuf,
    spool: Arc<Mutex<Spool>>,
    /// Replies that the database has not accepted yet.
    unstaged: Mutex<Vec<(Uuid, UsageReply)>>,
    crash: CrashPoint,
}

/// The folder of the spool files.
pub(super) fn folder(data_dir: &Path) -> PathBuf {
    data_dir.join(spool::FOLDER)
}

impl Staging {
    /// Creates this process's spool file under `data_dir/spool`.
    pub(super) fn new(db: Db, data_dir: &Path, instance: Uuid, crash: CrashPoint) -> io::Result<Self> {
        let folder = folder(data_dir);
        let spool = Arc::new(Mutex::new(Spool::create(&folder, instance)?));
        Ok(Self { db, folder, spool, unstaged: Mutex::default(), crash })
    }

    /// Announces requests in the spool and reserves space for their replies. False: these nodes must not be asked.
    pub(super) async fn announce(&self, requests: Vec<(Uuid, UsageReply)>) -> bool {
        let announced = self.with_spool(move |spool| {
            spool.reserve(requests.len())?;
            spool.announce(&requests)
        });
        let Err(error) = announced.await else { return true };
        tracing::error!(
            %error,
            folder = %self.folder.display(),
            "could not reserve space in the spool; usage stays on the nodes: check the disk under DATA_DIR"
        );
        false
    }

    /// Spools a reply, then stages it. A reply that can't be spooled is staged all the same.
    pub(super) async fn keep(&self, id: Uuid, reply: UsageReply) {
        self.crash.pass(UsageStep::AfterReply);
        let reply = Arc::new(reply);
        let to_spool = reply.clone();
        if let Err(error) = self.with_spool(move |spool| spool.append(id, &to_spool)).await {
            tracing::error!(
                %error,
                folder = %self.folder.display(),
                "could not spool a usage reply; staging it in the database all the same: check the disk under DATA_DIR"
            );
        }
        self.crash.pass(UsageStep::AfterSpool);
        self.report_size();
        self.stage(id, Arc::unwrap_or_clone(reply)).await;
    }

    /// Drops a batch from the spool: its reply is in the database, or will not come.
    pub(super) async fn drop_batch(&self, id: Uuid) {
        if let Err(error) = self.with_spool(move |spool| spool.remove(id)).await {
            tracing::warn!(%error, "could not truncate the spool; its records will be replayed, which is harmless");
        }
        self.report_size();
    }

    async fn stage(&self, id: Uuid, reply: UsageReply) {
        let staged = match reply.defect() {
            Some(defect) => Err(Refusal::Final(defect)),
            None => batches::stage(&self.db, id, &reply).await.map_err(Refusal::of),
        };
        match staged {
            Ok(_) => {
                self.crash.pass(UsageStep::AfterBatch);
                self.drop_batch(id).await;
            }
            Err(Refusal::Final(reason)) => self.set_aside(id, reply, reason).await,
            Err(Refusal::ForNow(error)) => {
                tracing::warn!(
                    error = with_sources(&error),
                    node = reply.node.0,
                    bytes = reply.bytes(),
                    "could not stage a usage reply; trying again within a minute"
                );
                lock(&self.unstaged).push((id, reply));
            }
        }
    }

    async fn set_aside(&self, id: Uuid, reply: UsageReply, reason: &'static str) {
        let (node, traffic) = (reply.node, reply.bytes());
        let reply = Arc::new(reply);
        let spooled = reply.clone();
        match self.with_spool(move |spool| spool.set_aside(id, &spooled, reason)).await {
            Ok(file) => {
                report_refused(traffic, 1, reason, file.as_deref());
                self.drop_batch(id).await;
            }
            Err(error) => {
                tracing::error!(
                    %error,
                    reason,
                    node = node.0,
                    "could not set a usage reply aside that the database refuses; trying again within a minute: check the disk under DATA_DIR"
                );
                lock(&self.unstaged).push((id, Arc::unwrap_or_clone(reply)));
            }
        }
    }

    /// Stages the replies that the database did not accept before.
    pub(super) async fn retry_unstaged(&self) {
        let unstaged = std::mem::take(&mut *lock(&self.unstaged));
        for (id, reply) in unstaged {
            self.stage(id, reply).await;
        }
    }

    /// Stages the replies in the spool files of processes that are gone.
    pub(super) async fn replay_orphans(&self, now: Moment) {
        let folder = self.folder.clone();
        match blocking(move || spool::orphans(&folder)).await {
            Ok(orphans) => {
                for orphan in orphans {
                    replay(&self.db, orphan, now).await;
                }
            }
            Err(error) => {
                let folder = self.folder.display();
                tracing::warn!(%error, %folder, "could not read the spool folder; trying again in a minute");
            }
        }
    }

    /// Removes this process's spool file if it has no unstaged replies.
    pub(super) async fn close(&self) {
        if let Err(error) = self.with_spool(|spool| spool.close()).await {
            tracing::warn!(%error, "could not remove this process's spool file; another process will");
        }
    }

    fn report_size(&self) {
        metrics::gauge!("usage_spool_bytes").set(lock(&self.spool).len() as f64);
    }

    async fn with_spool<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Spool) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let spool = self.spool.clone();
        blocking(move || work(&mut lock(&spool))).await
    }
}
