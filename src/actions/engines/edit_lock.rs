//! A node's edit lock, held for one change and released when dropped.

use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::error::EngineError;
use crate::actions::Panel;
use crate::domain::ids::NodeId;
use crate::foundation::with_sources;
use crate::store::nodes::edit_lock;

/// Longest wait for another admin's change of the same node, and the pause between two looks.
const TURN: (Duration, Duration) = (Duration::from_secs(10), Duration::from_millis(100));

pub(super) struct EditLock {
    pub panel: Panel,
    pub node: NodeId,
    holder: Uuid,
}

impl EditLock {
    pub(super) async fn take(panel: &Panel, node: NodeId) -> Result<Self, EngineError> {
        let end = Instant::now() + TURN.0;
        // Exists before it holds: a caller that is cancelled meanwhile releases the lock that it may just have taken.
        let lock = Self { panel: panel.clone(), node, holder: Uuid::now_v7() };
        while !edit_lock::acquire(&panel.db, node, lock.holder, edit_lock::TIME).await? {
            if Instant::now() >= end {
                return Err(EngineError::Busy);
            }
            sleep(TURN.1).await;
        }
        Ok(lock)
    }
}

impl Drop for EditLock {
    fn drop(&mut self) {
        let (db, node, holder) = (self.panel.db.clone(), self.node, self.holder);
        // Without a runtime, at the end of a process, the lock expires by itself.
        let Ok(runtime) = Handle::try_current() else { return };
        runtime.spawn(async move {
            if let Err(error) = edit_lock::release(&db, node, holder).await {
                let error = with_sources(&error);
                tracing::warn!(node = node.0, error, "could not release the node's edit lock; it expires by itself");
            }
        });
    }
}
