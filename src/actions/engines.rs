//! Requests of admins to the engines of a node: status, configuration, logs, restart. The process that is asked connects
//! to the node itself.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

use super::nodes::NodeChangeError;
use super::{Panel, nodes};
use crate::domain::engine_config::EngineConfig;
use crate::domain::ids::NodeId;
use crate::domain::moment::SECOND;
use crate::foundation::with_sources;
use crate::nodes::connection::NodeConnection;
use crate::nodes::node_error::NodeError;
use crate::nodes::one_off::{self, ConnectError};
use crate::nodes::proto::BackendConfig;
use crate::store::StoreError;
use crate::store::nodes::edit_lock;

/// Longest wait for another admin's change of the same node, and the pause between two looks.
const TURN: (Duration, Duration) = (Duration::from_secs(5), Duration::from_millis(100));
/// Time that a request waits for a restart; the restart itself may take longer.
const REQUEST_WAIT: Duration = Duration::from_secs(5);
/// Longest time that the background task waits for a restart.
const RESTART: Duration = Duration::from_secs(60);
/// Time after which a node's edit lock expires if it is not released: somewhat longer than a restart.
const HOLD: i64 = 75 * SECOND;

/// Errors of a request to an engine.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The node could not be reached.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// Another admin is changing the configuration of this node.
    #[error("another admin is changing the configuration of this node; try again later")]
    Busy,
    /// The node did not finish in the time that an admin waits.
    #[error("no answer to RestartBackend within {} s; the node may still be restarting the engine", REQUEST_WAIT.as_secs())]
    StillRestarting,
    /// The task of a restart ended early.
    #[error("the restart was interrupted")]
    Broken(#[source] tokio::task::JoinError),
}

impl From<NodeError> for EngineError {
    fn from(error: NodeError) -> Self {
        Self::Connect(error.into())
    }
}

impl From<StoreError> for EngineError {
    fn from(error: StoreError) -> Self {
        Self::Connect(error.into())
    }
}

/// Returns true if an engine is running.
pub async fn is_running(panel: &Panel, node: NodeId, engine: String) -> Result<bool, EngineError> {
    let connection = one_off::connect(&panel.db, panel.clock.now(), node).await?;
    Ok(connection.backend_stats(engine).await?.running)
}

/// Returns an engine's configuration as its node has it: the text and the number of its format.
pub async fn config(panel: &Panel, node: NodeId, engine: String) -> Result<(String, i32), EngineError> {
    let connection = one_off::connect(&panel.db, panel.clock.now(), node).await?;
    let BackendConfig { configuration, config_format } = connection.backend_config(engine).await?;
    Ok((configuration, config_format))
}

/// Opens a connection over which an engine's log can be read.
pub async fn for_logs(panel: &Panel, node: NodeId) -> Result<NodeConnection, EngineError> {
    Ok(one_off::connect(&panel.db, panel.clock.now(), node).await?)
}

/// Restarts an engine with another configuration, and then requests a full sync of the node, because its inbounds may have
/// changed. One change per node at a time, on all hosts together.
///
/// The restart goes on when the request is aborted, because an interrupted call may leave the engine stopped.
pub async fn reconfigure(panel: &Panel, node: NodeId, engine: String, new: EngineConfig) -> Result<(), EngineError> {
    let connection = one_off::connect(&panel.db, panel.clock.now(), node).await?;
    let lock = EditLock::take(panel, node).await?;
    let new = BackendConfig { configuration: new.text, config_format: new.format.number() };
    let restarting = tokio::spawn(async move {
        let restarted = connection.restart_backend(engine, new, RESTART).await;
        // Also after a failure, because the state of the engine is unknown then.
        let synced = nodes::resync(&lock.panel, node).await;
        restarted?;
        match synced {
            // A node that was deleted meanwhile needs no sync.
            Ok(()) | Err(NodeChangeError::NotFound) => Ok(()),
            Err(NodeChangeError::Taken(error) | NodeChangeError::Store(error)) => Err(error.into()),
        }
    });
    match timeout(REQUEST_WAIT, restarting).await {
        Err(_) => Err(EngineError::StillRestarting),
        Ok(Err(broken)) => Err(EngineError::Broken(broken)),
        Ok(Ok(done)) => done,
    }
}

/// A node's edit lock, held for one change and released when dropped.
struct EditLock {
    panel: Panel,
    node: NodeId,
    holder: Uuid,
}

impl EditLock {
    async fn take(panel: &Panel, node: NodeId) -> Result<Self, EngineError> {
        let end = Instant::now() + TURN.0;
        // Exists before it holds: a caller that is cancelled meanwhile releases the lock that it may just have taken.
        let lock = Self { panel: panel.clone(), node, holder: Uuid::now_v7() };
        while !edit_lock::acquire(&panel.db, node, lock.holder, HOLD).await? {
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
        tokio::spawn(async move {
            if let Err(error) = edit_lock::release(&db, node, holder).await {
                let error = with_sources(&error);
                tracing::warn!(node = node.0, error, "could not release the node's edit lock; it expires by itself");
            }
        });
    }
}
