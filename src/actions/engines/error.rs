//! Errors of requests to the engines of a node.

use std::time::Duration;

use super::refusal::{Former, Refusal};
use crate::nodes::node_error::NodeError;
use crate::nodes::one_off::ConnectError;
use crate::store::StoreError;

/// Time that a request waits for a node's answer to a restart; the restart itself may take longer.
pub(super) const REQUEST_WAIT: Duration = Duration::from_secs(5);
/// Time that a request then waits for the result: watching the engine takes at most 7 s, and so does watching it with the
/// former configuration, whose restart may take some seconds too.
pub(super) const RESULT_WAIT: Duration = Duration::from_secs(25);

/// Errors of a request to an engine.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The node could not be reached.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// Another admin is changing the configuration of this node.
    #[error("another admin is changing the configuration of this node; try again later")]
    Busy,
    /// The node did not finish in the time that an admin waits.
    #[error("no answer to RestartBackend within {} s; the node may still be restarting the engine", REQUEST_WAIT.as_secs())]
    StillRestarting,
    /// The node returns an empty text in place of the engine's configuration.
    #[error("the engine has no configuration on the node: apply one, or restore the last one with which it ran")]
    NoConfiguration,
    /// The panel stores no configuration of this engine.
    #[error("no configuration of this engine is stored")]
    NoneStored,
    /// The configuration is certainly wrong for this type of engine.
    #[error("{0}")]
    Invalid(String),
    /// The engine does not run with the configuration.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The connection broke during the change, or the node stopped answering.
    #[error("{error}; {former}")]
    Lost {
        /// Why.
        error: NodeError,
        /// The state of the configuration that the node had before.
        former: Former,
    },
    /// The engine ran, and another panel may have changed it since.
    #[error(
        "the change took so long that another panel may have changed the node meanwhile; look at its configuration"
    )]
    Overtaken,
    /// The result is not known in the time that an admin waits.
    #[error("no result within {} s; the panel goes on, and puts the former configuration back if the engine does not run", RESULT_WAIT.as_secs())]
    StillWatching,
    /// The task of a restart ended early.
    #[error("the restart was interrupted")]
    Broken(#[source] tokio::task::JoinError),
}

impl EngineError {
    /// True if the engine may have either configuration, or none that runs: the leader ends such a change.
    pub(super) const fn leaves_open(&self) -> bool {
        matches!(
            self,
            Self::Lost { former: Former::Lost(_) | Former::TakenOver, .. }
                | Self::Refused(Refusal { former: Former::Lost(_) | Former::TakenOver, .. })
        )
    }
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
