//! A node's edit lock: renewed while it is held, released when it is dropped.

use std::time::Duration;

use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

use crate::domain::ids::NodeId;
use crate::foundation::with_sources;
use crate::store::nodes::edit_lock::{self, TIME};
use crate::store::{Db, StoreError};

/// Interval of the renewals. Several may fail before the lock expires.
const RENEWAL: Duration = Duration::from_secs(5);

/// The right to change engines of a node, over all processes.
#[derive(Debug)]
pub struct EditLock {
    db: Db,
    node: NodeId,
    holder: Uuid,
    /// `None`: another holder has the lock.
    renewing: Option<AbortOnDropHandle<()>>,
    is_free: bool,
}

impl EditLock {
    /// Takes the lock. `None`: another holder has it.
    pub async fn take(db: &Db, node: NodeId) -> Result<Option<Self>, StoreError> {
        // Exists before it holds: a caller that is cancelled meanwhile releases the lock that it may just have taken.
        let mut lock = Self { db: db.clone(), node, holder: Uuid::now_v7(), renewing: None, is_free: false };
        if !edit_lock::acquire(db, node, lock.holder, TIME).await? {
            lock.is_free = true;
            return Ok(None);
        }
        lock.renewing = Some(AbortOnDropHandle::new(tokio::spawn(renew(db.clone(), node, lock.holder))));
        Ok(Some(lock))
    }

    /// Returns true if the lock is still held, and renews it. False after a time without the database.
    pub async fn is_held(&self) -> Result<bool, StoreError> {
        edit_lock::renew(&self.db, self.node, self.holder, TIME).await
    }
}

async fn renew(db: Db, node: NodeId, holder: Uuid) {
    loop {
        sleep(RENEWAL).await;
        match edit_lock::renew(&db, node, holder, TIME).await {
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
