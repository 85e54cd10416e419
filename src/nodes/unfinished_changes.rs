//! Ends changes of engines' configurations that their panel left open, because it died or lost the node: an engine that runs
//! keeps its configuration, another one gets its last good one back. After some failures only an admin can help, and the
//! status of the node says so.

use std::collections::{HashMap, HashSet};
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
use crate::foundation::{excerpt, with_sources};
use crate::store::nodes::engine_changes::ChangingEngine;
use crate::store::nodes::{engine_changes, engine_configs, request_sync};
use crate::store::{Db, StoreError};

/// Time for which the engine must not have ended. The node may have been restarting it when the panel died.
const STEADY: Duration = engine_watch::STEADY;
const POLL: Duration = Duration::from_millis(200);
/// Most restarts with the former configuration whose result stays unknown. Each one may cut off the node's clients.
const ATTEMPTS: i64 = 3;
/// Characters of a reason that are stored.
const REASON: usize = 500;

/// Returns that a change is left to an admin, and why. `None`: the leader still sees to it.
pub(super) fn given_up(row: &ChangingEngine) -> Option<String> {
    let reason = row.trouble.as_deref().unwrap_or("the node did not answer");
    (row.attempts >= ATTEMPTS).then(|| {
        format!(
            "the last good configuration of the engine {} could not be put back in {ATTEMPTS} attempts ({reason}); restore \
             it, or send another one",
            row.backend
        )
    })
}

/// Starts to end the open changes of these nodes. Changes in progress hold their node's lock and are left alone, and so are
/// those that are given up, unless their engine runs.
pub(super) fn end_all(
    context: &Arc<Context>,
    targets: &HashMap<NodeId, Target>,
    open: Vec<ChangingEngine>,
    running: &HashSet<(NodeId, String)>,
) {
    for row in open {
        let is_given_up = given_up(&row).is_some();
        let (node, engine) = (NodeId(row.node_id), row.backend);
        let engine = (node, engine);
        if is_given_up && !running.contains(&engine) {
            continue;
        }
        let Some(target) = targets.get(&node).cloned() else { continue };
        // Not awaited: a restart that has begun runs to its end, and takes up to a minute.
        let (calls, context) = (context.calls.of(&target), context.clone());
        calls.spawn(async move {
            let (_, engine) = engine;
            if let Err(error) = end(&context, node, &target, &engine, is_given_up).await {
                let error = with_sources(&error);
                tracing::debug!(node = node.0, engine, error, "an unfinished change of an engine can't be ended yet");
            }
        });
    }
}

#[derive(Debug, thiserror::Error)]
enum Delay {
    #[error(transparent)]
    Node(#[from] NodeError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

async fn end(context: &Context, node: NodeId, target: &Target, engine: &str, is_given_up: bool) -> Result<(), Delay> {
    let db = context.fence.db();
    // Before the lock: a node that is away would keep it from admins.
    let connection = NodeConnection::connect(target, &context.identity).await?;
    let Some(lock) = EditLock::take(db, &context.clock, node).await? else { return Ok(()) };
    // The change may have ended before the lock was free.
    let Some(former) = engine_changes::former(db, node, engine).await? else { return Ok(()) };
    let result = if runs(&connection, engine).await? {
        let config = connection.backend_config(engine.to_owned()).await?;
        tracing::info!(node = node.0, engine, "the engine runs after a change that a panel did not finish");
        finish(context, &lock, node, engine, Some(&config)).await?;
        "kept"
    } else if is_given_up {
        return Ok(());
    } else {
        put_back(context, &lock, node, engine, &connection, former).await?
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
    lock: &EditLock,
    node: NodeId,
    engine: &str,
    connection: &NodeConnection,
    former: Option<(String, i32)>,
) -> Result<&'static str, Delay> {
    let db = context.fence.db();
    let good = engine_configs::read(db, node, engine).await?;
    let good = good.map(|stored| (stored.config, stored.format)).or(former);
    let Some((configuration, config_format)) = good else {
        tracing::error!(
            node = node.0,
            engine,
            "the engine does not run after a change that a panel did not finish, and there is no former configuration"
        );
        finish(context, lock, node, engine, None).await?;
        return Ok("failed");
    };
    let config = BackendConfig { configuration, config_format };
    // Counted before the restart: one in whose middle this process dies counts, too.
    let is_held = db
        .transaction("count attempt to end an engine change", async |tx| {
            let is_held = lock.hold(tx).await?;
            if is_held {
                engine_changes::attempt(tx, node, engine, "the panel stopped in the middle").await?;
            }
            Ok::<_, StoreError>(is_held)
        })
        .await?;
    if !is_held {
        // This process stood still for long: another panel has the node, and may have changed its configuration.
        return Ok("overtaken");
    }
    match engine_watch::restart(connection, engine, config.clone(), ()).await {
        Ok(()) => {
            tracing::warn!(
                node = node.0,
                engine,
                "the engine did not run after a change that a panel did not finish; its last good configuration is in place again"
            );
            finish(context, lock, node, engine, Some(&config)).await?;
            Ok("put_back")
        }
        Err(RestartFailure::Lost(error) | RestartFailure::Raised(error, None)) => {
            let reason = excerpt(&error.to_string(), REASON);
            db.transaction("store trouble of an engine change", async |tx| {
                engine_changes::set_trouble(tx, node, engine, &reason).await
            })
            .await?;
            Err(error.into())
        }
        Err(RestartFailure::Ended(words) | RestartFailure::Raised(_, Some(words))) => {
            tracing::error!(
                node = node.0,
                engine,
                reason = words,
                "the engine does not run after a change that a panel did not finish, nor with its last good configuration"
            );
            finish(context, lock, node, engine, None).await?;
            Ok("failed")
        }
    }
}

/// Ends the change, unless another holder has had the lock meanwhile and seen to it.
async fn finish(
    context: &Context,
    lock: &EditLock,
    node: NodeId,
    engine: &str,
    runs_with: Option<&BackendConfig>,
) -> Result<(), StoreError> {
    let (db, now): (&Db, _) = (context.fence.db(), context.clock.now());
    let runs_with = runs_with.map(|it| (it.configuration.as_str(), it.config_format));
    db.transaction("end unfinished engine change", async |tx| {
        if request_sync(tx, node).await? && lock.hold(tx).await? {
            engine_changes::end(tx, node, engine, runs_with, now).await?;
        }
        Ok(())
    })
    .await
}
