//! Each user in a stream of its own, when a node has refused a whole list: one user that it refuses holds up no other.

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use prost::Message;

use super::Session;
use crate::nodes::messages;
use crate::nodes::node_error::NodeError;
use crate::nodes::proto::UserData;
use crate::nodes::session_error::SessionError;
use crate::nodes::sync_stream::SyncStream;

/// Most users that are sent one by one: about a minute with a node that sends no acknowledgement.
const MOST: usize = 2_000;
/// Streams whose end is awaited at a time.
const STREAMS: usize = 16;
/// Most refused users that the log names.
const NAMED: usize = 10;

impl Session<'_> {
    /// Sends the users of an encoded list one by one. Leaves out the users beyond [`MOST`].
    pub(super) async fn send_one_by_one(
        &mut self,
        mut stream: SyncStream,
        list: &[u8],
    ) -> Result<SyncStream, SessionError> {
        let mut ends = FuturesUnordered::new();
        let mut refused = Vec::new();
        for message in messages::split(list).into_iter().take(MOST) {
            // Encoded by this process.
            let Ok(message) = UserData::decode(message) else { continue };
            let id = message.user.as_ref().map_or(0, |user| user.id);
            self.send(&mut stream, message).await?;
            let end = stream.turn_over();
            ends.push(async move { (id, end.await) });
            if ends.len() >= STREAMS {
                record(ends.next().await, &mut refused)?;
            }
        }
        while let Some(ended) = ends.next().await {
            record(Some(ended), &mut refused)?;
        }
        if !refused.is_empty() {
            let users = &refused[..refused.len().min(NAMED)];
            tracing::warn!(node = self.node.0, count = refused.len(), ?users, "the node refuses some of its users");
        }
        Ok(stream)
    }
}

fn record(ended: Option<(u32, Result<(), NodeError>)>, refused: &mut Vec<u32>) -> Result<(), NodeError> {
    match ended {
        Some((user, Err(NodeError::Refused { .. }))) => refused.push(user),
        Some((_, Err(error))) => return Err(error),
        Some((_, Ok(()))) | None => {}
    }
    Ok(())
}
