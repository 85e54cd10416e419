//! The table `engine_change`: changes of engines' configurations that have begun and not ended.

use sqlx::query_as;

use crate::domain::ids::NodeId;
use crate::domain::moment::Moment;
use crate::store::engine::statement::{db_execute, db_read, row, statements};
use crate::store::engine::{Db, StoreError, Tx};
use crate::store::nodes::engine_configs;

statements! {
    ALL = "SELECT node_id, backend, attempts, trouble FROM engine_change ORDER BY node_id, backend";
    READ = "SELECT former_config, former_format FROM engine_change WHERE node_id = $1 AND backend = $2";
    // The node may have been deleted meanwhile. The former configuration of a change that did not end is still the former one.
    BEGIN = "INSERT INTO engine_change (node_id, backend, former_config, former_format, begun_at)
        SELECT id, $2, $3, $4, $5 FROM nodes WHERE id = $1
        ON CONFLICT (node_id, backend) DO UPDATE SET begun_at = excluded.begun_at, attempts = 0, trouble = NULL";
    ATTEMPT = "UPDATE engine_change SET attempts = attempts + 1, trouble = $3 WHERE node_id = $1 AND backend = $2";
    TROUBLE = "UPDATE engine_change SET trouble = $3 WHERE node_id = $1 AND backend = $2";
    END = "DELETE FROM engine_change WHERE node_id = $1 AND backend = $2";
}

row! {
    /// An engine whose configuration is being changed.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct ChangingEngine {
        /// The node.
        pub node_id: i64,
        /// The engine.
        pub backend: String,
        /// How often the leader has tried to put the former configuration back.
        pub attempts: i64,
        /// Why the last attempt failed.
        pub trouble: Option<String>,
    }
}

row! {
    struct FormerRow {
        former_config: Option<String>,
        former_format: Option<i64>,
    }
}

/// Returns all engines whose configuration is being changed, by node.
pub async fn all(db: &Db) -> Result<Vec<ChangingEngine>, StoreError> {
    db_read!(db, ALL, |sql, c| query_as::<_, ChangingEngine>(sql).fetch_all(c).await)
}

/// Returns the configuration and format that an engine had before the change in progress. The outer `None`: no change is
/// in progress.
pub async fn former(db: &Db, node: NodeId, backend: &str) -> Result<Option<Option<(String, i32)>>, StoreError> {
    let row =
        db_read!(db, READ, |sql, c| query_as::<_, FormerRow>(sql).bind(node.0).bind(backend).fetch_optional(c).await)?;
    Ok(row.map(|FormerRow { former_config, former_format }| {
        let format = former_format.and_then(|format| i32::try_from(format).ok()).unwrap_or_default();
        former_config.map(|config| (config, format))
    }))
}

/// Enters a change, with the configuration and format that the engine has before it.
pub async fn begin(
    tx: &mut Tx,
    node: NodeId,
    backend: &str,
    former: Option<(&str, i32)>,
    now: Moment,
) -> Result<(), StoreError> {
    let (config, format) = (former.map(|(config, _)| config), former.map(|(_, format)| i64::from(format)));
    db_execute!(tx, BEGIN, node.0, backend, config, format, now.micros())
}

/// Counts an attempt to put the former configuration back. `trouble` is the reason of its failure until another is known.
pub async fn attempt(tx: &mut Tx, node: NodeId, backend: &str, trouble: &str) -> Result<(), StoreError> {
    db_execute!(tx, ATTEMPT, node.0, backend, trouble)
}

/// Stores why the last attempt failed.
pub async fn set_trouble(tx: &mut Tx, node: NodeId, backend: &str, trouble: &str) -> Result<(), StoreError> {
    db_execute!(tx, TROUBLE, node.0, backend, trouble)
}

/// Removes a change that has ended, and stores the configuration with which the engine runs.
pub async fn end(
    tx: &mut Tx,
    node: NodeId,
    backend: &str,
    runs_with: Option<(&str, i32)>,
    now: Moment,
) -> Result<(), StoreError> {
    if let Some((config, format)) = runs_with.filter(|(config, _)| engine_configs::can_store(config)) {
        engine_configs::store(tx, node, backend, config, format, now).await?;
    }
    db_execute!(tx, END, node.0, backend)
}
