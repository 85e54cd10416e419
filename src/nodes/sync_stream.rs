//! A SyncUsers stream: it carries users one by one, and only its end acknowledges them.
//!
//! The protocol has no acknowledgement per message. So the panel closes a batch by half-closing its stream, and the
//! node then ends the stream. Nodes differ in how they do so: some send the reply that the protocol specifies, many
//! send none and end every stream with the same error, whether they accepted the messages or not. The end of an empty
//! stream shows which kind a node is.
//!
//! A stream that has carried a message is never cancelled: dropped, it is half-closed and runs to its end.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinError, JoinHandle};
use tokio::time::{sleep, timeout};
use tokio_util::task::TaskTracker;
use tonic::{Code, Status};

use super::connection::NodeConnection;
use super::messages::operations;
use super::node_error::NodeError;
use super::proto::UserData;
use super::timing::Timing;
use crate::store::Fence;

const CALL: &str = "SyncUsers";

/// How a node ends a stream that it has read completely.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// With a reply: every message arrived.
    Reply,
    /// Without a reply: a stream that fails early is detected, one that fails at its very end is not.
    Silence,
}

/// How streams are opened.
#[derive(Debug)]
pub(super) struct StreamOpener {
    pub connection: NodeConnection,
    /// The node's running calls.
    pub calls: TaskTracker,
    /// Checked directly before each message.
    pub fence: Fence,
    pub timing: Timing,
}

/// A sequence of streams, one open at a time.
#[derive(Debug)]
pub(super) struct SyncStream {
    opener: StreamOpener,
    current: Stream,
    ending: Ending,
}

#[derive(Debug)]
struct Stream {
    messages: mpsc::Sender<UserData>,
    /// Dropped with `messages`: the time limit of the end begins. Apart from them, because a node that stops reading also
    /// stops the queue behind them.
    closed: oneshot::Sender<()>,
    call: Call,
    timing: Timing,
}

/// A running call. Dropped, it goes on if it has carried a message.
#[derive(Debug)]
struct Call {
    end: JoinHandle<Result<(), Failure>>,
    /// Operations of the messages that were handed to the connection.
    operations: Arc<AtomicUsize>,
}

/// Why a call failed.
#[derive(Debug)]
enum Failure {
    Status(Status),
    /// The node did not end the half-closed stream within this time.
    TimedOut(Duration),
}

impl Drop for Call {
    fn drop(&mut self) {
        if self.operations() == 0 {
            self.end.abort();
        }
    }
}

impl Call {
    fn operations(&self) -> usize {
        self.operations.load(Relaxed)
    }
}

impl SyncStream {
    /// Opens the first stream, after an empty one that shows how this node ends its streams.
    pub(super) async fn open(opener: StreamOpener) -> Result<Self, NodeError> {
        let ending = opener.open().finish().await?;
        let current = opener.open();
        Ok(Self { opener, current, ending })
    }

    /// Sends one user.
    pub(super) async fn send(&mut self, message: UserData) -> Result<(), NodeError> {
        let limit = self.opener.timing.limit(self.current.call.operations());
        let Stream { messages, call, .. } = &mut self.current;
        let sent = tokio::select! {
            biased;
            ended = &mut call.end => return Err(ended_early(ended)),
            sent = timeout(limit, messages.send(message)) => sent,
        };
        match sent {
            Err(_) => Err(NodeError::NoAnswer { call: CALL, limit }),
            // The stream has stopped taking messages: its end says why.
            Ok(Err(_)) => Err(ended_early((&mut call.end).await)),
            Ok(Ok(())) => Ok(()),
        }
    }

    /// Replaces the current stream, which the node has ended.
    pub(super) fn start_over(&mut self) {
        self.current = self.opener.open();
    }

    /// Waits until the node ends the current stream by itself. Cancel-safe.
    pub(super) async fn broken(&mut self) -> NodeError {
        ended_early((&mut self.current.call.end).await)
    }

    /// Half-closes the current stream and opens the next. The returned future completes when the node has accepted
    /// every user sent so far. A node that sends no reply gets some time to end the stream early, which means a failure.
    pub(super) fn turn_over(&mut self) -> BoxFuture<'static, Result<(), NodeError>> {
        let next = self.opener.open();
        let mut last = std::mem::replace(&mut self.current, next);
        let usual = self.ending;
        async move {
            if usual == Ending::Silence {
                let quiet = last.timing.quiet(last.call.operations());
                if let Ok(ended) = timeout(quiet, &mut last.call.end).await {
                    return Err(ended_early(ended));
                }
            }
            match (usual, last.finish().await?) {
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

impl StreamOpener {
    fn open(&self) -> Stream {
        // Capacity 1: sent messages are in HTTP/2's buffers, not in a queue that would be sent after the term's end.
        let (messages, queue) = mpsc::channel::<UserData>(1);
        let (closed, closing) = oneshot::channel::<()>();
        let carried = Arc::<AtomicUsize>::default();
        let (fence, counter) = (self.fence.clone(), carried.clone());
        let requests = futures_util::stream::unfold(queue, move |mut queue| {
            let (fence, counter) = (fence.clone(), counter.clone());
            async move {
                let message = queue.recv().await.filter(|_| fence.is_alive())?;
                counter.fetch_add(operations(&message), Relaxed);
                Some((message, queue))
            }
        });
        let (timing, counter, mut client) = (self.timing.clone(), carried.clone(), self.connection.client());
        let end = self.calls.spawn(async move {
            let timed_out = async {
                closing.await.ok();
                let limit = timing.limit(counter.load(Relaxed));
                sleep(limit).await;
                limit
            };
            tokio::select! {
                ended = client.sync_users(requests) => ended.map(drop).map_err(Failure::Status),
                limit = timed_out => Err(Failure::TimedOut(limit)),
            }
        });
        Stream { messages, closed, call: Call { end, operations: carried }, timing: self.timing.clone() }
    }
}

impl Stream {
    /// Half-closes the stream and waits for the node to end it: by then the node has read every message.
    async fn finish(self) -> Result<Ending, NodeError> {
        let Self { messages, closed, mut call, .. } = self;
        drop((messages, closed));
        match (&mut call.end).await {
            Ok(Ok(())) => Ok(Ending::Reply),
            Ok(Err(Failure::Status(status))) if is_silence(&status) => Ok(Ending::Silence),
            other => Err(ended_early(other)),
        }
    }
}

/// Returns whether a status stands for a missing reply: sent by the node itself, not by a broken connection.
fn is_silence(status: &Status) -> bool {
    std::error::Error::source(status).is_none() && matches!(status.code(), Code::Unknown | Code::Internal)
}

fn ended_early(ended: Result<Result<(), Failure>, JoinError>) -> NodeError {
    let detail = match ended {
        Ok(Err(Failure::Status(status))) => return NodeError::from_status(CALL, &status, false),
        Ok(Err(Failure::TimedOut(limit))) => return NodeError::NoAnswer { call: CALL, limit },
        Ok(Ok(())) => "the node ended the stream".to_owned(),
        Err(error) => error.to_string(),
    };
    NodeError::Broken { call: CALL, detail, unsent: false }
}
