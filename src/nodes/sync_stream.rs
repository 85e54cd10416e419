//! A SyncUsers stream: it carries users one by one, and only its end acknowledges them.
//!
//! The protocol has no acknowledgement per message. So the panel closes a batch by half-closing its stream, and the
//! node then ends the stream. Nodes differ in how they do so: some send the reply that the protocol specifies, many
//! send none and end every stream with the same error, whether they accepted the messages or not. The end of an empty
//! stream shows which kind a node is.

use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;
use tonic::{Code, Status};

use super::connection::NodeConnection;
use super::node_error::NodeError;
use super::proto::UserData;

const CALL: &str = "SyncUsers";

/// How a node ends a stream that it has read completely.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// With a reply: every message arrived.
    Reply,
    /// Without a reply: a stream that fails early is detected, one that fails at its very end is not.
    Silence,
}

/// A sequence of streams, one open at a time.
#[derive(Debug)]
pub(super) struct SyncStream {
    connection: NodeConnection,
    current: Stream,
    ending: Ending,
    /// Time limit of one message, and of the end of a stream.
    limit: Duration,
}

#[derive(Debug)]
struct Stream {
    messages: mpsc::Sender<UserData>,
    end: AbortOnDropHandle<Result<(), Status>>,
}

impl SyncStream {
    /// Opens the first stream, after an empty one that shows how this node ends its streams.
    pub(super) async fn open(connection: NodeConnection, limit: Duration) -> Result<Self, NodeError> {
        let ending = Stream::open(&connection).finish(limit).await?;
        let current = Stream::open(&connection);
        Ok(Self { connection, current, ending, limit })
    }

    /// Sends one user.
    pub(super) async fn send(&mut self, message: UserData) -> Result<(), NodeError> {
        let limit = self.limit;
        let Stream { messages, end } = &mut self.current;
        let sent = tokio::select! {
            biased;
            ended = &mut *end => return Err(ended_early(ended)),
            sent = timeout(limit, messages.send(message)) => sent,
        };
        match sent {
            Err(_) => Err(NodeError::NoAnswer { call: CALL, limit }),
            // The stream has stopped taking messages: its end says why.
            Ok(Err(_)) => Err(ended_early(end.await)),
            Ok(Ok(())) => Ok(()),
        }
    }

    /// Waits until the node ends the current stream by itself. Cancel-safe.
    pub(super) async fn broken(&mut self) -> NodeError {
        ended_early((&mut self.current.end).await)
    }

    /// Half-closes the current stream and opens the next. The returned future completes when the node has accepted
    /// every user sent so far. `quiet`: how long a node that sends no reply has to end the stream early, which means a
    /// failure.
    pub(super) fn turn_over(&mut self, quiet: Duration) -> BoxFuture<'static, Result<(), NodeError>> {
        let next = Stream::open(&self.connection);
        let mut last = std::mem::replace(&mut self.current, next);
        let (usual, limit) = (self.ending, self.limit);
        async move {
            if usual == Ending::Silence
                && let Ok(ended) = timeout(quiet, &mut last.end).await
            {
                return Err(ended_early(ended));
            }
            match (usual, last.finish(limit).await?) {
                (Ending::Reply, Ending::Silence) => Err(NodeError::Refused {
                    call: CALL,
                    code: Code::Unknown,
                    reason: "it did not accept a change of a user".into(),
                }),
                _ => Ok(()),
            }
        }
        .boxed()
    }
}

impl Stream {
    fn open(connection: &NodeConnection) -> Self {
        // Capacity 1: sent messages are in HTTP/2's buffers, not in a queue that would be sent after the term's end.
        let (messages, queue) = mpsc::channel(1);
        let mut client = connection.client();
        let requests = futures_util::stream::unfold(queue, |mut queue: mpsc::Receiver<UserData>| async move {
            queue.recv().await.map(|message| (message, queue))
        });
        let end = tokio::spawn(async move { client.sync_users(requests).await.map(drop) });
        Self { messages, end: AbortOnDropHandle::new(end) }
    }

    /// Half-closes the stream and waits for the node to end it: by then the node has read every message.
    async fn finish(self, limit: Duration) -> Result<Ending, NodeError> {
        drop(self.messages);
        match timeout(limit, self.end).await {
            Err(_) => Err(NodeError::NoAnswer { call: CALL, limit }),
            Ok(Ok(Ok(()))) => Ok(Ending::Reply),
            Ok(Ok(Err(status))) if is_silence(&status) => Ok(Ending::Silence),
            Ok(other) => Err(ended_early(other)),
        }
    }
}

/// Returns whether a status stands for a missing reply: sent by the node itself, not by a broken connection.
fn is_silence(status: &Status) -> bool {
    std::error::Error::source(status).is_none() && matches!(status.code(), Code::Unknown | Code::Internal)
}

fn ended_early(ended: Result<Result<(), Status>, tokio::task::JoinError>) -> NodeError {
    let detail = match ended {
        Ok(Err(status)) => return NodeError::from_status(CALL, &status, false),
        Ok(Ok(())) => "the node ended the stream".to_owned(),
        Err(error) => error.to_string(),
    };
    NodeError::Broken { call: CALL, detail, unsent: false }
}
