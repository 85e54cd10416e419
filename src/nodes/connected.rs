//! A connected node as the recording of usage sees it.

use std::time::Duration;

use tokio::time::timeout;

use super::link::Link;
use super::link_error::LinkError;
use super::proto::Empty;
use crate::domain::ids::{NodeId, UserId};

const DEADLINE: Duration = Duration::from_secs(30);
const CALL: &str = "FetchUsersStats";

/// A node with a session. It goes on to work while the session's connection lasts, even when the session has ended: a
/// reply under way is the only copy.
#[derive(Clone, Debug)]
pub struct ConnectedNode {
    /// The row.
    pub id: NodeId,
    /// Users' bytes are counted times this.
    pub coefficient: f64,
    pub(super) link: Link,
}

/// Why there is no usage.
#[derive(Debug, thiserror::Error)]
pub enum UsageError {
    /// The request never left: the node still has every byte.
    #[error("usage was not asked for: {0}")]
    NotSent(#[source] LinkError),
    /// The request may have reached the node, which resets its counters as it answers. What it counted may be lost.
    #[error("usage was asked for, and no answer came: {0}")]
    Ambiguous(#[source] LinkError),
}

impl ConnectedNode {
    /// Bytes per user since the last call. The node forgets them: the result is the only copy. Do not drop the future
    /// before it is done; its own deadline is 30 s.
    pub async fn fetch_usage(&self) -> Result<Vec<(UserId, u64)>, UsageError> {
        let mut client = self.link.client();
        match timeout(DEADLINE, client.fetch_users_stats(Empty {})).await {
            Err(_) => Err(UsageError::Ambiguous(LinkError::NoAnswer { call: CALL, limit: DEADLINE })),
            Ok(Err(status)) => match LinkError::from_status(CALL, &status, false) {
                error @ LinkError::Broken { unsent: true, .. } => Err(UsageError::NotSent(error)),
                error => Err(UsageError::Ambiguous(error)),
            },
            Ok(Ok(reply)) => {
                let stats = reply.into_inner().users_stats.into_iter();
                Ok(stats.map(|entry| (UserId(entry.uid.into()), entry.usage)).collect())
            }
        }
    }
}
