//! Restarts the engines of a node that keeps refusing its users.
//!
//! A node whose call was broken off in the middle may have changed an engine and not its own memory. From then on it
//! refuses every change of that user. It gets over that when the engine restarts, and a full sync follows. The restart
//! cuts off the node's clients, so it comes only after everything else has failed, and rarely. Meanwhile the panel makes
//! no other call that changes anything on the node.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::connected::ConnectedNode;
use super::connection::{NodeConnection, Target};
use super::edit_lock::EditLock;
use super::engine_watch::{self, RestartFailure};
use super::node_error::NodeError;
use super::proto::BackendConfig;
use super::report;
use super::session::Context;
use crate::domain::ids::NodeId;
use crate::store::nodes::healing;
use crate::store::nodes::sync_state::NodeRow;
use crate::store::{FenceError, StoreError};

/// Result of [`heal`].
#[derive(Debug)]
pub(super) enum Healing {
    /// The engines were restarted.
    Restarted,
    /// The setting forbids restarts.
    Off,
    /// The engines were restarted less than this long ago, by any panel.
    NotDue(Duration),
    /// An admin is changing the configuration of an engine.
    Busy,
}

/// Why the engines were not restarted.
#[derive(Debug, thiserror::Error)]
pub(super) enum HealingError {
    #[error("the configuration of its engine {engine} can't be read, so its engines were not restarted: {reason}")]
    Unreadable { engine: String, reason: String },
    #[error("its engine {engine} does not run after a restart with its own configuration: {reason}")]
    NotRestarted { engine: String, reason: String },
    #[error(transparent)]
    Node(#[from] NodeError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("this process is no longer the leader")]
    Deposed,
    #[error("the restart of its engines was interrupted")]
    Interrupted(#[from] tokio::task::JoinError),
}

impl From<FenceError> for HealingError {
    fn from(error: FenceError) -> Self {
        match error {
            FenceError::Deposed => Self::Deposed,
            FenceError::Store(error) => Self::Store(error),
        }
    }
}

/// Restarts the engines of a node with the configurations that they have. To be called while no session is open.
///
/// Dropped, it goes on if a restart may have begun.
pub(super) async fn heal(context: &Arc<Context>, row: &NodeRow) -> Result<Healing, HealingError> {
    let Some(interval) = context.timing.healing else { return Ok(Healing::Off) };
    let (node, target) = (NodeId(row.id), Target::from(row));
    if !healing::is_due(context.fence.db(), row, micros(interval)).await? {
        return Ok(Healing::NotDue(interval));
    }
    let calls = context.calls.of(&target);
    calls.wait().await;
    let connection = NodeConnection::connect(&target, &context.identity).await?;
    fetch_last_usage(context, node, row.usage_coefficient, &connection).await;
    let context = context.clone();
    calls.spawn(async move { restart_under_lock(&context, node, &connection, interval).await }).await?
}

/// Has the usage collector fetch the node's bytes, which a restart of the engines may reset, and then no more.
async fn fetch_last_usage(context: &Context, node: NodeId, coefficient: f64, connection: &NodeConnection) {
    if let Some(former) = context.health.disconnected(node) {
        former.close().await;
    }
    let connected = ConnectedNode::new(node, coefficient, connection.clone());
    context.health.reachable(connected.clone());
    timeout(context.timing.last_usage, connected.was_asked()).await.ok();
    context.health.disconnected(node);
    if !connected.close().await {
        metrics::counter!("usage_rpc_ambiguous_total", "node" => node.to_string()).increment(1);
        tracing::warn!(
            node = node.0,
            "restarting the node's engines before its usage was fetched; the bytes since the last fetch may be lost"
        );
    }
}

async fn restart_under_lock(
    context: &Context,
    node: NodeId,
    connection: &NodeConnection,
    interval: Duration,
) -> Result<Healing, HealingError> {
    match EditLock::take(context.fence.db(), &context.clock, node).await? {
        Some(lock) => restart(context, node, connection, interval, &lock).await,
        None => Ok(Healing::Busy),
    }
}

async fn restart(
    context: &Context,
    node: NodeId,
    connection: &NodeConnection,
    interval: Duration,
    lock: &EditLock,
) -> Result<Healing, HealingError> {
    // All are read before the first restart: never is an engine restarted with anything but its own configuration.
    let mut engines = Vec::new();
    for backend in report::read(node, &connection.fetch_backends().await?, None)?.offer.backends {
        let config = own_config(connection, &backend.name).await?;
        engines.push((backend.name, config));
    }
    if !healing::claim(&context.fence, node, micros(interval)).await? {
        return Ok(Healing::NotDue(interval));
    }
    let mut failure = None;
    for (engine, config) in engines {
        // An admin may change the configuration once the lock has expired: the one that was read is old then.
        if !lock.is_held().await {
            return Ok(Healing::Busy);
        }
        if let Err(why) = engine_watch::restart(connection, &engine, config, ()).await {
            failure = Some(HealingError::NotRestarted { engine, reason: reason(why) });
        }
    }
    let result = if failure.is_some() { "failed" } else { "restarted" };
    metrics::counter!("sarban_node_healings_total", "result" => result).increment(1);
    failure.map_or(Ok(Healing::Restarted), Err)
}

async fn own_config(connection: &NodeConnection, engine: &str) -> Result<BackendConfig, HealingError> {
    let unreadable = |reason: String| HealingError::Unreadable { engine: engine.to_owned(), reason };
    let config = connection.backend_config(engine.to_owned()).await;
    let config = config.map_err(|error| unreadable(error.to_string()))?;
    if config.configuration.trim().is_empty() {
        return Err(unreadable("the node returned an empty text".to_owned()));
    }
    Ok(config)
}

fn reason(failure: RestartFailure) -> String {
    match failure {
        RestartFailure::Ended(words) => words,
        RestartFailure::Raised(error, words) => words.unwrap_or_else(|| error.to_string()),
        RestartFailure::Lost(error) => error.to_string(),
    }
}

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}
