//! Fetches usage from a connected node.

use std::time::Duration;

use tokio::time::timeout;

use super::connection::NodeConnection;
use super::node_error::NodeError;
use super::proto::Empty;
use crate::domain::ids::{NodeId, UserId};

const DEADLINE: Duration = Duration::from_secs(30);
const CALL: &str = "FetchUsersStats";

/// A node with a session. It works as long as the session's connection, which outlives the session while a fetch is
/// running: the reply is the only copy.
#[derive(Clone, Debug)]
pub struct ConnectedNode {
    /// The node's id.
    pub id: NodeId,
    /// Factor by which users are charged for their bytes.
    pub coefficient: f64,
    pub(super) connection: NodeConnection,
}

/// Why usage could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum UsageError {
    /// The request was not sent: the node still has every byte.
    #[error("the usage request was not sent: {0}")]
    NotSent(#[source] NodeError),
    /// The request may have reached the node, which resets its counters when it answers: its bytes may be lost.
    #[error("the usage request was not answered: {0}")]
    Ambiguous(#[source] NodeError),
}

impl ConnectedNode {
    /// Fetches the bytes of each user since the last fetch; time limit 30 s. The node resets its counters, so the
    /// result is the only copy: do not drop the future before it is done.
    pub async fn fetch_usage(&self) -> Result<Vec<(UserId, u64)>, UsageError> {
        let mut client = self.connection.client();
        match timeout(DEADLINE, client.fetch_users_stats(Empty {})).await {
            Err(_) => Err(UsageError::Ambiguous(NodeError::NoAnswer { call: CALL, limit: DEADLINE })),
            Ok(Err(status)) => match NodeError::from_status(CALL, &status, false) {
                error @ NodeError::Broken { unsent: true, .. } => Err(UsageError::NotSent(error)),
                error => Err(UsageError::Ambiguous(error)),
            },
            Ok(Ok(reply)) => {
                let stats = reply.into_inner().users_stats.into_iter();
                Ok(stats.map(|entry| (UserId(entry.uid.into()), entry.usage)).collect())
            }
        }
    }
}
