//! Ends changes of engines' configurations whose panel died in the middle: an engine that runs keeps its configuration, another
//! one gets its last good one back.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::connection::{NodeConnection, Target};
use super::edit_lock::EditLock;
use super::engine_watch::{self, RestartFailure};
use super::node_error::NodeError;
use super::proto::BackendConfig;
use super::session::Context;
use crate::domain::ids::NodeId;
use crate::foundation::with_sources;
use crate::store::nodes::{engine_changes, engine_configs, request_sync};
use crate::store::{Db, StoreError};

/// Time for which the engine must not have ended. The node may have been restarting it when the panel died.
const STEADY: Duration = engine_watch::STEADY;
const POLL: Duration = Duration::from_millis(200);

/// Starts to end the unfinished changes of these nodes. Changes in progress hold their node's lock and are left alone.
pub(super) async fn end_all(context: &Arc<Context>, targets: &HashMap<NodeId, Target>) -> Result<(), StoreError> {
    for row in engine_changes::all(context.fence.db()).await? {
        let (node, engine) = (NodeId(row.node_id), row.backend);
        let Some(target) = targets.get(&node).cloned() else { continue };
        // Not awaited: a restart that has begun runs to its end, and takes up to a minute.
        let (calls, context) = (context.calls.of(&target), context.clone());
        calls.spawn(async move {
            if let Err(error) = end(&context, node, &target, &engine).await {
                let error = with_sources(&error);
                tracing::debug!(node = node.0, engine, error, "an unfinished change of an engine can't be ended yet");
            }
        });
    }
    Ok(())
}

#[derive(Debug, thiserror::Error)]
enum Delay {
    #[error(transparent)]
    Node(#[from] NodeError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

async fn end(context: &Context, node: NodeId, target: &Target, engine: &str) -> Result<(), Delay> {
    let db = context.fence.db();
    // Before the lock: a node that is away would keep it from admins.
    let connection = NodeConnection::connect(target, &context.identity).await?;
    let Some(_lock) = EditLock::take(db, node).await? else { return Ok(()) };
    // The change may have ended before the lock was free.
    let Some(former) = engine_changes::former(db, node, engine).await? else { return Ok(()) };
    let result = if runs(&connection, engine).await? {
        let config = connection.backend_config(engine.to_owned()).await?;
        tracing::info!(node = node.0, engine, "the engine runs after a change that a panel did not finish");
        finish(context, node, engine, Some(&config)).await?;
        "kept"
    } else {
        put_back(context, node, engine, &connection, former).await?
    };
    metrics::counter!("sarban_engine_changes_unfinished_total", "result" => result).increment(1);
    Ok(())
}

/// Returns true if the engine has run for a while.
async fn runs(connection: &NodeConnection, engine: &str) -> Result<bool, NodeError> {
    let looks = STEADY.as_millis() / POLL.as_millis();
    let mut ran = false;
    for _ in 0..looks {
        match connection.backend_stats(engine.to_owned()).await {
            Ok(stats) if !stats.running && ran => return Ok(false),
            Ok(stats) => ran = stats.running,
            // A node that can't say so: what it has stays.
            Err(error) if error.is_unsupported() => return Ok(true),
            // It raises because the engine is dead.
            Err(NodeError::Refused { .. }) => ran = false,
            Err(error) => return Err(error),
        }
        sleep(POLL).await;
    }
    Ok(ran)
}

async fn put_back(
    context: &Context,
    node: NodeId,
    engine: &str,
    connection: &NodeConnection,
    former: Option<(String, i32)>,
) -> Result<&'static str, Delay> {
    let good = engine_configs::read(context.fence.db(), node, engine).await?;
    let good = good.map(|stored| (stored.config, stored.format)).or(former);
    let Some((configuration, config_format)) = good else {
        tracing::error!(
            node = node.0,
            engine,
            "the engine does not run after a change that a panel did not finish, and there is no former configuration"
        );
        finish(context, node, engine, None).await?;
        return Ok("failed");
    };
    let config = BackendConfig { configuration, config_format };
    match engine_watch::restart(connection, engine, config.clone(), ()).await {
        Ok(()) => {
            tracing::warn!(
                node = node.0,
                engine,
                "the engine did not run after a change that a panel did not finish; its last good configuration is in place again"
            );
            finish(context, node, engine, Some(&config)).await?;
            Ok("put_back")
        }
        Err(RestartFailure::Lost(error)) => Err(error.into()),
        Err(RestartFailure::Ended(words)) => failed(context, node, engine, words).await,
        Err(RestartFailure::Raised(error, words)) => {
            failed(context, node, engine, words.unwrap_or_else(|| error.to_string())).await
        }
    }
}

async fn failed(context: &Context, node: NodeId, engine: &str, words: String) -> Result<&'static str, Delay> {
    tracing::error!(
        node = node.0,
        engine,
        reason = words,
        "the engine does not run after a change that a panel did not finish, nor with its last good configuration"
    );
    finish(context, node, engine, None).await?;
    Ok("failed")
}

/// Stores the configuration with which the engine runs, removes the change, and has the node get a full list: the engine may
/// have been restarted, and its inbounds changed.
async fn finish(
    context: &Context,
    node: NodeId,
    engine: &str,
    config: Option<&BackendConfig>,
) -> Result<(), StoreError> {
    let (db, now): (&Db, _) = (context.fence.db(), context.clock.now());
    let config = config.filter(|config| engine_configs::can_store(&config.configuration));
    db.transaction("end unfinished engine change", async |tx| {
        request_sync(tx, node).await?;
        if let Some(BackendConfig { configuration, config_format }) = config {
            engine_configs::store(tx, node, engine, configuration, *config_format, now).await?;
        }
        engine_changes::end(tx, node, engine).await
    })
    .await
}
