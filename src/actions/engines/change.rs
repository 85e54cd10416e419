//! One change of an engine's configuration: read the former one, apply the new one, watch the engine, and put the former
//! one back if the engine does not run.

use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, sleep};

use super::edit_lock::EditLock;
use super::error::EngineError;
use super::last_good;
use super::refusal::{Former, Refusal};
use crate::domain::audit::Entry;
use crate::domain::change::{Changed, Unchanged};
use crate::foundation::with_sources;
use crate::nodes::connection::NodeConnection;
use crate::nodes::engine_watch::{self, RestartFailure};
use crate::nodes::node_error::NodeError;
use crate::nodes::one_off::{self, ConnectError};
use crate::nodes::proto::BackendConfig;
use crate::store::StoreError;
use crate::store::nodes::{engine_changes, engine_configs, request_sync};

/// Longest time to connect again to a node whose connection broke during a change, and the pause between two attempts.
const RECONNECT: (Duration, Duration) = (Duration::from_secs(20), Duration::from_millis(500));

/// A change in progress.
pub(super) struct Change {
    /// Its action in the audit log.
    pub action: &'static str,
    pub lock: EditLock,
    pub engine: String,
    pub connection: NodeConnection,
}

impl Change {
    /// Runs the change. `called` is dropped when the node has answered the first restart.
    pub(super) async fn run<T>(mut self, new: BackendConfig, called: T) -> Result<(), EngineError> {
        let former = self.former().await?;
        self.begin(former.as_ref()).await?;
        let result = match engine_watch::restart(&self.connection, &self.engine, new.clone(), called).await {
            Ok(()) => Ok(()),
            Err(failure) => Err(self.failed(failure, &new, former).await),
        };
        if let Err(error) = &result {
            let (node, engine) = (self.lock.node.0, &self.engine);
            tracing::warn!(node, engine, error = with_sources(error), "a new configuration of an engine failed");
        }
        let ended = if result.as_ref().is_err_and(EngineError::leaves_open) {
            // The node may have either configuration: the leader sees to it.
            self.resync(&new).await
        } else {
            self.end(&new, result.is_ok()).await
        };
        match ended {
            Ok(true) => result,
            Ok(false) => result.and(Err(EngineError::Overtaken)),
            // The change stays open, and the leader ends it.
            Err(error) => result.and(Err(error.into())),
        }
    }

    /// Reads the node's present configuration, and stores it if the engine runs with it. `None`: neither the node nor
    /// the panel has one. After a change that did not end, the node's may be the one that the engine refused.
    async fn former(&self) -> Result<Option<BackendConfig>, EngineError> {
        let (panel, node, engine) = (&self.lock.panel, self.lock.node, &self.engine);
        match self.connection.backend_config(engine.clone()).await {
            Ok(former) => {
                if self.connection.backend_stats(engine.clone()).await.is_ok_and(|stats| stats.running) {
                    last_good::store(panel, node, engine, &former).await?;
                } else if let Some(unfinished) = engine_changes::former(&panel.db, node, engine).await? {
                    let good = last_good::read(panel, node, engine).await?.map(BackendConfig::from);
                    let before =
                        unfinished.map(|(configuration, config_format)| BackendConfig { configuration, config_format });
                    return Ok(good.or(before).or(Some(former)));
                }
                Ok(Some(former))
            }
            // A node without a readable configuration needs a new one.
            Err(NodeError::Refused { .. }) => Ok(last_good::read(panel, node, engine).await?.map(Into::into)),
            Err(error) => Err(error.into()),
        }
    }

    async fn failed(
        &mut self,
        failure: RestartFailure,
        new: &BackendConfig,
        former: Option<BackendConfig>,
    ) -> EngineError {
        let is_lost = matches!(failure, RestartFailure::Lost(_));
        let former = match former {
            None => Former::Unknown,
            Some(former) if former == *new => Former::Same,
            Some(former) => self.put_back(former, is_lost).await,
        };
        match (failure, former) {
            // The node raises whatever the configuration is.
            (RestartFailure::Raised(error, None), Former::Unknown | Former::Same) => error.into(),
            (RestartFailure::Lost(error), former)
            | (RestartFailure::Raised(error, None), former @ (Former::Lost(_) | Former::TakenOver)) => {
                EngineError::Lost { error, former }
            }
            (RestartFailure::Raised(error, words), former) => {
                Refusal { words: words.unwrap_or_else(|| error.to_string()), former }.into()
            }
            (RestartFailure::Ended(words), former) => Refusal { words, former }.into(),
        }
    }

