//! Between two full syncs: changes are sent as they come, in batches that the node confirms by ending their stream.

use std::collections::HashMap;
use std::future::{pending, ready};

use futures_util::future::BoxFuture;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};
use uuid::Uuid;

use super::{BATCH, Session};
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
    /// A full sync is due: no more changes are taken from the queue.
    full_sync_due: bool,
}

struct Closing {
    end: BoxFuture<'static, Result<(), NodeError>>,
    batch: Batch,
}

enum Event {
    StreamBroke(NodeError),
    BatchEnded(Result<(), NodeError>, Batch),
    FullSyncDue,
    Received(Received),
    QueueEmpty,
}

impl Session<'_> {
    /// Sends changes as they come. Returns when a full sync is due and every change sent before is confirmed.
    ///
    /// Changes continue over the next stream while the end of the last one is awaited.
    pub(super) async fn follow(
        &mut self,
        stream: &mut SyncStream,
        changes: &Receiver,
        due: Instant,
        resync: &Notify,
    ) -> Result<(), SessionError> {
        let mut progress = Progress::default();
        while !progress.is_done() {
            match progress.next_event(stream, changes, due, resync).await {
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
                Event::FullSyncDue | Event::Received(Received::Overflowed) => progress.full_sync_due = true,
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
        Ok(())
    }
}

impl Progress {
    fn is_done(&self) -> bool {
        self.full_sync_due && self.sent.is_empty() && self.closing.is_none() && self.held.is_none()
    }

    fn is_closing(&self, user: UserId) -> bool {
        self.closing.as_ref().is_some_and(|closing| closing.batch.contains_key(&user))
    }

    async fn next_event(
        &mut self,
        stream: &mut SyncStream,
        changes: &Receiver,
        due: Instant,
        resync: &Notify,
    ) -> Event {
        let takes_changes = !self.full_sync_due && self.held.is_none() && self.sent.len() < BATCH;
        let may_close = self.closing.is_none() && !self.sent.is_empty();
        tokio::select! {
            biased;
            error = stream.broken() => Event::StreamBroke(error),
            (ended, batch) = end_of(&mut self.closing) => Event::BatchEnded(ended, batch),
            () = sleep_until(due), if !self.full_sync_due => Event::FullSyncDue,
            () = resync.notified(), if !self.full_sync_due => Event::FullSyncDue,
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
