//! Between two full syncs: changes are sent as they come, in batches that the node confirms by ending their stream.

use std::collections::HashMap;
use std::future::{pending, ready};

use futures_util::future::BoxFuture;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};
use uuid::Uuid;

use super::Session;
use super::units::BATCH;
use crate::domain::ids::UserId;
use crate::nodes::node_error::NodeError;
use crate::nodes::pending_changes::{PendingChange, Received, Receiver};
use crate::nodes::session_error::SessionError;
use crate::nodes::sync_stream::SyncStream;

/// Changes that the end of one stream confirms together: the id of each user's change.
type Batch = HashMap<UserId, Uuid>;

/// The changes on their way to the node.
#[derive(Default)]
struct Progress {
    /// Sent over the current stream.
    sent: Batch,
    /// The half-closed stream and its batch.
    closing: Option<Closing>,
    /// A change of a user in the closing batch. It waits for the batch: two streams have no order.
    held: Option<PendingChange>,
    /// Why no more changes are taken from the queue.
    pause: Option<Pause>,
}

/// Why the sending of changes pauses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pause {
    /// The time is over.
    Time,
    /// A full sync is wanted.
    FullSync,
}

struct Closing {
    end: BoxFuture<'static, Result<(), NodeError>>,
    batch: Batch,
}

enum Event {
    StreamBroke(NodeError),
    BatchEnded(Result<(), NodeError>, Batch),
    Pause(Pause),
    Received(Received),
    QueueEmpty,
}

impl Session<'_> {
    /// Sends changes as they come, until a full sync is due: at that time, if one is wanted, or if an inbound takes users
    /// again. Every change sent before is confirmed then.
    pub(super) async fn follow(
        &mut self,
        stream: &mut SyncStream,
        changes: &Receiver,
        due: Instant,
        resync: &Notify,
    ) -> Result<(), SessionError> {
        let (_, longest) = self.context.timing.backoff;
        loop {
            let until = if self.unusable.is_empty() { due } else { due.min(Instant::now() + longest) };
            let pause = self.send_changes(stream, changes, until, resync).await?;
            if pause == Pause::FullSync || Instant::now() >= due || self.is_usable_again(stream).await? {
                return Ok(());
            }
        }
    }

    /// Sends changes as they come. Returns when `until` is over or a full sync is wanted, and every change sent before is
    /// confirmed.
    ///
    /// Changes continue over the next stream while the end of the last one is awaited.
    async fn send_changes(
        &mut self,
        stream: &mut SyncStream,
        changes: &Receiver,
        until: Instant,
        resync: &Notify,
    ) -> Result<Pause, SessionError> {
        let mut progress = Progress::default();
        loop {
            if let Some(pause) = progress.ended() {
                return Ok(pause);
            }
            match progress.next_event(stream, changes, until, resync).await {
                Event::StreamBroke(error) => return Err(error.into()),
                Event::BatchEnded(ended, batch) => {
                    ended?;
                    metrics::counter!("sarban_node_changes_delivered_total").increment(batch.len() as u64);
                    for user in batch.keys().filter(|user| !progress.sent.contains_key(user)) {
                        self.doubt.settle(*user);
                    }
                    changes.confirm(batch);
                    self.in_flight = !progress.sent.is_empty();
                    if let Some(change) = progress.held.take() {
                        progress.sent.insert(change.user.id, change.id);
                        self.send_change(stream, change).await?;
                    }
                }
                Event::Pause(pause) => progress.pause = Some(pause),
                Event::Received(Received::Overflowed) => progress.pause = Some(Pause::FullSync),
                Event::Received(Received::Change(change)) if progress.is_closing(change.user.id) => {
                    progress.held = Some(change);
                }
                Event::Received(Received::Change(change)) => {
                    progress.sent.insert(change.user.id, change.id);
                    self.send_change(stream, change).await?;
                }
                Event::QueueEmpty => {
                    let end = stream.turn_over();
                    progress.closing = Some(Closing { end, batch: std::mem::take(&mut progress.sent) });
                }
            }
        }
    }
}

impl Progress {
    /// Returns the pause if every change that was sent is confirmed.
    fn ended(&self) -> Option<Pause> {
        self.pause.filter(|_| self.sent.is_empty() && self.closing.is_none() && self.held.is_none())
    }

    fn is_closing(&self, user: UserId) -> bool {
        self.closing.as_ref().is_some_and(|closing| closing.batch.contains_key(&user))
    }

    async fn next_event(
        &mut self,
        stream: &mut SyncStream,
        changes: &Receiver,
        until: Instant,
        resync: &Notify,
    ) -> Event {
        let takes_changes = self.pause.is_none() && self.held.is_none() && self.sent.len() < BATCH;
        let may_close = self.closing.is_none() && !self.sent.is_empty();
        tokio::select! {
            biased;
            error = stream.broken() => Event::StreamBroke(error),
            (ended, batch) = end_of(&mut self.closing) => Event::BatchEnded(ended, batch),
            () = sleep_until(until), if self.pause.is_none() => Event::Pause(Pause::Time),
            () = resync.notified(), if self.pause.is_none() => Event::Pause(Pause::FullSync),
            received = changes.next(), if takes_changes => Event::Received(received),
            () = ready(()), if may_close => Event::QueueEmpty,
        }
    }
}

/// Waits for the end of the closing batch; for ever if there is none. Cancel-safe.
async fn end_of(closing: &mut Option<Closing>) -> (Result<(), NodeError>, Batch) {
    let Some(Closing { end, .. }) = closing else { return pending().await };
    let ended = end.await;
    let batch = closing.take().map(|closing| closing.batch).unwrap_or_default();
    (ended, batch)
}
