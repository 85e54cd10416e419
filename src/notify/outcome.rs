//! The outcome of sending, and its record in the outbox.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::watch;

use super::http::Failure;
use super::timing::Timing;
use crate::clock::Clock;
use crate::domain::moment::Moment;
use crate::domain::notification::{Channel, Destination};
use crate::domain::term::OpenWork;
use crate::store::notify::outbox;
use crate::store::{Fence, FenceError, IdList};

/// Entries recorded in one transaction.
const CHUNK: usize = 2_000;

/// The outcome of one poll of the outbox.
#[derive(Debug)]
pub(super) enum Round {
    /// Nothing was due.
    Idle,
    /// Entries were sent; more may be due.
    Busy,
    /// The destination does not answer, or asked for a pause of this length.
    Pause(Duration),
}

/// Ids of entries that were sent together, by outcome.
#[derive(Debug, Default)]
pub(super) struct Outcomes {
    delivered: Vec<i64>,
    /// By reason.
    failed: BTreeMap<String, Vec<i64>>,
}

/// Records outcomes for one destination, under the fence.
#[derive(Clone, Debug)]
pub(super) struct Recorder {
    pub(super) destination: Destination,
    pub(super) fence: Fence,
    pub(super) clock: Clock,
    pub(super) timing: Timing,
    /// Notified after outcomes were recorded.
    pub(super) recorded: watch::Sender<()>,
}

impl Outcomes {
    pub(super) const fn delivered(ids: Vec<i64>) -> Self {
        Self { delivered: ids, failed: BTreeMap::new() }
    }

    pub(super) fn failed(failure: &Failure, ids: Vec<i64>) -> Self {
        Self { delivered: Vec::new(), failed: BTreeMap::from([(failure.reason(), ids)]) }
    }

    pub(super) fn add(&mut self, id: i64, sent: &Result<(), Failure>) {
        match sent {
            Ok(()) => self.delivered.push(id),
            Err(failure) => self.failed.entry(failure.reason()).or_default().push(id),
        }
    }

    fn any(&self) -> bool {
        self.any_delivered() || !self.failed.is_empty()
    }

    pub(super) const fn any_delivered(&self) -> bool {
        !self.delivered.is_empty()
    }
}

impl Recorder {
    /// Records outcomes in the outbox, and counts them.
    pub(super) async fn record(&self, work: &OpenWork, outcomes: Outcomes) -> Result<(), FenceError> {
        let now = self.clock.now();
        self.record_delivered(work, &outcomes.delivered, now).await?;
        for (reason, ids) in &outcomes.failed {
            tracing::warn!(
                channel = self.destination.channel.word(),
                entries = ids.len(),
                reason,
                "could not deliver notifications; trying again until their attempts are used up"
            );
            self.record_failed(work, ids, reason, now).await?;
        }
        if outcomes.any() {
            self.recorded.send_replace(());
        }
        Ok(())
    }

    async fn record_delivered(&self, work: &OpenWork, ids: &[i64], now: Moment) -> Result<(), FenceError> {
        for chunk in ids.chunks(CHUNK) {
            let ids = IdList::new(chunk.iter().copied());
            self.fence
                .transaction_of(Some(work), "confirm notifications", async |tx| -> Result<_, FenceError> {
                    Ok(outbox::delivered(tx, ids.clone(), now).await?)
                })
                .await?;
        }
        count(self.destination.channel, "delivered", ids.len());
        Ok(())
    }

    async fn record_failed(&self, work: &OpenWork, ids: &[i64], reason: &str, now: Moment) -> Result<(), FenceError> {
        let Timing { retry_after, attempts, .. } = self.timing;
        let next = now.plus(i64::try_from(retry_after.as_micros()).unwrap_or(i64::MAX));
        for chunk in ids.chunks(CHUNK) {
            let ids = IdList::new(chunk.iter().copied());
            self.fence
                .transaction_of(Some(work), "record failed notifications", async |tx| -> Result<_, FenceError> {
                    Ok(outbox::failed(tx, ids.clone(), reason, now, next, attempts).await?)
                })
                .await?;
        }
        count(self.destination.channel, "failed", ids.len());
        Ok(())
    }
}

/// Counts entries in `notifications_total`.
pub(super) fn count(channel: Channel, result: &'static str, entries: usize) {
    metrics::counter!("notifications_total", "channel" => channel.word(), "result" => result).increment(entries as u64);
}
