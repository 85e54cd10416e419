//! A node's edit lock: renewed while it is held, released when it is dropped.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

use crate::clock::Clock;
use crate::domain::ids::NodeId;
use crate::domain::moment::SECOND;
use crate::foundation::with_sources;
use crate::store::nodes::edit_lock::{self, TIME};
use crate::store::{Db, StoreError, Tx};

/// Interval of the renewals. Several may fail before the lock expires.
const RENEWAL: Duration = Duration::from_secs(5);
/// Microseconds before its end at which a lock that can't be renewed no longer counts as held.
const GUARD: i64 = 5 * SECOND;

/// The right to change engines of a node, over all processes.
#[derive(Debug)]
pub struct EditLock {
    db: Db,
    node: NodeId,
    holder: Uuid,
    /// `None`: another holder has the lock.
    renewing: Option<AbortOnDropHandle<()>>,
    is_free: bool,
    renewal: Renewal,
}

/// When the lock was last taken or renewed.
#[derive(Clone, Debug)]
struct Renewal {
    clock: Clock,
    /// Microseconds of CLOCK_BOOTTIME, when the statement was sent.
    at: Arc<AtomicI64>,
}

impl Renewal {
    /// Renews the lock. False: it has expired.
    async fn renew(&self, db: &Db, node: NodeId, holder: Uuid) -> Result<bool, StoreError> {
        let sent = self.clock.boot().micros();
        let held = edit_lock::renew(db, node, holder, TIME).await?;
        if held {
            self.at.store(sent, Ordering::Relaxed);
        }
        Ok(held)
    }

    fn is_recent(&self) -> bool {
        self.clock.boot().micros() - self.at.load(Ordering::Relaxed) < TIME - GUARD
    }
}

impl EditLock {
    /// Takes the lock. `None`: another holder has it.
    pub async fn take(db: &Db, clock: &Clock, node: NodeId) -> Result<Option<Self>, StoreError> {
        let renewal = Renewal { clock: clock.clone(), at: Arc::new(AtomicI64::new(clock.boot().micros())) };
        // Exists before it holds: a caller that is cancelled meanwhile releases the lock that it may just have taken.
        let mut lock = Self { db: db.clone(), node, holder: Uuid::now_v7(), renewing: None, is_free: false, renewal };
        if !edit_lock::acquire(db, node, lock.holder, TIME).await? {
            lock.is_free = true;
            return Ok(None);
        }
        lock.renewing =
            Some(AbortOnDropHandle::new(tokio::spawn(renew(db.clone(), node, lock.holder, lock.renewal.clone()))));
        Ok(Some(lock))
    }

    /// Renews the lock. Returns false if another holder may have it. While the database does not answer, the time since the
    /// last renewal decides.
    pub async fn is_held(&self) -> bool {
        self.renewal.renew(&self.db, self.node, self.holder).await.unwrap_or_else(|_| self.renewal.is_recent())
    }

    /// Keeps the lock until the transaction ends. False: another holder has had it meanwhile.
    pub async fn hold(&self, tx: &mut Tx) -> Result<bool, StoreError> {
        edit_lock::hold(tx, self.node, self.holder).await
    }
}

async fn renew(db: Db, node: NodeId, holder: Uuid, renewal: Renewal) {
    loop {
        sleep(RENEWAL).await;
        match renewal.renew(&db, node, holder).await {
            Ok(true) => {}
            Ok(false) => {
                tracing::warn!(node = node.0, "the node's edit lock expired before it could be renewed");
                return;
            }
            Err(error) => {
                let error = with_sources(&error);
                tracing::debug!(node = node.0, error, "could not renew the node's edit lock; trying again");
            }
        }
    }
}

impl Drop for EditLock {
    fn drop(&mut self) {
        if self.is_free {
            return;
        }
        let renewing = self.renewing.take();
        let (db, node, holder) = (self.db.clone(), self.node, self.holder);
        tokio::spawn(async move {
            drop(renewing);
            if let Err(error) = edit_lock::release(&db, node, holder).await {
                let error = with_sources(&error);
                tracing::warn!(node = node.0, error, "could not release the node's edit lock; it expires by itself");
            }
        });
    }
}
