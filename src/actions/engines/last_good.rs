//! The last good configuration of each engine: the panel stores it, so that a node without one can get it back.

use crate::actions::Panel;
use crate::domain::change::Unchanged;
use crate::domain::ids::NodeId;
use crate::nodes::proto::BackendConfig;
use crate::store::StoreError;
use crate::store::nodes::engine_configs::{self, StoredConfig};

/// Returns the last configuration with which an engine ran. `None`: none is stored.
pub async fn read(panel: &Panel, node: NodeId, engine: &str) -> Result<Option<StoredConfig>, StoreError> {
    engine_configs::read(&panel.db, node, engine).await
}

/// Stores a configuration with which an engine runs. Leaves out one that no database column holds.
pub(super) async fn store(panel: &Panel, node: NodeId, engine: &str, config: &BackendConfig) -> Result<(), StoreError> {
    let BackendConfig { configuration, config_format } = config;
    if !engine_configs::can_store(configuration) {
        tracing::warn!(
            node = node.0,
            engine,
            "an engine's configuration is not stored: it has a zero byte or over 4 MiB"
        );
        return Ok(());
    }
    let now = panel.clock.now();
    let store = panel.transaction("store engine configuration", async |tx| -> Result<_, StoreError> {
        engine_configs::store(tx, node, engine, configuration, *config_format, now).await?;
        Ok(((), Unchanged))
    });
    store.await
}

impl From<StoredConfig> for BackendConfig {
    fn from(stored: StoredConfig) -> Self {
        Self { configuration: stored.config, config_format: stored.format }
    }
}
