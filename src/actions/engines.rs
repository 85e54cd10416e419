//! What admins ask of a node's engines: how they are, their configuration, their logs. Whichever process is asked goes
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

/// How long an admin waits for another one's change of the same node, and how often one looks.
const TURN: (Duration, Duration) = (Duration::from_secs(5), Duration::from_millis(100));
/// How long an admin waits for a restart; the restart itself may take longer.
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest that a restart is waited for by anybody.
const RESTART: Duration = Duration::from_secs(60);
/// For how long a node is held, if nobody gives it back: somewhat longer.
const HOLD: i64 = 75 * SECOND;

/// Why an engine did not answer.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The node can't be asked.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// Another admin is changing the configuration of this node.
    #[error("the configuration of this node is being changed by somebody else")]
    Busy,
    /// The node did not finish in the time that an admin waits.
    #[error("no answer to RestartBackend within {} s; the node may still be at it", PATIENCE.as_secs())]
    StillRestarting,
    /// The task of a restart broke.
    #[error("a restart was broken off")]
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

/// An engine's configuration as its node has it: the text and the number of its format.
pub async fn config(panel: &Panel, node: NodeId, engine: String) -> Result<(String, i32), EngineError> {
    let connection = one_off::connect(&panel.db, panel.clock.now(), node).await?;
    let BackendConfig { configuration, config_format } = connection.backend_config(engine).await?;
    Ok((configuration, config_format))
}

/// A connection over which an engine's log can be read.
pub async fn for_logs(panel: &Panel, node: NodeId) -> Result<NodeConnection, EngineError> {
    Ok(one_off::connect(&panel.db, panel.clock.now(), node).await?)
}

/// Gives an engine another configuration and restarts it with that; then requests a full sync of the node, because its inbounds
/// may have changed. One change at a time per node, on whichever hosts the admins are.
///
/// Once begun it goes on, whatever becomes of the request: a call that is broken off may leave the engine stopped.
pub async fn reconfigure(panel: &Panel, node: NodeId, engine: String, new: EngineConfig) -> Result<(), EngineError> {
    let connection = one_off::connect(&panel.db, panel.clock.now(), node).await?;
    let turn = Turn::take(panel, node).await?;
    let new = BackendConfig { configuration: new.text, config_format: new.format.number() };
    let restarting = tokio::spawn(async move {
        let restarted = connection.restart_backend(engine, new, RESTART).await;
        // Also after a failure: nobody knows how far it came.
        let synced = nodes::resync(&turn.panel, node).await;
        restarted?;
        match synced {
            // A node that was deleted meanwhile needs no sync.
            Ok(()) | Err(NodeChangeError::NotFound) => Ok(()),
            Err(NodeChangeError::Taken(error) | NodeChangeError::Store(error)) => Err(error.into()),
        }
    });
    match timeout(PATIENCE, restarting).await {
        Err(_) => Err(EngineError::StillRestarting),
        Ok(Err(broken)) => Err(EngineError::Broken(broken)),
        Ok(Ok(done)) => done,
    }
}

/// A node held for one change; dropped, it is given back.
struct Turn {
    panel: Panel,
    node: NodeId,
    holder: Uuid,
}

impl Turn {
    async fn take(panel: &Panel, node: NodeId) -> Result<Self, EngineError> {
        let end = Instant::now() + TURN.0;
        // Exists before it holds: a caller that is cancelled meanwhile releases the lock that it may just have taken.
        let turn = Self { panel: panel.clone(), node, holder: Uuid::now_v7() };
        while !edit_lock::acquire(&panel.db, node, turn.holder, HOLD).await? {
            if Instant::now() >= end {
                return Err(EngineError::Busy);
            }
            sleep(TURN.1).await;
        }
        Ok(turn)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let (db, node, holder) = (self.panel.db.clone(), self.node, self.holder);
        tokio::spawn(async move {
            if let Err(error) = edit_lock::release(&db, node, holder).await {
                let error = with_sources(&error);
                tracing::warn!(node = node.0, error, "a node is held for a change that is over, until its time is up");
            }
        });
    }
}
