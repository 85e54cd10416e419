//! A node's edit lock for one change, taken in turn with other admins.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::error::EngineError;
use crate::actions::Panel;
use crate::domain::ids::NodeId;
use crate::nodes::edit_lock;
use crate::store::{StoreError, Tx};

/// Longest wait for another admin's change of the same node, and the pause between two looks.
const TURN: (Duration, Duration) = (Duration::from_secs(10), Duration::from_millis(100));

pub(super) struct EditLock {
    pub panel: Panel,
    pub node: NodeId,
    held: edit_lock::EditLock,
}

impl EditLock {
    /// Returns false if another holder may have the lock.
    pub(super) async fn is_held(&self) -> bool {
        self.held.is_held().await
    }

    /// Keeps the lock until the transaction ends. False: another holder has had it meanwhile.
    pub(super) async fn hold(&self, tx: &mut Tx) -> Result<bool, StoreError> {
        self.held.hold(tx).await
    }

    pub(super) async fn take(panel: &Panel, node: NodeId) -> Result<Self, EngineError> {
        let end = Instant::now() + TURN.0;
        loop {
            if let Some(held) = edit_lock::EditLock::take(&panel.db, &panel.clock, node).await? {
                return Ok(Self { panel: panel.clone(), node, held });
            }
            if Instant::now() >= end {
                return Err(EngineError::Busy);
            }
            sleep(TURN.1).await;
        }
    }
}
