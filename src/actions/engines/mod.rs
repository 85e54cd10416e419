//! Requests of admins to the engines of a node: status, configuration, logs, restart. The process that is asked connects
//! to the node itself.

mod change;
mod edit_lock;
mod error;
pub mod last_good;
mod refusal;

use tokio::sync::oneshot;
use tokio::time::timeout;

use self::change::Change;
use self::edit_lock::EditLock;
pub use self::error::EngineError;
use self::error::{REQUEST_WAIT, RESULT_WAIT};
pub use self::refusal::{Former, Refusal};
use super::Panel;
use crate::domain::engine_config::{ConfigFormat, EngineConfig};
use crate::domain::ids::NodeId;
use crate::nodes::connection::NodeConnection;
use crate::nodes::one_off::{self, ConnectError};
use crate::nodes::proto::BackendConfig;
use crate::store;

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

/// Restarts an engine with another configuration and watches whether it runs. If it does not, puts the former
/// configuration back. Then requests a full sync of the node, because its inbounds may have changed. One change per node
/// at a time, on all hosts together.
///
/// The change goes on when the request is aborted, because an interrupted one may leave the engine stopped.
pub async fn reconfigure(panel: &Panel, node: NodeId, engine: String, new: EngineConfig) -> Result<(), EngineError> {
    let known = store::nodes::by_id(&panel.db, node).await?.ok_or(ConnectError::Unknown)?;
    if let Some(backend) = known.backends.iter().find(|backend| backend.name == engine) {
        new.check_for(&backend.backend_type).map_err(EngineError::Invalid)?;
    }
    let connection = one_off::connect(&panel.db, panel.clock.now(), node).await?;
    let lock = EditLock::take(panel, node).await?;
    let new = BackendConfig { configuration: new.text, config_format: new.format.number() };
    watch(Change { action: "engine.configure", lock, engine, connection }, new).await
}

/// Restarts an engine with the configuration that it has, and watches whether it runs; one that has stopped is started. The
/// node protocol knows no other way to start an engine, and none to stop one.
pub async fn restart(panel: &Panel, node: NodeId, engine: String) -> Result<(), EngineError> {
    let connection = one_off::connect(&panel.db, panel.clock.now(), node).await?;
    let lock = EditLock::take(panel, node).await?;
    // Read under the lock: another admin's change may just have ended.
    let own = connection.backend_config(engine.clone()).await?;
    if own.configuration.trim().is_empty() {
        return Err(EngineError::NoConfiguration);
    }
    watch(Change { action: "engine.restart", lock, engine, connection }, own).await
}

/// Waits for the result of a change, which goes on when the request is aborted or its wait is over.
async fn watch(change: Change, new: BackendConfig) -> Result<(), EngineError> {
    let (called, is_called) = oneshot::channel::<()>();
    let changing = tokio::spawn(change.run(new, called));
    if timeout(REQUEST_WAIT, is_called).await.is_err() {
        return Err(EngineError::StillRestarting);
    }
    match timeout(RESULT_WAIT, changing).await {
        Err(_) => Err(EngineError::StillWatching),
        Ok(Err(broken)) => Err(EngineError::Broken(broken)),
        Ok(Ok(done)) => done,
    }
}

/// Restarts an engine with the last configuration with which it ran; otherwise like [`reconfigure`].
pub async fn restore(panel: &Panel, node: NodeId, engine: String) -> Result<(), EngineError> {
    let stored = last_good::read(panel, node, &engine).await?.ok_or(EngineError::NoneStored)?;
    let format = ConfigFormat::from_number(stored.format.into()).unwrap_or(ConfigFormat::Plain);
    reconfigure(panel, node, engine, EngineConfig { text: stored.config, format }).await
}