    async fn put_back(&mut self, former: BackendConfig, is_lost: bool) -> Former {
        if is_lost && let Err(error) = self.reconnect().await {
            return Former::Lost(error.to_string());
        }
        if !self.lock.is_held().await {
            return Former::TakenOver;
        }
        match engine_watch::restart(&self.connection, &self.engine, former, ()).await {
            Ok(()) => Former::Runs,
            Err(RestartFailure::Ended(words) | RestartFailure::Raised(_, Some(words))) => Former::Ended(words),
            Err(RestartFailure::Raised(error, None) | RestartFailure::Lost(error)) => Former::Lost(error.to_string()),
        }
    }

    async fn reconnect(&mut self) -> Result<(), ConnectError> {
        let end = Instant::now() + RECONNECT.0;
        let panel = &self.lock.panel;
        loop {
            match one_off::connect(&panel.db, panel.clock.now(), self.lock.node).await {
                Ok(connection) => {
                    self.connection = connection;
                    return Ok(());
                }
                Err(error) if Instant::now() >= end => return Err(error),
                Err(_) => sleep(RECONNECT.1).await,
            }
        }
    }

    /// Enters the change in the database, so that the leader can end it if this process dies.
    async fn begin(&self, former: Option<&BackendConfig>) -> Result<(), StoreError> {
        let (panel, node) = (&self.lock.panel, self.lock.node);
        let former = former.map(|it| (it.configuration.as_str(), it.config_format));
        let former = former.filter(|(config, _)| engine_configs::can_store(config));
        let now = panel.clock.now();
        let begin = panel.transaction("begin engine change", async |tx| -> Result<_, StoreError> {
            engine_changes::begin(tx, node, &self.engine, former, now).await?;
            Ok(((), Unchanged))
        });
        begin.await
    }

    /// Ends the change in one transaction: a process that dies before it leaves the change to the leader. False: another
    /// panel has ended the change, or begun one of its own.
    async fn end(&self, new: &BackendConfig, runs: bool) -> Result<bool, StoreError> {
        let (panel, node, engine) = (&self.lock.panel, self.lock.node, &self.engine);
        let runs_with = runs.then_some((new.configuration.as_str(), new.config_format));
        let now = panel.clock.now();
        let end = panel.transaction("end engine change", async |tx| -> Result<_, StoreError> {
            // A node that was deleted meanwhile has no lock and needs no sync.
            if !request_sync(tx, node).await? {
                return Ok((true, None));
            }
            if !self.lock.hold(tx).await? {
                let entry = self.entry("overtaken", new);
                return Ok((false, Some(panel.record(tx, Changed::Nodes.row(node.0), &entry).await?)));
            }
            engine_changes::end(tx, node, engine, runs_with, now).await?;
            let entry = self.entry(if runs { "runs" } else { "failed" }, new);
            Ok((true, Some(panel.record(tx, Changed::Nodes.row(node.0), &entry).await?)))
        });
        end.await
    }

    async fn resync(&self, new: &BackendConfig) -> Result<bool, StoreError> {
        let resync =
            self.lock.panel.transaction("sync node after an engine change", async |tx| -> Result<_, StoreError> {
                if !request_sync(tx, self.lock.node).await? {
                    return Ok((true, None));
                }
                let (panel, node) = (&self.lock.panel, self.lock.node);
                let entry = self.entry("unknown", new);
                Ok((true, Some(panel.record(tx, Changed::Nodes.row(node.0), &entry).await?)))
            });
        resync.await
    }

    /// The entry of the change, with what became of it. The configuration has secrets, so only its size is in it.
    fn entry(&self, result: &'static str, new: &BackendConfig) -> Entry {
        Entry::of(self.action, self.lock.node.0, self.engine.clone())
            .with(json!({"result": result, "bytes": new.configuration.len()}))
    }
}
