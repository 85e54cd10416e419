//! The table `engine_config`: the last configuration with which each engine of a node ran.

use sqlx::query_as;

use crate::domain::ids::NodeId;
use crate::domain::moment::Moment;
use crate::store::engine::statement::{db_execute, db_read, row, statements};
use crate::store::engine::{Db, StoreError, Tx};

statements! {
    READ = "SELECT config, format, stored_at FROM engine_config WHERE node_id = $1 AND backend = $2";
    // The node may have been deleted meanwhile.
    STORE = "INSERT INTO engine_config (node_id, backend, config, format, stored_at)
        SELECT id, $2, $3, $4, $5 FROM nodes WHERE id = $1
        ON CONFLICT (node_id, backend) DO UPDATE
        SET config = excluded.config, format = excluded.format, stored_at = excluded.stored_at";
    // Configurations of engines that the node no longer has stay, up to a number.
    STORE_FIRST = "INSERT INTO engine_config (node_id, backend, config, format, stored_at)
        SELECT id, $2, $3, $4, $5 FROM nodes
        WHERE id = $1 AND (SELECT COUNT(*) FROM engine_config WHERE node_id = $1) < 32
        ON CONFLICT (node_id, backend) DO NOTHING";
}

row! {
    struct Row {
        config: String,
        format: i64,
        stored_at: i64,
    }
}

/// A stored configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredConfig {
    /// The text.
    pub config: String,
    /// The number of its format in the node protocol.
    pub format: i32,
    /// When the engine ran with it.
    pub stored_at: Moment,
}

/// Largest configuration that is stored, in bytes. The API takes no larger one; a node may have one.
const LARGEST: usize = 4 << 20;

/// Returns true if the database can hold a configuration.
pub fn can_store(config: &str) -> bool {
    config.len() <= LARGEST && !config.contains('\0')
}

/// Returns the last good configuration of an engine. `None`: none is stored.
pub async fn read(db: &Db, node: NodeId, backend: &str) -> Result<Option<StoredConfig>, StoreError> {
    let row = db_read!(db, READ, |sql, c| query_as::<_, Row>(sql).bind(node.0).bind(backend).fetch_optional(c).await)?;
    Ok(row.map(|Row { config, format, stored_at }| StoredConfig {
        config,
        format: i32::try_from(format).unwrap_or_default(),
        stored_at: Moment::from_micros(stored_at),
    }))
}

/// Stores the configuration with which an engine runs now.
pub async fn store(
    tx: &mut Tx,
    node: NodeId,
    backend: &str,
    config: &str,
    format: i32,
    now: Moment,
) -> Result<(), StoreError> {
    db_execute!(tx, STORE, node.0, backend, config, i64::from(format), now.micros())
}

/// Stores the configuration of an engine if none is stored.
pub async fn store_first(
    tx: &mut Tx,
    node: NodeId,
    backend: &str,
    config: &str,
    format: i32,
    now: Moment,
) -> Result<(), StoreError> {
    db_execute!(tx, STORE_FIRST, node.0, backend, config, i64::from(format), now.micros())
}
