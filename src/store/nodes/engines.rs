//! The engines of all nodes as the supervisor's probe reads and writes them.

use sqlx::query_as;

use crate::domain::ids::NodeId;
use crate::domain::moment::Moment;
use crate::store::cluster::{Fence, FenceError};
use crate::store::engine::statement::{db_execute, db_read, row, statements};
use crate::store::engine::{Db, StoreError};
use crate::store::nodes::{engine_configs, request_sync};

statements! {
    ALL = "SELECT b.node_id, b.name, b.running,
            EXISTS (SELECT 1 FROM engine_config c WHERE c.node_id = b.node_id AND c.backend = b.name) AS has_config
        FROM backends b ORDER BY b.node_id, b.name";
    SET_RUNNING = "UPDATE backends SET running = $3 WHERE node_id = $1 AND name = $2 AND running <> $3";
}

row! {
    /// An engine of a node.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct EngineRow {
        /// The node.
        pub node_id: i64,
        /// Unique on its node.
        pub name: String,
        /// False if the engine is known not to run.
        pub running: bool,
        /// True if its last good configuration is stored.
        pub has_config: bool,
    }
}

/// A configuration that a node reported for an engine that runs.
#[derive(Clone, Debug)]
pub struct ReportedConfig {
    /// The node.
    pub node: NodeId,
    /// The engine.
    pub engine: String,
    /// The text.
    pub config: String,
    /// The number of its format in the node protocol.
    pub format: i32,
}

/// Returns the engines of all nodes, by node and name.
pub async fn all(db: &Db) -> Result<Vec<EngineRow>, StoreError> {
    db_read!(db, ALL, |sql, c| query_as::<_, EngineRow>(sql).fetch_all(c).await)
}

/// Writes which engines run, in the order of their nodes. Requests a full sync of nodes with an engine that runs again.
pub async fn set_running(fence: &Fence, changes: &[(NodeId, String, bool)]) -> Result<(), FenceError> {
    fence
        .transaction("set running engines", async |tx| {
            for (node, engine, running) in changes {
                // Nodes before their engines, as in a full sync.
                if *running {
                    request_sync(tx, *node).await?;
                }
                db_execute!(tx, SET_RUNNING, node.0, engine, *running)?;
            }
            Ok(())
        })
        .await
}

/// Stores configurations of engines that have none, each in a transaction of its own: one may have 4 MiB.
pub async fn store_first(fence: &Fence, configs: &[ReportedConfig], now: Moment) -> Result<(), FenceError> {
    for ReportedConfig { node, engine, config, format } in configs {
        fence
            .transaction("store first engine configuration", async |tx| {
                engine_configs::store_first(tx, *node, engine, config, *format, now).await.map_err(FenceError::from)
            })
            .await?;
    }
    Ok(())
}
