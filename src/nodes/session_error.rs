//! Why a session ended.

use super::node_error::NodeError;
use crate::store::{FenceError, StoreError};

#[derive(Debug, thiserror::Error)]
pub(super) enum SessionError {
    #[error(transparent)]
    Node(#[from] NodeError),
    #[error(transparent)]
    Database(#[from] StoreError),
    #[error("this process is no longer the leader")]
    Deposed,
    #[error("the node was deleted")]
    Deleted,
}

impl From<FenceError> for SessionError {
    fn from(error: FenceError) -> Self {
        match error {
            FenceError::Deposed => Self::Deposed,
            FenceError::Store(error) => Self::Database(error),
        }
    }
}
