//! A SyncUsers stream: users go in one by one, and only its end says that all of them arrived.
//!
//! The protocol has no acknowledgement per message. So a batch is closed by ending its stream in one direction; the
//! node then ends it in the other. Nodes differ in how they do so: some send the reply that the protocol promises,
//! many send none and so end every stream with the same error, whether they took the messages or not. Which kind a
//! node is shows in the end of an empty stream.

use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;
use tonic::{Code, Status};

use super::link::Link;
use super::link_error::LinkError;
use super::proto::UserData;

const CALL: &str = "SyncUsers";

/// How a node ends a stream that it has read to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// With its reply: everything arrived.
    Reply,
    /// Without a reply: a stream that ended too early is known, one that failed at the very end is not.
    Silence,
}

/// One open stream after another.
#[derive(Debug)]
pub(super) struct SyncStream {
    link: Link,
    current: Stream,
    ending: Ending,
    /// The longest that a node may hold back one message, or the end.
    limit: Duration,
}

#[derive(Debug)]
struct Stream {
    messages: mpsc::Sender<UserData>,
    end: AbortOnDropHandle<Result<(), Status>>,
}

impl SyncStream {
    /// Opens the first stream, after an empty one that shows how this node ends them.
    pub(super) async fn open(link: Link, limit: Duration) -> Result<Self, LinkError> {
        let ending = Stream::open(&link).finish(limit).await?;
        let current = Stream::open(&link);
        Ok(Self { link, current, ending, limit })
    }

    /// Sends one user.
    pub(super) async fn send(&mut self, message: UserData) -> Result<(), LinkError> {
        let limit = self.limit;
        let Stream { messages, end } = &mut self.current;
        let sent = tokio::select! {
            biased;
            ended = &mut *end => return Err(too_early(ended)),
            sent = timeout(limit, messages.send(message)) => sent,
        };
        match sent {
            Err(_) => Err(LinkError::NoAnswer { call: CALL, limit }),
            // The queue is closed: the stream is about to end, and then says why.
            Ok(Err(_)) => Err(too_early(end.await)),
            Ok(Ok(())) => Ok(()),
        }
    }

    /// Waits for an end that nobody asked for.
    pub(super) async fn broken(&mut self) -> LinkError {
        too_early((&mut self.current.end).await)
    }

    /// Closes the batch and begins another: when what is returned is done, the node has taken everything that was sent
    /// so far. `quiet`: how long a node that ends every stream with the same error is given to end this one early,
    /// which does say something.
    pub(super) fn turn_over(&mut self, quiet: Duration) -> BoxFuture<'static, Result<(), LinkError>> {
        let next = Stream::open(&self.link);
        let mut last = std::mem::replace(&mut self.current, next);
        let (usual, limit) = (self.ending, self.limit);
        async move {
            if usual == Ending::Silence
                && let Ok(ended) = timeout(quiet, &mut last.end).await
            {
                return Err(too_early(ended));
            }
            match (usual, last.finish(limit).await?) {
                (Ending::Reply, Ending::Silence) => Err(LinkError::Refused {
                    call: CALL,
                    code: Code::Unknown,
                    reason: "a change of a user failed".into(),
                }),
                _ => Ok(()),
            }
        }
        .boxed()
    }
}

impl Stream {
    fn open(link: &Link) -> Self {
        // One place: what was sent is in the hands of HTTP/2, not in a queue of ours behind the term's deadline.
        let (messages, queue) = mpsc::channel(1);
        let mut client = link.client();
        let requests = futures_util::stream::unfold(queue, |mut queue: mpsc::Receiver<UserData>| async move {
            queue.recv().await.map(|message| (message, queue))
        });
        let end = tokio::spawn(async move { client.sync_users(requests).await.map(drop) });
        Self { messages, end: AbortOnDropHandle::new(end) }
    }

    /// Ends our direction and waits until the node has ended its own: by then it has read everything.
    async fn finish(self, limit: Duration) -> Result<Ending, LinkError> {
        drop(self.messages);
        match timeout(limit, self.end).await {
            Err(_) => Err(LinkError::NoAnswer { call: CALL, limit }),
            Ok(Ok(Ok(()))) => Ok(Ending::Reply),
            Ok(Ok(Err(status))) if is_silence(&status) => Ok(Ending::Silence),
            Ok(other) => Err(too_early(other)),
        }
    }
}

/// The node's own status (nothing broke on the way) of the two kinds that stand for a missing reply.
fn is_silence(status: &Status) -> bool {
    std::error::Error::source(status).is_none() && matches!(status.code(), Code::Unknown | Code::Internal)
}

fn too_early(ended: Result<Result<(), Status>, tokio::task::JoinError>) -> LinkError {
    let detail = match ended {
        Ok(Err(status)) => return LinkError::from_status(CALL, &status, false),
        Ok(Ok(())) => "it ended the stream".to_owned(),
        Err(error) => error.to_string(),
    };
    LinkError::Broken { call: CALL, detail, unsent: false }
}
