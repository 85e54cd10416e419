//! Fetches usage from a connected node.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, watch};
use tokio::time::error::Elapsed;
use tokio::time::{Instant, timeout, timeout_at};
use tonic::Status;

use super::connection::{MESSAGE_LIMIT, NodeConnection};
use super::node_error::{ConnectionGone, NodeError};
use super::raw_reply::{RawReply, within};
use super::reply_memory::{ReplyMemory, ReplyPermit};
use super::usage_reply::UsageReader;
use crate::domain::ids::{NodeId, UserId};

/// Time limit of a fetch.
pub const USAGE_LIMIT: Duration = Duration::from_secs(30);
/// Longest wait for the end of a reply whose message is complete.
const END: Duration = Duration::from_secs(1);
const CALL: &str = "FetchUsersStats";

/// A node from which usage can be fetched: it has a session, or the last one ended because the node refused a user. It works
/// as long as that session's connection, which outlives the session while a fetch is running: the reply is the only copy.
#[derive(Clone, Debug)]
pub struct ConnectedNode {
    /// The node's id.
    pub id: NodeId,
    /// Factor by which users are charged for their bytes.
    pub coefficient: f64,
    pub(super) connection: NodeConnection,
    fetches: Arc<Fetches>,
}

/// The fetches from one node over one connection.
#[derive(Debug)]
struct Fetches {
    /// Held during a fetch. False: no more fetches.
    open: Mutex<bool>,
    /// A fetch was tried and has ended.
    asked: watch::Sender<bool>,
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

/// A node's reply.
#[derive(Debug)]
pub struct Usage {
    /// The bytes of each user since the last fetch; users may repeat.
    pub entries: Vec<(UserId, u64)>,
    /// To be held as long as the entries are in memory.
    pub memory: ReplyPermit,
}

impl ConnectedNode {
    pub(super) fn new(id: NodeId, coefficient: f64, connection: NodeConnection) -> Self {
        let fetches = Arc::new(Fetches { open: Mutex::new(true), asked: watch::Sender::new(false) });
        Self { id, coefficient, connection, fetches }
    }

    /// Waits until a fetch has ended.
    pub(super) async fn was_asked(&self) {
        // The sender exists as long as this node.
        self.fetches.asked.subscribe().wait_for(|asked| *asked).await.ok();
    }

    /// Waits for the fetch under way, and prevents others. Returns whether any was tried.
    pub(super) async fn close(&self) -> bool {
        *self.fetches.open.lock().await = false;
        *self.fetches.asked.borrow()
    }

    /// Fetches the bytes of each user since the last fetch; time limit 30 s, without the time in which the reply waits
    /// for memory. The node resets its counters, so the result is the only copy: do not drop the future before it is
    /// done. `newest`: the largest id of a user.
    pub async fn fetch_usage(&self, newest: UserId, memory: &ReplyMemory) -> Result<Usage, UsageError> {
        let open = self.fetches.open.lock().await;
        if !*open {
            let detail = ConnectionGone.to_string();
            return Err(UsageError::NotSent(NodeError::Broken { call: CALL, detail, unsent: true }));
        }
        let fetched = self.fetch(newest, memory).await;
        self.fetches.asked.send_replace(true);
        fetched
    }

    async fn fetch(&self, newest: UserId, memory: &ReplyMemory) -> Result<Usage, UsageError> {
        let started = Instant::now();
        let (mut reply, length) = in_time(timeout(USAGE_LIMIT, self.begin_usage()).await)?;
        let left = USAGE_LIMIT.saturating_sub(started.elapsed());
        let memory = memory.acquire(UsageReader::memory(newest, length)).await;
        let reading = read_usage(&mut reply, UsageReader::new(newest));
        let entries = in_time(timeout_at(Instant::now() + left, reading).await)?;
        // All bytes are here, whatever follows. A node whose reply is read to its end does not log an error.
        let _ = timeout(END, reply.next_message()).await;
        Ok(Usage { entries, memory })
    }

    /// Sends the request, and waits for the beginning of the reply's message. Returns its length too.
    async fn begin_usage(&self) -> Result<(RawReply, usize), Status> {
        let mut reply = self.connection.fetch_users_stats().await?;
        let length = reply.next_message().await?.ok_or_else(|| Status::internal("the reply has no message"))?;
        within(length, MESSAGE_LIMIT)?;
        Ok((reply, length))
    }
}

async fn read_usage(reply: &mut RawReply, mut reader: UsageReader) -> Result<Vec<(UserId, u64)>, Status> {
    let unreadable = |_| Status::internal("the reply is not in the node protocol's format");
    while let Some(piece) = reply.piece().await? {
        reader.read(&piece).map_err(unreadable)?;
    }
    reader.end().map_err(unreadable)
}

/// Classifies the end of a step of a fetch.
fn in_time<T>(step: Result<Result<T, Status>, Elapsed>) -> Result<T, UsageError> {
    match step {
        Err(_) => Err(UsageError::Ambiguous(NodeError::NoAnswer { call: CALL, limit: USAGE_LIMIT })),
        Ok(Err(status)) => match NodeError::from_status(CALL, &status, false) {
            error @ NodeError::Broken { unsent: true, .. } => Err(UsageError::NotSent(error)),
            error => Err(UsageError::Ambiguous(error)),
        },
        Ok(Ok(done)) => Ok(done),
    }
}
